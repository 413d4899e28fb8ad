from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from skyloom.kernels.convolve import convolve_separable, gaussian_kernel


@pytest.mark.parametrize("shape", [(40, 55), (5, 60), (60, 4)])
def test_agrees_with_scipy_also_where_the_kernel_is_larger_than_the_image(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    kernel = gaussian_kernel(1.7)
    expected = correlate1d(correlate1d(image.astype(float), kernel, axis=0, mode="constant"), kernel, mode="constant")
    assert convolve_separable(image, kernel) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("sigma", "width"), [(1.0, 7), (1.5, 11), (2.0, 15), (0.75, 5)])
def test_kernel_has_unit_sum_and_seven_sigmas(sigma: float, width: int) -> None:
    kernel = gaussian_kernel(sigma)
    assert kernel.size == width
    assert kernel.sum() == pytest.approx(1.0, abs=1e-15)
    assert kernel[width // 2 + 1] / kernel[width // 2] == pytest.approx(np.exp(-0.5 / sigma**2))
