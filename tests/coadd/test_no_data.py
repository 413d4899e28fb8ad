"""Values for missing pixels of coadds: fallbacks, planes, and what the picture is left with."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box
from lsst.pex.config import FieldValidationError

from coadd.mock_warps import warp
from skyloom.coadd import Fallback, InterpolationSettings, fallback_value, interpolate_missing
from skyloom.images import Exposure, SpanSet, bitmask
from skyloom.kernels.interpolate_rows import interpolate_rows
from skyloom.tasks.interp_image import InterpImageConfig, InterpImageTask

SHAPE = (30, 40)
BOX = Box.factory[100:130, 7:47]
LOST, FILLED = bitmask("NO_DATA"), bitmask("NO_DATA", "INTRP")


def picture(level: float = 50.0) -> Exposure:
    """A sky with a hole, a strip along each edge and whole rows missing."""
    image = np.random.default_rng(8).normal(level, 2.0, SHAPE)
    missing = np.zeros(SHAPE, bool)
    missing[5:8, 20:23] = missing[:, :9] = missing[:, 33:] = missing[:3] = missing[-2:] = True
    image[missing] = np.nan
    return warp(1, image, np.where(missing, np.inf, 4.0), np.where(missing, LOST, 0), box=BOX)


def task(**settings: object) -> InterpImageTask:
    config = InterpImageConfig()
    for name, value in settings.items():
        setattr(config, name, value)
    config.validate()
    return InterpImageTask(config=config)


@pytest.mark.parametrize("transpose", [False, True])
def test_missing_pixels_get_values_and_stay_unmeasured(transpose: bool) -> None:
    exposure = picture()
    before = exposure.copy()
    missing = before.bits == LOST
    job = task(transpose=transpose)
    job.run(exposure, planeName="NO_DATA")
    assert np.isfinite(exposure.image.array).all()
    assert (exposure.bits[missing] == FILLED).all()
    assert np.isinf(exposure.variance.array[missing]).all()
    np.testing.assert_array_equal(exposure.image.array[~missing], before.image.array[~missing])
    np.testing.assert_array_equal(exposure.variance.array[~missing], before.variance.array[~missing])
    assert (exposure.bits[~missing] == 0).all()
    assert job.metadata["interpolated_pixel_count"] == missing.sum()
    pixels = before.image.array.T.copy() if transpose else before.image.array.copy()
    median = np.float32(np.nanmedian(before.image.array))
    interpolate_rows(pixels, missing.T.copy() if transpose else missing, median, True)
    np.testing.assert_allclose(exposure.image.array, pixels.T if transpose else pixels, rtol=1e-6)
    assert exposure.image.array[0, 0] == pytest.approx(median)


def test_fallbacks() -> None:
    values = np.concatenate([np.random.default_rng(2).normal(10.0, 1.0, 1999), [1e4, np.nan]]).astype(np.float32)
    image = values[np.newaxis]
    finite = values[:-1].astype(float)
    expected = {"MEAN": finite.mean(), "MEDIAN": np.median(finite), "USER": 3.5}
    for name, value in expected.items():
        settings = InterpolationSettings(fallback=Fallback(name), user_value=3.5)
        assert fallback_value(image, settings) == (pytest.approx(value, rel=1e-6), False)
    clipped, _ = fallback_value(image, InterpolationSettings(fallback=Fallback.MEANCLIP))
    assert clipped == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize(("allowed", "expected"), [(False, 0.0), (True, -50.0)])
def test_negative_fallback(allowed: bool, expected: float, caplog: pytest.LogCaptureFixture) -> None:
    exposure = picture(-50.0)
    task(negativeFallbackAllowed=allowed).run(exposure, planeName="NO_DATA")
    assert exposure.image.array[0, 20] == pytest.approx(expected, abs=0.2)
    assert ("negative" in caplog.text) is not allowed


def test_picture_without_a_pixel() -> None:
    nothing = warp(1, np.full(SHAPE, np.nan), np.inf, LOST, box=BOX)
    filled = interpolate_missing(nothing, nothing.bits == LOST)
    assert not filled.any()
    assert (nothing.bits == LOST).all()
    given = warp(1, np.full(SHAPE, np.nan), np.inf, LOST, box=BOX)
    task(fallbackValueType="USER", fallbackUserValue=2.0).run(given, planeName="NO_DATA")
    assert (given.image.array == 2.0).all()
    assert (given.bits == FILLED).all()
    assert np.isinf(given.variance.array).all()


def test_defects_are_boxes_or_spans() -> None:
    exposure = warp(1, np.full(SHAPE, 5.0), 1.0, box=BOX)
    exposure.image.array[3, 10:12] = 900.0
    exposure.image.array[9, 20] = 900.0
    spans = SpanSet.from_box(Box.factory[109:110, 27:28])
    task().run(exposure, defects=[Box.factory[103:104, 17:19], spans])
    np.testing.assert_allclose(exposure.image.array, 5.0, rtol=1e-6)
    assert (exposure.bits != 0).sum() == np.isinf(exposure.variance.array).sum() == 3


def test_what_to_fill_is_said_once() -> None:
    job, exposure = task(), picture()
    for words in ({}, {"planeName": "NO_DATA", "defects": []}):
        with pytest.raises(ValueError, match="either planeName or defects"):
            job.run(exposure, **words)
    with pytest.raises(ValueError, match="no mask plane 'HOLE'"):
        job.run(exposure, planeName="HOLE")


def test_negative_value_of_the_user() -> None:
    with pytest.raises(FieldValidationError, match="negative"):
        task(fallbackValueType="USER", fallbackUserValue=-1.0)
    exposure = picture()
    task(fallbackValueType="USER", fallbackUserValue=-1.0, negativeFallbackAllowed=True).run(
        exposure, planeName="NO_DATA"
    )
    assert exposure.image.array[0, 0] == -1.0
