from __future__ import annotations

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from skyloom.instruments import Camera
from skyloom.simulate import Mosaic, TrueProjection

MOSAIC = Mosaic.of(Camera.read("simulated"))


def projection(*values: float) -> TrueProjection:
    names = ("ra_deg", "dec_deg", "rotation_deg", "distortion_pixels")
    return TrueProjection(mosaic=MOSAIC, **dict(zip(names, values, strict=False)))


@pytest.mark.parametrize("detector", [0, 1, 2, 3])
def test_sky_and_pixels_are_inverse(detector: int) -> None:
    mapping, ccd = projection(350.0, -40.0, 33.0, 1.5), MOSAIC.ccds[detector]
    x, y = np.random.default_rng(1).uniform(-50, 1074, (2, 200))
    back = mapping.sky_to_pixel(ccd, *mapping.pixel_to_sky(ccd, x, y))
    np.testing.assert_allclose(back, (x, y), atol=1e-8)


def test_north_is_up_and_east_is_left_without_rotation() -> None:
    x, y = projection(10.0, 20.0).sky_to_focal_plane(np.array([10.0, 10.01]), np.array([20.01, 20.0]))
    np.testing.assert_allclose(x, [0.0, -36.0 / MOSAIC.pixel_scale * np.cos(np.radians(20.0))], atol=0.02)
    np.testing.assert_allclose(y, [36.0 / MOSAIC.pixel_scale, 0.0], atol=0.02)


def test_rotation_is_the_position_angle_of_plus_y() -> None:
    ra, dec = projection(10.0, 20.0, 30.0).focal_plane_to_sky(np.array([0.0]), np.array([500.0]))
    centre = SkyCoord(10.0, 20.0, unit="deg")
    assert centre.position_angle(SkyCoord(ra, dec, unit="deg")).to_value(u.deg)[0] == pytest.approx(30.0, abs=0.01)


def test_distances_on_the_sky_follow_the_pixel_scale() -> None:
    ra, dec = projection(200.0, 60.0, 80.0).focal_plane_to_sky(np.array([0.0, 400.0]), np.array([0.0, 300.0]))
    sky = SkyCoord(ra, dec, unit="deg")
    assert sky[0].separation(sky[1]).arcsec == pytest.approx(500 * MOSAIC.pixel_scale, rel=1e-6)


def test_distortion_at_the_corner() -> None:
    ideal, real = projection(10.0, 20.0), projection(10.0, 20.0, 0.0, 1.5)
    corner = np.full(1, MOSAIC.radius / np.sqrt(2))
    moved = real.sky_to_focal_plane(*ideal.focal_plane_to_sky(corner, corner))
    assert np.hypot(*moved)[0] - MOSAIC.radius == pytest.approx(1.5, abs=1e-6)


def test_mosaic_turns_the_upper_row() -> None:
    u_, v = MOSAIC.ccds[2].to_focal_plane(np.array([0.0, 1023.0]), np.array([0.0, 1023.0]))
    np.testing.assert_allclose(u_, [-20.5, -1043.5])
    np.testing.assert_allclose(v, [1043.5, 20.5])


def test_a_turned_detector_is_inverse_as_well() -> None:
    ccd = replace(MOSAIC.ccds[1], rotation_deg=37.0)
    x, y = np.random.default_rng(2).uniform(0, 1024, (2, 50))
    np.testing.assert_allclose(ccd.from_focal_plane(*ccd.to_focal_plane(x, y)), (x, y), atol=1e-9)
