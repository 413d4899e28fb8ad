from __future__ import annotations

import numpy as np
import pytest

from skyloom.images.mask_planes import bitmask
from skyloom.isr.bad_regions import fill_bad_regions

BAD, INTRP, SAT = bitmask("BAD"), bitmask("INTRP"), bitmask("SAT")


def frame() -> tuple[np.ndarray, np.ndarray]:
    """Skewed pixels about 100, a wild BAD block, and in it a row that was interpolated."""
    image = (100 + np.random.default_rng(1).exponential(10.0, (60, 50))).astype(np.float32)
    bits = np.zeros(image.shape, np.int32)
    image[10:20, 5:15] = 1e6
    bits[10:20, 5:15] = BAD
    image[12, 5:15] = 123.0
    bits[12, 5:15] |= INTRP
    bits[40] = SAT | INTRP
    return image, bits


def test_median() -> None:
    image, bits = frame()
    good = image[(bits & BAD) == 0]
    before = image.copy()
    count, level = fill_bad_regions(image, bits)
    assert count == 90
    assert level == np.median(good)
    filled = (bits & (BAD | INTRP)) == BAD
    np.testing.assert_array_equal(image[filled], np.float32(level))
    np.testing.assert_array_equal(image[~filled], before[~filled])


def test_clipped_mean() -> None:
    image, bits = frame()
    image[0, :20] = 50_000.0
    _, level = fill_bad_regions(image, bits, "MEANCLIP")
    # An exponential without its tail has its mean above the median of the whole and below the mean of the whole.
    assert 100 + 10 * np.log(2) + 0.5 < level < 110.0
    assert np.all(image[14, 5:15] == np.float32(level))


def test_pixels_that_are_not_numbers_do_not_count() -> None:
    image, bits = frame()
    image[50:] = np.nan
    _, level = fill_bad_regions(image, bits)
    assert level == pytest.approx(100 + 10 * np.log(2), abs=1)


def test_nothing_good() -> None:
    image, bits = np.ones((3, 4), np.float32), np.full((3, 4), BAD, np.int32)
    count, level = fill_bad_regions(image, bits)
    assert count == 12
    assert np.isnan(level)
    assert np.isnan(image).all()


def test_unknown_statistic() -> None:
    with pytest.raises(ValueError, match="'MODE'"):
        fill_bad_regions(*frame(), "MODE")  # type: ignore[arg-type]
