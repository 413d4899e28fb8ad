"""Flux scales, skies and noise of frames on their way to a warp."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.table import Table
from lsst.images import BackgroundMap, Box, Polygon
from lsst.images.fields import ChebyshevField
from lsst.images.serialization import read_archive, write_archive

from skyloom.errors import BadFrameError, PhotometryError
from skyloom.images import Exposure, PhotoCalib, bitmask, from_warp, pixel_to_radec, to_warp
from skyloom.images.projection import projection_from_header
from skyloom.warp import (
    VisitWarp,
    WarpSettings,
    add_background,
    input_box,
    input_polygon,
    masked_share,
    noise_realisation,
    recalibrate,
    subtract_background,
    typical_variance,
)
from warp.sky import frame, tan

SHAPE = (60, 80)
BOX = Box.factory[100:160, 200:280]
SLOPE = ChebyshevField(BOX, np.array([[1.0, 0.1], [-0.05, 0.0]]))


SINGLE = PhotoCalib(2.0, 0.01)


def part(unit: u.UnitBase = u.nJy, calib: PhotoCalib | None = SINGLE) -> Exposure:
    rng = np.random.default_rng(4)
    image = rng.normal(100.0, 5.0, SHAPE)
    return Exposure.from_arrays(
        image, variance=np.full(SHAPE, 25.0), unit=unit, x0=BOX.x.start, y0=BOX.y.start, photo_calib=calib
    )


def test_another_flux_scale_is_the_ratio_of_the_two() -> None:
    exposure, before = part(), part()
    joint = PhotoCalib(2.5, 0.02, SLOPE)
    recalibrate(exposure, joint)
    y, x = np.mgrid[BOX.y.start : BOX.y.stop, BOX.x.start : BOX.x.stop]
    ratio = joint.scale(x, y) / 2.0
    np.testing.assert_allclose(exposure.image.array, before.image.array * ratio, rtol=1e-6)
    np.testing.assert_allclose(exposure.variance.array, 25.0 * ratio**2, rtol=1e-6)
    assert exposure.photo_calib is joint
    recalibrate(exposure, PhotoCalib(2.0, 0.01))
    np.testing.assert_allclose(exposure.image.array, before.image.array, rtol=1e-6)


def test_electrons_are_calibrated_and_what_is_neither_is_refused() -> None:
    exposure = part(u.electron, None)
    recalibrate(exposure, PhotoCalib(3.0, 0.0))
    assert exposure.unit == u.nJy
    np.testing.assert_allclose(exposure.variance.array, 25.0 * 9.0, rtol=1e-6)
    with pytest.raises(PhotometryError, match="without a calibration"):
        recalibrate(part(calib=None), PhotoCalib(3.0, 0.0))
    with pytest.raises(PhotometryError, match="adu"):
        recalibrate(part(u.adu), PhotoCalib(3.0, 0.0))


@pytest.mark.parametrize(
    ("sky_unit", "frame_unit", "factor"),
    [(u.nJy, u.nJy, 1.0), (None, u.nJy, 1.0), (u.electron, u.nJy, 2.0), (u.nJy, u.electron, 0.5)],
)
def test_skies_come_and_go_in_either_unit(sky_unit: u.UnitBase, frame_unit: u.UnitBase, factor: float) -> None:
    field = ChebyshevField(BOX, np.array([[7.0, 1.0]]), unit=sky_unit)
    sky = BackgroundMap()
    sky.add("sky", field, is_subtracted=True)
    exposure, before = part(frame_unit), part(frame_unit)
    add_background(exposure, sky)
    truth = factor * field.render(BOX).array
    np.testing.assert_allclose(exposure.image.array - before.image.array, truth, atol=2e-5)
    np.testing.assert_array_equal(exposure.variance.array, before.variance.array)
    subtract_background(exposure, field)
    np.testing.assert_allclose(exposure.image.array, before.image.array, atol=2e-5)


def test_sky_that_is_not_told_or_does_not_fit_is_refused() -> None:
    several = BackgroundMap()
    several.add("one", SLOPE)
    subtract_background(part(), several)
    several.add("two", SLOPE)
    with pytest.raises(BadFrameError, match="2 models"):
        subtract_background(part(), several)
    with pytest.raises(BadFrameError, match="does not fit"):
        subtract_background(part(calib=None), ChebyshevField(BOX, np.array([[7.0]]), unit=u.electron))


def test_noise_is_reproducible_independent_and_the_same_for_any_part() -> None:
    exposure = part()
    whole = Box.factory[0:300, 0:300]
    first = noise_realisation(exposure, whole, (1, 2, 0, 0), 25.0).image.array
    np.testing.assert_array_equal(first, noise_realisation(exposure, whole, (1, 2, 0, 0), 25.0).image.array)
    inner = Box.factory[120:150, 210:260]
    cut = noise_realisation(exposure[inner], whole, (1, 2, 0, 0), 25.0)
    np.testing.assert_array_equal(cut.image.array, first[inner.slice_within(BOX)])
    assert first.std() == pytest.approx(5.0, rel=0.05)
    for seeds in ((1, 3, 0, 0), (2, 2, 0, 0), (1, 2, 1, 0), (1, 2, 0, 1)):
        other = noise_realisation(exposure, whole, seeds, 25.0).image.array
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.06


def test_noise_of_each_pixel_and_holes() -> None:
    exposure = part()
    exposure.variance.array[:30] = 400.0
    exposure.variance.array[5, 5] = np.inf
    exposure.image.array[50, 50] = np.nan
    noise = noise_realisation(exposure, BOX, (1, 2, 0, 0), 25.0, per_pixel=True)
    assert noise.image.array[:30].std() == pytest.approx(20.0, rel=0.06)
    assert noise.image.array[30:][np.isfinite(noise.image.array[30:])].std() == pytest.approx(5.0, rel=0.06)
    assert np.argwhere(~np.isfinite(noise.image.array)).tolist() == [[50, 50]]
    assert noise.variance is exposure.variance
    assert typical_variance(exposure.variance.array[30:]) == 25.0
    assert np.isnan(typical_variance(np.full((3, 3), np.inf)))


def test_companions_are_filled_from_the_same_detectors() -> None:
    """Noise has the variance of the warp, and the share of bad pixels follows the bilinear weights."""
    rng = np.random.default_rng(5)
    tract = tan((150.0, 2.0), (100.0, 90.0))
    left = frame(rng.normal(size=(180, 110)), tan((150.0, 2.0), (100.4, 90.7)))
    right = frame(rng.normal(size=(180, 120)), tan((150.0, 2.0), (0.6, 90.2)))
    left.bits[60, 40] = bitmask("CR")
    right.variance.array[80, 50] = np.inf
    how = {"noise": WarpSettings(), "bad": WarpSettings(kernel="bilinear", conserve_flux=False)}
    warp = VisitWarp(9, Box.factory[0:180, 0:200], tract, companions=how)
    for number, one in enumerate((left, right)):
        noise = noise_realisation(one, one.bbox, (9, number, 0, 0), 1.0)
        warp.add(number, one, {"noise": noise, "bad": masked_share(one, ("CR",))})
    finished = warp.finish()
    noise, bad = (warp.companion(name, finished.bbox).array for name in ("noise", "bad"))
    held = np.isfinite(finished.image.array)
    np.testing.assert_array_equal(np.isfinite(noise), held)
    np.testing.assert_array_equal(np.isfinite(bad), held)
    measured = np.isfinite(finished.variance.array)
    assert np.mean(noise[measured] ** 2 / finished.variance.array[measured]) == pytest.approx(1.0, abs=0.04)
    assert abs(np.corrcoef(noise[held], finished.image.array[held])[0, 1]) < 0.02
    assert bad[held].min() == 0.0
    assert bad[held].sum() == pytest.approx(2.0, abs=1e-3)
    # The frame's pixel (40, 60) lies at tract (39.6, 59.3).
    at = finished.bbox
    shares = [bad[59 - at.y.start + j, 39 - at.x.start + i] for j in (0, 1) for i in (0, 1)]
    np.testing.assert_allclose(shares, [0.7 * 0.4, 0.7 * 0.6, 0.3 * 0.4, 0.3 * 0.6], atol=1e-3)


def test_inputs_tell_where_each_pixel_came_from(tmp_path: object) -> None:
    tract = tan((150.0, 2.0), (100.0, 90.0))
    source = tan((150.0, 2.0), (100.4, 90.7))
    exposure = frame(np.ones((180, 110)), source, photo_calib=PhotoCalib(2.5, 0.1), band="r")
    exposure.aperture_corrections = {"psf_flux": ChebyshevField(exposure.bbox, np.array([[1.05, 0.25]]))}
    exposure.valid_polygon = Polygon(x_vertices=[-0.5, 300.0, -0.5], y_vertices=[-0.5, -0.5, 99.5])
    warp = VisitWarp(2**33, Box.factory[0:180, 0:200], tract)
    count = warp.add(7, exposure)
    finished = warp.finish()
    write_archive(to_warp(finished), str(tmp_path / "warp.fits"))  # type: ignore[operator]
    table: Table = from_warp(read_archive(str(tmp_path / "warp.fits"))).inputs  # type: ignore[operator]
    (row,) = table
    assert (row["visit"], row["detector"], row["weight"], row["n_pixels"]) == (2**33, 7, 1.0, count)
    assert (row["calibration_mean"], row["calibration_err"]) == (2.5, 0.1)
    assert table["calibration_mean"].unit == u.nJy / u.electron
    assert table["polygon"].description == finished.inputs["polygon"].description
    assert input_box(row) == exposure.bbox.padded(-2)
    polygon = input_polygon(row)
    assert polygon.contains(x=50.0, y=50.0)
    assert not polygon.contains(x=50.0, y=90.0)
    assert not polygon.contains(x=0.5, y=50.0)
    assert row["aperture_corrections"] == '{"psf_flux": 1.05}'
    header = Header.fromstring(row["wcs"], sep="\n")
    again = projection_from_header(header, source.pixel_frame, x0=int(row["x0"]), y0=int(row["y0"]))
    np.testing.assert_allclose(pixel_to_radec(again, 50.0, 60.0), pixel_to_radec(source, 50.0, 60.0), atol=1e-10)
