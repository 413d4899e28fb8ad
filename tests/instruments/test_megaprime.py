"""MegaPrime as it is described: the mosaic, its amplifiers, where its CCDs fall on the sky."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images.cameras import ReadoutCorner

from skyloom.images.projection import pixel_to_radec
from skyloom.instruments import Camera

CENTRE = np.array([1023.5]), np.array([2305.5])


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.read("megaprime")


def offset_arcmin(camera: Camera, detector: int) -> tuple[float, float]:
    """East and north of the boresight, arcmin, of a detector's centre."""
    ra, dec = pixel_to_radec(camera.projection(detector, ra=150.0, dec=0.0), *CENTRE)
    return float(60.0 * (ra[0] - 150.0)), float(60.0 * dec[0])


def test_forty_ccds_in_the_order_of_the_files(camera: Camera) -> None:
    assert camera.name == "MegaPrime"
    assert camera.detector_ids == list(range(40))
    assert [one.name for one in camera.description.detectors] == [f"ccd{n:02d}" for n in range(40)]
    assert [one.hdu for one in camera.description.detectors] == list(range(1, 41))
    assert {camera.raw_shape(number) for number in camera.detector_ids} == {(4644, 2112)}
    assert camera.detector(0).bbox.shape == (4612, 2048)


def test_two_amplifiers_at_the_lower_corners(camera: Camera) -> None:
    a, b = camera.detector(20).amplifiers
    assert (a.name, b.name) == ("A", "B")
    assert (a.readout_corner, b.readout_corner) == (ReadoutCorner.LL, ReadoutCorner.LR)
    assert a.nominal_calibrations is not None
    assert (a.nominal_calibrations.gain, a.nominal_calibrations.read_noise) == (1.66, 3.0)
    raw = b.assembled_raw_geometry
    assert raw is not None
    assert (raw.data_bbox.x.start, raw.data_bbox.x.stop) == (1056, 2080)
    assert (raw.serial_overscan_bbox.x.start, raw.serial_overscan_bbox.x.stop) == (2080, 2112)
    # One level a row of pixels: the header's section of 4613 rows has one too many.
    assert raw.serial_overscan_bbox.y == raw.data_bbox.y


def test_the_mosaic_on_the_sky(camera: Camera) -> None:
    """The first CCD is the north-eastern one, rows of nine follow to the west and to the south; ears at the sides."""
    assert offset_arcmin(camera, 0) == pytest.approx((26.4, 22.96), abs=0.05)
    assert offset_arcmin(camera, 8) == pytest.approx((-26.4, 22.96), abs=0.05)
    assert offset_arcmin(camera, 35) == pytest.approx((-26.4, -22.97), abs=0.05)
    east = [offset_arcmin(camera, number)[0] for number in (36, 9, 10, 11, 12, 13, 14, 15, 16, 17, 37)]
    assert east == sorted(east, reverse=True)
    assert np.diff(east) == pytest.approx(-6.6, abs=0.05)


def test_the_upper_half_is_upside_down(camera: Camera) -> None:
    for number in camera.detector_ids:
        projection = camera.projection(number, ra=150.0, dec=0.0)
        _, dec = pixel_to_radec(projection, np.array([1023.5, 1023.5]), np.array([0.0, 4611.0]))
        upside_down = number < 18 or number in (36, 37)
        assert (dec[1] < dec[0]) == upside_down


@pytest.mark.parametrize(
    ("name", "band"), [("r.MP9601", "r"), ("i.MP9702", "i"), ("i2", "i"), ("z.MP9901", "z"), ("gri.MP9605", "gri")]
)
def test_filters_of_every_generation(camera: Camera, name: str, band: str) -> None:
    found = [entry for key, entry in camera.filters.items() if name == key or name in entry.aliases]
    assert [entry.band for entry in found] == [band]
