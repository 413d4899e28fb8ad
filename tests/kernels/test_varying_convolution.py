"""Convolution with a kernel that changes over the frame, against sums written out and scipy's convolution."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial.chebyshev import chebval2d
from scipy.signal import convolve2d

from skyloom.kernels.varying_convolution import chebyshev_terms, convolve_varying, kernel_at

NO_DATA, SAT, CR = 1, 2, 4
SHAPE = (70, 90)
LIMITS = np.array([0.05, 0.005, 0.05])
RULES = (0.005, 0.05, NO_DATA)
SCALING = (-1.0, 2.0 / (SHAPE[1] - 1), -1.0, 2.0 / (SHAPE[0] - 1))


def gaussian(sigma: float, size: int = 9, dx: float = 0.0) -> np.ndarray:
    offset = np.arange(size) - size // 2
    kernel = np.exp(-0.5 * (offset[:, None] ** 2 + (offset - dx) ** 2) / sigma**2)
    return kernel / kernel.sum()


def planes(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image, variance = rng.normal(0.0, 1.0, SHAPE).astype(np.float32), rng.uniform(1.0, 2.0, SHAPE).astype(np.float32)
    return image, variance, np.zeros(SHAPE, np.int32)


def varying() -> np.ndarray:
    """Order 1: wider to the right, shifted to the top."""
    wider = 0.2 * (gaussian(1.6) - gaussian(1.3))
    shifted = 0.1 * (gaussian(1.4, dx=0.4) - gaussian(1.4, dx=-0.4))
    return np.array([gaussian(1.4), shifted, wider])


def test_terms_are_chebyshev_polynomials() -> None:
    terms = chebyshev_terms(0.3, -0.7, 3)
    powers = [(i, j) for i in range(4) for j in range(4 - i)]
    for term, (i, j) in zip(terms, powers, strict=True):
        c = np.zeros((4, 4))
        c[i, j] = 1.0
        assert term == pytest.approx(chebval2d(0.3, -0.7, c), abs=1e-14)


def test_constant_kernel_is_a_convolution_of_image_and_variance() -> None:
    image, variance, bits = planes()
    kernel = gaussian(1.5, dx=0.3)
    out, spread, flags = convolve_varying((image, variance, bits), kernel[None], 0, SCALING, (8, 16), LIMITS, RULES)
    inner = np.s_[4:-4, 4:-4]
    np.testing.assert_allclose(out[inner], convolve2d(image, kernel, mode="valid"), atol=1e-6)
    np.testing.assert_allclose(spread[inner], convolve2d(variance, kernel**2, mode="valid"), rtol=3e-4)
    assert not flags[inner].any()


def test_kernel_follows_the_position_of_the_result() -> None:
    """Each result is the sum under the kernel of its own position; the blocks only approximate that."""
    image, variance, bits = planes()
    coefficients = varying()
    out, _, _ = convolve_varying((image, variance, bits), coefficients, 1, SCALING, (1, 8), LIMITS, RULES)
    for y, x in ((10, 12), (35, 44), (60, 80), (33, 7)):
        kernel = kernel_at(coefficients, 1, SCALING[0] + SCALING[1] * x, SCALING[2] + SCALING[3] * y)
        window = image[y - 4 : y + 5, x - 4 : x + 5]
        assert out[y, x] == pytest.approx((kernel[::-1, ::-1] * window).sum(), abs=1e-5)
    coarse, _, _ = convolve_varying((image, variance, bits), coefficients, 1, SCALING, (4, 64), LIMITS, RULES)
    assert np.nanmax(np.abs(coarse - out)) < 5e-3


def test_missing_pixels_stay_missing_and_take_as_much_around_them_as_the_kernel_needs() -> None:
    image, variance, bits = planes()
    image[30, 40], variance[30, 40], bits[30, 40] = np.nan, np.inf, NO_DATA
    kernel = gaussian(1.5)
    out, spread, flags = convolve_varying((image, variance, bits), kernel[None], 0, SCALING, (16, 32), LIMITS, RULES)
    lost = np.isnan(out)
    expected = np.zeros(SHAPE, bool)
    expected[26:35, 36:45] = kernel > RULES[0]
    share_inside = convolve2d(np.ones(SHAPE), kernel, mode="same")
    np.testing.assert_array_equal(lost, expected | (1.0 - share_inside > RULES[0]))
    assert 20 < expected.sum() < 60
    assert (flags[lost] & NO_DATA).all()
    assert np.isinf(spread[lost]).all()
    assert not (flags[~lost] & NO_DATA).any()
    # The others take over its share: what is constant stays so.
    flat = np.where(np.isnan(image), np.nan, 7.0).astype(np.float32)
    out, _, _ = convolve_varying((flat, variance, bits), kernel[None], 0, SCALING, (16, 32), LIMITS, RULES)
    np.testing.assert_allclose(out[np.isfinite(out)], 7.0, rtol=1e-6)


def test_unmeasured_pixels_give_their_value_and_no_variance() -> None:
    image, variance, bits = planes()
    full, whole, _ = convolve_varying((image, variance, bits), gaussian(1.5)[None], 0, SCALING, (16, 32), LIMITS, RULES)
    variance[30, 40] = np.inf
    variance[50:53, 60:63] = np.inf
    out, spread, _ = convolve_varying((image, variance, bits), gaussian(1.5)[None], 0, SCALING, (16, 32), LIMITS, RULES)
    np.testing.assert_array_equal(out, full)
    kernel = gaussian(1.5)
    hole = np.zeros(SHAPE)
    hole[30, 40] = hole[50:53, 60:63] = 1.0
    share = convolve2d(hole, kernel, mode="same")
    inside = np.isfinite(whole)
    np.testing.assert_array_equal(np.isinf(spread[inside]), share[inside] > RULES[1])
    touched = inside & (share > 0.0) & (share <= RULES[1])
    np.testing.assert_allclose(spread[touched], whole[touched], rtol=0.1)


def test_planes_are_handed_on_by_their_share_of_the_kernel() -> None:
    image, variance, bits = planes()
    bits[30, 40] = SAT | CR
    bits[50:53, 60:63] = CR
    kernel = gaussian(1.5)
    _, _, flags = convolve_varying((image, variance, bits), kernel[None], 0, SCALING, (16, 32), LIMITS, RULES)
    for plane, limit in ((SAT, LIMITS[1]), (CR, LIMITS[2])):
        share = convolve2d((bits & plane != 0).astype(float), kernel, mode="same")
        np.testing.assert_array_equal(flags & plane != 0, share > limit)
    bits[:] |= CR
    _, _, flags = convolve_varying((image, variance, bits), kernel[None], 0, SCALING, (16, 32), LIMITS, RULES)
    assert (flags[8:-8, 8:-8] & CR).all()


def test_frame_without_a_value_is_missing() -> None:
    image, variance, bits = planes()
    image[:] = np.nan
    bits[3, 4] = SAT
    out, spread, flags = convolve_varying(
        (image, variance, bits), gaussian(1.5)[None], 0, SCALING, (16, 32), LIMITS, RULES
    )
    assert np.isnan(out).all()
    assert np.isinf(spread).all()
    assert (flags & NO_DATA).all()
    assert flags[3, 4] & SAT
