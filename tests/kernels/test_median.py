"""The median filter against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from skyloom.kernels.median import median_filter


@pytest.mark.parametrize("window", [1, 3, 5, 7])
@pytest.mark.parametrize("shape", [(30, 600), (41, 256), (9, 7)])
def test_as_scipy(shape: tuple[int, int], window: int) -> None:
    image = np.random.default_rng(window).normal(size=shape).astype(np.float32)
    image[3, :5] = 1e30
    image[4] = 2.0
    np.testing.assert_array_equal(median_filter(image, window), ndimage.median_filter(image, window, mode="mirror"))


def test_the_window_has_a_middle() -> None:
    with pytest.raises(ValueError, match="odd"):
        median_filter(np.zeros((5, 5), np.float32), 4)
