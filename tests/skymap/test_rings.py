"""Rings: the published numbers of such sky maps, their boxes in right ascension and declination, and look-ups."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from lsst.images import Box

from skyloom.skymap import RingsSkyMap
from skymap.whole_sky import coarse, random_positions, rings


@pytest.fixture(scope="module")
def hsc() -> RingsSkyMap:
    return rings()


@pytest.fixture(scope="module")
def hsc_public() -> RingsSkyMap:
    return rings(numbering=0)


@pytest.mark.parametrize(
    ("num_rings", "sizes"), [(3, [8, 8, 8]), (4, [9, 11, 11, 9]), (5, [9, 12, 12, 12, 9])], ids=str
)
def test_number_of_tracts(num_rings: int, sizes: list[int]) -> None:
    skymap = coarse(num_rings=num_rings)
    assert skymap.ring_sizes.tolist() == sizes
    assert len(skymap) == sum(sizes) + 2
    assert [skymap.ring_indices(number) for number in (0, 1, sizes[0], sizes[0] + 1, len(skymap) - 1)] == [
        (-1, 0),
        (0, 0),
        (0, sizes[0] - 1),
        (1, 0),
        (num_rings, 0),
    ]


def test_number_of_tracts_of_the_survey(hsc: RingsSkyMap) -> None:
    assert len(hsc) == 18938
    assert hsc.ring_sizes[:10].tolist() == [10, 16, 22, 29, 35, 41, 47, 53, 60, 66]
    dec = np.unique(np.round(hsc.centres[1], 9))
    np.testing.assert_allclose(np.diff(dec), 1.487603305785124, atol=2e-9)
    assert hsc.n_patches_max == (9, 9)


def test_centres_of_the_public_survey_are_exact(hsc_public: RingsSkyMap) -> None:
    skymap = hsc_public
    assert (skymap.tract(9712).ra, skymap.tract(9712).dec) == (0.0, 0.7438016528925696)
    assert (skymap.tract(9813).ra, skymap.tract(9813).dec) == (150.2479338842975, 2.2314049586776834)
    first, twice = skymap.tract(1), skymap.tract(11)
    assert (first.ra, first.dec) == (twice.ra, twice.dec)
    assert int(skymap.tract_ids(twice.ra, twice.dec)) == 1
    last_ring = 18938 - 1 - int(skymap.ring_sizes[-1])
    missing = rings().tract(last_ring)
    assert not skymap.find_tract(missing.ra, missing.dec).contains(missing.ra, missing.dec)


def test_centres_of_the_straight_numbering(hsc: RingsSkyMap) -> None:
    assert (hsc.tract(9813).ra, hsc.tract(9813).dec) == (150.2479338842975, 2.2314049586776834)
    assert (hsc.tract(9712).ra, hsc.tract(9712).dec) == (0.0, 2.2314049586776834)
    ra, dec = hsc.centres
    assert np.array_equal(hsc.tract_ids(ra, dec), np.arange(len(hsc)))
    places = np.round(np.stack([ra * np.cos(np.radians(dec)), dec, ra], axis=1) * 60)
    assert len(np.unique(places, axis=0)) == len(hsc)


@pytest.mark.parametrize(("numbering", "number", "dec"), [(0, 9712, 0.7438016528925696), (1, 9712, 2.2314049586776834)])
def test_look_up_across_right_ascension_zero(numbering: int, number: int, dec: float) -> None:
    skymap = rings(numbering=numbering)
    ra = np.array([10.0, -10.0, 0.0]) / 3600
    assert skymap.tract_ids(ra, np.full(3, dec)).tolist() == [number] * 3
    assert skymap.tract_ids(ra + 360, np.full(3, dec)).tolist() == [number] * 3
    assert skymap.find_tract(-10.0 / 3600, dec).id == number


def test_every_tract_of_the_public_numbering_but_the_twice_given_looks_up_to_itself(hsc_public: RingsSkyMap) -> None:
    found = hsc_public.tract_ids(*hsc_public.centres)
    assert np.flatnonzero(found != np.arange(len(hsc_public))).tolist() == [11]


@pytest.mark.parametrize("changes", [{}, {"ra_start": 234.0}, {"num_rings": 4, "ra_start": 234.0}], ids=str)
def test_boxes_hold_what_looks_up_to_the_tract(changes: dict[str, float]) -> None:
    skymap = coarse(**changes)
    for tract in skymap.all_tracts():
        (x1, y1), n = (tract.bbox.x.stop, tract.bbox.y.stop), 40
        x, y = np.meshgrid(np.linspace(-0.5, x1, n), np.linspace(-0.5, y1, n))
        ra, dec = tract.grid.positions_of(x.ravel(), y.ravel())
        held = tract.inner_region.contains(np.radians(ra), np.radians(dec))
        assert np.array_equal(held, skymap.tract_ids(ra, dec) == tract.id)
        assert held.any()


def test_random_positions_are_in_the_box_and_on_the_tract_they_look_up_to(hsc: RingsSkyMap) -> None:
    ra, dec = random_positions(1000)
    numbers = hsc.tract_ids(ra, dec)
    assert numbers.dtype == np.int32
    for r, d, number in zip(ra[:150], dec[:150], numbers[:150], strict=True):
        tract = hsc.find_tract(r, d)
        assert tract.id == number
        assert tract.inner_region.contains(np.radians([r]), np.radians([d]))[0]
        assert tract.contains(r, d)
    ring = np.array([hsc.ring_indices(int(number))[0] for number in numbers])
    assert np.array_equal(ring, np.floor((dec + 90) / 1.487603305785124 - 0.5))


def test_poles_are_on_their_caps_alone(hsc: RingsSkyMap) -> None:
    for ra in (0.0, 123.0, 321.0, 359.9):
        assert [tract.id for tract in hsc.tracts_containing(ra, -90.0)] == [0]
        assert [tract.id for tract in hsc.tracts_containing(ra, 90.0)] == [len(hsc) - 1]
        assert hsc.tract_ids(ra, 90.0) == len(hsc) - 1


def test_corners_of_tracts_are_found_on_them() -> None:
    skymap = coarse(ra_start=11.0)
    for tract in skymap.all_tracts():
        for ra, dec in tract.vertices:
            assert tract.id in {other.id for other in skymap.tracts_containing(ra, dec)}


def test_all_tracts_that_contain_a_position_are_found(hsc: RingsSkyMap) -> None:
    wide = rings(tract_overlap=1.0)
    for ra, dec in ((33.0, -83.5), (200.0, 86.2), (0.0, 84.0)):
        brute = [
            number
            for number in np.flatnonzero(np.abs(wide.centres[1] - dec) < 4)
            if wide.tract(int(number)).contains(ra, dec)
        ]
        assert [tract.id for tract in wide.tracts_containing(ra, dec)] == brute
        assert len(brute) > 4


def test_pixels_of_the_survey(hsc: RingsSkyMap) -> None:
    tract = hsc.tract(9813)
    # 0.7438 + 1/60 degrees are tan(0.7605 deg) / 0.168" = 16297 px on each side: 9 patches with 3405 px of padding
    assert tract.bbox == Box.from_shape((36000, 36000))
    header = tract.wcs_header(tract.patch((4, 4)).outer_bbox)
    assert (header["CRPIX1"], header["CRPIX2"]) == (2100.0, 2100.0)
    assert (header["CRVAL1"], header["CRVAL2"]) == (150.2479338842975, 2.2314049586776834)
    assert (header["CD1_1"], header["CD1_2"], header["CD2_2"]) == (-0.168 / 3600, 0.0, 0.168 / 3600)
    x, y = np.array([0.0, 15900.0, 35999.5]), np.array([0.0, 20099.0, 12.25])
    ra, dec = WCS(header).wcs_pix2world(x - 15900, y - 15900, 0)
    # The gnomonic projection, Calabretta & Greisen (2002, A&A 395, 1077)
    xi, eta = np.radians(-(x - 17999) * 0.168 / 3600), np.radians((y - 17999) * 0.168 / 3600)
    d0 = np.radians(tract.dec)
    below = np.cos(d0) - eta * np.sin(d0)
    np.testing.assert_allclose(ra, tract.ra + np.degrees(np.arctan2(xi, below)), rtol=0, atol=1e-11)
    expected = np.degrees(np.arctan2(np.sin(d0) + eta * np.cos(d0), np.hypot(xi, below)))
    np.testing.assert_allclose(dec, expected, rtol=0, atol=1e-11)
    sky = tract.projection.pixel_to_sky(x=x, y=y)
    np.testing.assert_allclose([sky.ra.deg, sky.dec.deg], [ra, dec], rtol=0, atol=1e-11)
    assert [f"{angle:.8f}" for angle in (ra[0], dec[0])] == ["151.08798452", "1.39136229"]


def test_numbers_out_of_range_are_refused() -> None:
    for number in (-1, 26):
        with pytest.raises(IndexError, match="26 tracts"):
            coarse().tract(number)
        with pytest.raises(IndexError, match="26 tracts"):
            coarse().ring_indices(number)
    with pytest.raises(ValueError, match="num_rings"):
        coarse(num_rings=0)
    with pytest.raises(ValueError, match="too wide for the projection TAN"):
        coarse(num_rings=1, projection="TAN", tract_overlap=50.0)
