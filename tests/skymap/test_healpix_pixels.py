"""HEALPix numbers and places against the pixelisation of lsst.sphgeom."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.sphgeom import HealpixPixelization, UnitVector3d

from skyloom.skymap import healpix_pixels as healpix
from skyloom.skymap import unit_vectors
from skymap.whole_sky import random_positions


@pytest.mark.parametrize("order", [0, 1, 3, 7])
def test_positions_are_in_the_nested_pixels_of_others(order: int) -> None:
    nside = 2**order
    ra, dec = random_positions(500)
    ra, dec = np.append(ra, [0.0, 45.0, 100.0]), np.append(dec, [89.9999999, -89.9999999, 41.8])
    pixels = HealpixPixelization(order)
    expected = [pixels.index(UnitVector3d(*vector)) for vector in unit_vectors(ra, dec)]
    face, x, y = healpix.face_pixels(nside, ra, dec)
    assert healpix.to_nested(nside, face, x, y).tolist() == expected


def test_corners_are_those_of_others() -> None:
    pixels = HealpixPixelization(2)
    number = np.arange(192)
    face, x, y = healpix.from_nested(4, number)
    corners = [unit_vectors(*healpix.angles(4, face, x + dx, y + dy)) for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1))]
    for pixel in number:
        theirs = np.array([(v.x(), v.y(), v.z()) for v in pixels.pixel(int(pixel)).getVertices()])
        for corner in corners:
            assert np.linalg.norm(theirs - corner[pixel], axis=1).min() < 1e-14


@pytest.mark.parametrize("nside", [1, 2, 8, 64])
def test_numbers_survive_both_ways(nside: int) -> None:
    number = np.arange(12 * nside**2)
    for there, back in ((healpix.from_ring, healpix.to_ring), (healpix.from_nested, healpix.to_nested)):
        face, x, y = there(nside, number)
        assert min(x.min(), y.min()) == 0
        assert max(x.max(), y.max()) == nside - 1
        assert np.array_equal(back(nside, face, x, y), number)


def test_ring_numbers_run_from_north_to_south_and_eastwards() -> None:
    nside = 4
    face, x, y = healpix.from_ring(nside, np.arange(192))
    ra, dec = healpix.angles(nside, face, x + 0.5, y + 0.5)
    assert (np.diff(np.round(dec, 9)) <= 0).all()
    rings = np.unique(np.round(dec, 9), return_counts=True)[1]
    assert rings.tolist() == [4, 8, 12, 16, 16, 16, 16, 16, 16, 16, 16, 16, 12, 8, 4]
    assert (np.diff(ra)[np.diff(np.round(dec, 9)) == 0] > 0).all()
    # Eq. 4 and 8 of Gorski et al. (2005): rings of the cap, and of the belt with half a pixel of shift every other one
    z = np.sin(np.radians(dec))
    np.testing.assert_allclose(z[[0, 4, 12]], 1 - np.array([1, 4, 9]) / 48, atol=1e-14)
    np.testing.assert_allclose(z[[24, 40]], 4 / 3 - 2 * np.array([4, 5]) / 12, atol=1e-14)
    np.testing.assert_allclose(ra[[0, 4, 24, 40]], [45, 22.5, 11.25, 0], atol=1e-12)


def test_no_corner_is_farther_than_the_largest_radius() -> None:
    for nside in (1, 4, 16):
        face, x, y = healpix.from_nested(nside, np.arange(12 * nside**2))
        centre = unit_vectors(*healpix.angles(nside, face, x + 0.5, y + 0.5))
        corners = [unit_vectors(*healpix.angles(nside, face, x + dx, y + dy)) for dx in (0, 1) for dy in (0, 1)]
        farthest = max(np.linalg.norm(corner - centre, axis=1).max() for corner in corners)
        assert np.degrees(2 * np.arcsin(farthest / 2)) == pytest.approx(healpix.max_radius(nside), rel=1e-12)
