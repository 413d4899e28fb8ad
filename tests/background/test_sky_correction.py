"""Sky corrections: what they do to a frame, and what becomes of them on disk."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from camera_sky import BINS, SIDE, Visit
from lsst.images import BackgroundMap, Box
from lsst.images.fields import ChebyshevField, ProductField, SumField
from lsst.images.serialization import read_archive, write_archive

from skyloom.background import (
    FocalPlaneSettings,
    SkyCells,
    SkyFrame,
    VisitSky,
    apply_sky_correction,
    bin_sky,
    fit_background,
    fit_focal_plane,
    from_cells_table,
    from_frame_map,
    make_sky_correction,
    render_field,
    sky_field,
    to_cells_table,
    to_frame_map,
    visit_sky_table,
)
from skyloom.errors import BadFrameError
from skyloom.images import Exposure, PhotoCalib

VISIT = Visit(seed=9, galaxy=None)
CALIB = PhotoCalib(3.7, 0.01)


@cache
def cells() -> dict[int, SkyCells]:
    return {one: bin_sky(VISIT.exposure(one), settings=BINS) for one in (0, 1)}


@cache
def sky() -> VisitSky:
    return fit_focal_plane(cells(), settings=FocalPlaneSettings(iterations=1))


def calibrated(detector: int) -> tuple[Exposure, np.ndarray, BackgroundMap]:
    """A frame in nJy without its background; its pixels in electrons with all of the sky; and the background, nJy."""
    exposure = VISIT.exposure(detector)
    electrons = exposure.image.array.copy()
    found = fit_background(electrons, exposure.bits, unit=u.electron)
    background = BackgroundMap()
    background.add("sky", CALIB.calibrate_field(found.field), is_subtracted=True)
    exposure.image.array[...] = (electrons - found.render()) * CALIB.calibration_mean
    exposure.unit, exposure.photo_calib, exposure.backgrounds = u.nJy, CALIB, background
    return exposure, electrons, background


def test_a_frame_with_its_background_put_back_has_the_cells_of_the_sky() -> None:
    exposure, _, background = calibrated(1)
    before = exposure.image.array.copy()
    found = bin_sky(exposure, background["sky"].field, settings=BINS)
    np.testing.assert_allclose(found.level, cells()[1].level, rtol=1e-6)
    np.testing.assert_array_equal(exposure.image.array, before)
    ratio = np.linspace(0.9, 1.1, SIDE, dtype=np.float32)[None, :]
    exposure.image.array[...] /= ratio
    np.testing.assert_allclose(
        bin_sky(exposure, background["sky"].field, flat_ratio=ratio, settings=BINS).level, found.level, rtol=1e-5
    )


def test_subtracting_the_correction_puts_one_sky_in_the_place_of_the_other() -> None:
    exposure, electrons, background = calibrated(1)
    correction = make_sky_correction(
        sky(), 1, background=background["sky"].field, scaling=CALIB.to_field(exposure.bbox)
    )
    apply_sky_correction(exposure, correction)
    expected = CALIB.calibration_mean * (electrons - sky_field(sky(), 1).render(dtype=np.float64).array)
    np.testing.assert_allclose(exposure.image.array, expected, atol=5e-3)
    assert exposure.backgrounds is not None
    assert exposure.backgrounds.subtracted is not None
    np.testing.assert_allclose(
        exposure.backgrounds.subtracted.field.render().array,
        CALIB.calibration_mean * sky_field(sky(), 1).render().array,
        rtol=1e-6,
    )
    with pytest.raises(BadFrameError, match="already"):
        apply_sky_correction(exposure, correction)


def test_a_part_of_a_frame_is_corrected_as_the_whole() -> None:
    whole, _, background = calibrated(0)
    box = Box.factory[40:101, 17:200]
    part = whole[box].copy()
    spatial = ChebyshevField(whole.bbox, np.array([[1.0, 0.02], [0.01, 0.0]]))
    scaling = PhotoCalib(3.7, 0.01, spatial).to_field(whole.bbox)
    correction = make_sky_correction(sky(), 0, background=background["sky"].field, scaling=scaling)
    ratio = np.linspace(0.9, 1.1, SIDE, dtype=np.float32)[:, None] * np.ones(SIDE, np.float32)
    apply_sky_correction(whole, correction, flat_ratio=ratio)
    apply_sky_correction(part, correction, flat_ratio=ratio[40:101, 17:200])
    np.testing.assert_allclose(part.image.array, whole[box].image.array, atol=1e-3)


def test_the_field_of_a_detector_is_the_sky_of_its_cells() -> None:
    field = sky_field(sky(), 1)
    n = BINS.bin_size
    means = field.render(dtype=np.float64).array.reshape(SIDE // n, n, SIDE // n, n).mean(axis=(1, 3))
    np.testing.assert_allclose(means, sky().detectors[1].model, atol=0.06)  # the noise of a cell is 0.44


def test_corrections_of_another_unit_or_place_are_refused() -> None:
    exposure, _, background = calibrated(0)
    with pytest.raises(BadFrameError, match="scaling"):
        make_sky_correction(sky(), 0, background=background["sky"].field)
    with pytest.raises(BadFrameError, match="electron"):
        apply_sky_correction(exposure, make_sky_correction(sky(), 0))
    with pytest.raises(BadFrameError, match="no sky correction"):
        apply_sky_correction(exposure, background)
    moved = Exposure.from_arrays(exposure.image.array, unit=u.electron, x0=SIDE)
    with pytest.raises(BadFrameError, match="the frame of"):
        apply_sky_correction(moved, make_sky_correction(sky(), 0))


def test_cells_frames_and_corrections_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    again = from_cells_table(to_cells_table(cells()[1]))
    assert (again.box, again.placement) == (cells()[1].box, cells()[1].placement)
    np.testing.assert_array_equal(again.level, cells()[1].level)
    with pytest.raises(BadFrameError, match="placement"):
        from_cells_table(to_cells_table(cells()[1])["level", "row"])
    one = cells()[1]
    pattern = np.where(np.arange(one.level.size).reshape(one.level.shape) == 5, np.nan, 0.01)
    frame = SkyFrame(pattern=pattern, error=0.1 * pattern, y=one.y, x=one.x, box=one.box)
    write_archive(to_frame_map(frame), tmp_path / "frame.fits")
    stored = from_frame_map(read_archive(tmp_path / "frame.fits", BackgroundMap))
    np.testing.assert_array_equal(stored.pattern, frame.pattern)
    np.testing.assert_allclose(stored.on(one), 0.01, rtol=1e-12)
    exposure, _, background = calibrated(1)
    correction = make_sky_correction(
        sky(), 1, background=background["sky"].field, scaling=CALIB.to_field(exposure.bbox)
    )
    write_archive(correction, tmp_path / "correction.fits")
    other, _, _ = calibrated(1)
    apply_sky_correction(exposure, correction)
    apply_sky_correction(other, read_archive(tmp_path / "correction.fits", BackgroundMap))
    np.testing.assert_array_equal(other.image.array, exposure.image.array)


def test_figures_have_a_row_a_detector() -> None:
    table = visit_sky_table(sky())
    assert list(table["detector"]) == [0, 1]
    assert table["flag_no_sky_frame"].all()
    assert np.ptp(table["visit_sky_level"]) == 0.0
    for row, one in zip(table, sky().detectors.values(), strict=True):
        assert row["sky_level"] == pytest.approx(np.median(one.model))
        assert row["offset"] == one.offset
    assert all(column.description for column in table.itercols())


def test_fields_are_rendered_as_their_library_does() -> None:
    box = Box.factory[10:60, 3:90]
    field = sky_field(sky(), 0)
    tilt = ChebyshevField(field.bounds.bbox, np.array([[1.0, 0.1], [-0.2, 0.0]]))
    for one in (field, tilt, SumField([field, field * -0.5]), ProductField([field, tilt])):
        np.testing.assert_allclose(render_field(one, box), one.render(box, dtype=np.float64).array, rtol=1e-5)
