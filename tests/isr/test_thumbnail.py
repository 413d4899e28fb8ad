from __future__ import annotations

import numpy as np
import pytest

from skyloom.images.mask_planes import bitmask
from skyloom.isr.binning import bin_bits, bin_image
from skyloom.isr.thumbnail import ThumbnailSettings, thumbnail


def sky(shape: tuple[int, int] = (120, 160)) -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(1).normal(1000.0, 20.0, shape).astype(np.float32)
    return image, np.zeros(shape, np.int32)


@pytest.mark.parametrize(("factor", "left_over"), [(8, (4, 0)), (64, (12, 8))])
def test_left_over_rows_are_dropped(factor: int, left_over: tuple[int, int]) -> None:
    image = np.zeros((204, 200), np.float32)
    for binned in (bin_image(image, factor), bin_bits(image.astype(np.int32), factor)):
        assert tuple(np.subtract(image.shape, np.multiply(binned.shape, factor))) == left_over


def test_binning() -> None:
    image = np.arange(24.0, dtype=np.float32).reshape(4, 6)
    np.testing.assert_array_equal(bin_image(image, 2), [[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]])
    image[0, 0] = image[2:, 4:] = np.nan
    np.testing.assert_allclose(bin_image(image, 2), [[14 / 3, 5.5, 7.5], [15.5, 17.5, np.nan]])
    bits = np.zeros((4, 6), np.int32)
    bits[0, 0], bits[1, 1], bits[3, 5] = 1, 4, 2
    np.testing.assert_array_equal(bin_bits(bits, 2), [[5, 0, 0], [0, 0, 2]])


def test_stretch() -> None:
    image, bits = sky()
    image[40:44, 80:84] = 5000.0
    picture = thumbnail(image, bits, ThumbnailSettings(stretch=200.0, softening=8.0))
    assert picture.shape == (30, 40, 3)
    assert picture.dtype == np.uint8
    assert (np.ptp(picture, axis=2) == 0).all()  # grey
    black = 1000.0 - 3 * 20.0 / 4  # binned by 4 the noise is a quarter
    value = 255 * 0.1 / np.arcsinh(0.1 * 8.0) * np.arcsinh(8.0 * (5000.0 - black) / 200.0)
    assert picture[10, 20, 0] == pytest.approx(value, abs=1)
    background = 255 * 0.1 / np.arcsinh(0.1 * 8.0) * np.arcsinh(8.0 * (1000.0 - black) / 200.0)
    assert np.median(picture) == pytest.approx(background, abs=1.5)
    assert 250 > value > 5 * background


def test_masked_pixels_do_not_set_black() -> None:
    image, bits = sky()
    plain = thumbnail(image, bits, ThumbnailSettings())
    image[:, :100] = -3000.0
    bits[:, :100] = bitmask("BAD")
    picture = thumbnail(image, bits, ThumbnailSettings())
    assert (picture[:, :25] == 0).all()
    assert np.median(picture[:, 25:]) == pytest.approx(np.median(plain), abs=8)


def test_saturated_pixels_and_their_border_are_as_bright_as_the_brightest() -> None:
    image, bits = sky()
    image[20:24, 20:24] = 30_000.0
    image[80:84, 80:84] = 0.0  # a well that overflowed
    bits[81, 81] = bitmask("SAT")
    picture = thumbnail(image, bits, ThumbnailSettings())[..., 0]
    brightest = picture[5, 5]
    assert brightest > 2 * np.median(picture)
    shining = np.argwhere(picture == brightest)
    shining = shining[(shining != [5, 5]).any(axis=1)]
    assert len(shining) == 13  # city-block distance of at most 2
    assert (np.abs(shining - 20).sum(axis=1) <= 2).all()
    assert thumbnail(image, bits, ThumbnailSettings(saturated_border=0))[20, 20, 0] == 0


def test_pixels_without_a_value_are_black() -> None:
    image, bits = sky()
    image[:8, :8] = np.nan
    picture = thumbnail(image, bits, ThumbnailSettings())
    assert (picture[:2, :2] == 0).all()
    assert (picture[2:, 2:] > 0).mean() > 0.99
    assert not thumbnail(np.full((16, 16), np.nan, np.float32), bits[:16, :16], ThumbnailSettings()).any()
