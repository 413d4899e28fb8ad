"""Stack statistics against numpy, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.stack import combine_stack, local_range, robust_stack

NO_DATA, EDGE, REJECTED, CLIPPED, SENSOR_EDGE, BAD, SAT, OTHER = (1 << k for k in range(8))
FLAGS = (NO_DATA, EDGE, REJECTED, CLIPPED, SENSOR_EDGE)
ALL_BAD = NO_DATA | BAD | SAT


def pixel(values, variances=None, bits=None, weights=None, n_sigma=4.0, iterations=2, slack=0.0, sat=2.0):  # type: ignore[no-untyped-def]
    """Combine one pixel's samples; returns (value, variance, bits, n)."""
    n = len(values)
    image = np.array(values, np.float32).reshape(n, 1, 1)
    variance = np.array([1.0] * n if variances is None else variances, np.float32).reshape(n, 1, 1)
    mask = np.array([0] * n if bits is None else bits, np.int32).reshape(n, 1, 1)
    median, scatter, noise = robust_stack(image, variance, mask, ALL_BAD)
    thresholds = np.full(8, 2.0)
    thresholds[6] = sat
    result = combine_stack(
        image,
        variance,
        mask,
        np.ones(n) if weights is None else np.array(weights, float),
        ALL_BAD,
        FLAGS,
        thresholds,
        (n_sigma, iterations),
        (median, scatter, noise, np.full((1, 1), slack, np.float32)),
        (0, 1),
    )
    return tuple(plane[0, 0] for plane in result)


def test_weighted_mean_and_its_variance() -> None:
    value, variance, bits, n = pixel([1.0, 2.0, 4.0], [1.0, 2.0, 3.0], weights=[1.0, 0.5, 0.25])
    assert value == pytest.approx((1 + 1 + 1) / 1.75)
    assert variance == pytest.approx((1 + 0.25 * 2 + 0.0625 * 3) / 1.75**2)
    assert (bits, n) == (0, 3)


@pytest.mark.parametrize("n", [3, 4, 6, 20])
def test_one_outlier_is_clipped_whatever_the_number(n: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.normal(10.0, 1.0, n)
    values[1] = 40.0
    value, variance, bits, used = pixel(values)
    assert value == pytest.approx(np.delete(values, 1).mean(), rel=1e-6)
    assert variance == pytest.approx(1 / (n - 1))
    assert (bits, used) == (CLIPPED, n - 1)


def test_two_samples_that_disagree_both_stay() -> None:
    assert pixel([10.0, 40.0])[::3] == (25.0, 2)


def test_sample_exactly_at_the_limit_stays() -> None:
    limit = 4.0 * np.sqrt(1.0 + np.pi / 2 / 4)  # the sample's noise and that of the median of four
    assert pixel([0.0, 0.0, 0.0, limit - 1e-5], iterations=1)[3] == 4
    assert pixel([0.0, 0.0, 0.0, limit + 1e-5], iterations=1)[3] == 3


def test_slack_and_scatter_excuse_a_sample() -> None:
    assert pixel([0.0, 0.0, 0.0, 9.0])[3] == 3
    assert pixel([0.0, 0.0, 0.0, 9.0], slack=5.5)[3] == 4
    assert pixel([0.0, 0.0, 0.0, 9.0], slack=3.5)[3] == 3
    wide = [-6.0, -3.0, 0.0, 3.0, 6.0]
    assert pixel(wide)[3] == 5
    assert pixel([-8.0, -4.0, 4.0, 8.0])[3] == 2


def test_second_look_is_from_the_mean_of_what_stayed() -> None:
    values = [0.0, 1.0, 4.0, 60.0]
    assert pixel(values, iterations=0, n_sigma=2.1)[3] == 4
    assert pixel(values, iterations=1, n_sigma=2.1)[3] == 2
    assert pixel(values, iterations=2, n_sigma=2.1)[3] == 3


def test_all_samples_stay_where_none_would() -> None:
    assert pixel([0.0, 0.0, 100.0, 100.0])[3] == 4


def test_unusable_samples_are_left_out_and_flagged() -> None:
    nan, inf = np.nan, np.inf
    assert pixel([1.0, nan, 3.0], bits=[0, NO_DATA, 0]) == (2.0, 0.5, 0, 2)
    assert pixel([1.0, nan, 3.0], bits=[0, NO_DATA | EDGE, 0]) == (2.0, 0.5, SENSOR_EDGE, 2)
    assert pixel([1.0, 9.0, 3.0], bits=[0, BAD, OTHER]) == (2.0, 0.5, REJECTED | OTHER, 2)
    assert pixel([1.0, 9.0, 3.0], variances=[1.0, inf, 1.0]) == (2.0, 0.5, REJECTED, 2)
    assert pixel([1.0, nan, 3.0], bits=[0, NO_DATA | BAD, 0])[2] == REJECTED


def test_pixels_without_usable_samples() -> None:
    value, variance, bits, n = pixel([4.0, 8.0, np.nan], bits=[SAT, SAT, NO_DATA], weights=[3.0, 1.0, 1.0])
    assert (value, variance, n) == (5.0, np.inf, 0)
    assert bits == SAT | REJECTED
    value, variance, bits, n = pixel([np.nan, np.nan], bits=[NO_DATA, NO_DATA])
    assert np.isnan(value)
    assert (variance, bits, n) == (np.inf, NO_DATA, 0)


@pytest.mark.parametrize(("weight", "flagged"), [(0.09, False), (0.11, True)])
def test_left_out_planes_propagate_by_weight(weight: float, flagged: bool) -> None:
    bits = pixel([1.0, 1.0, 50.0], bits=[0, 0, SAT], weights=[0.5, 0.5 - weight, weight], sat=0.1)[2]
    assert bool(bits & SAT) is flagged


def test_robust_statistics_agree_with_numpy() -> None:
    rng = np.random.default_rng(2)
    image = rng.normal(size=(9, 6, 7)).astype(np.float32)
    bits = np.where(rng.random(image.shape) < 0.2, BAD, 0).astype(np.int32)
    image[0, 0, 0] = np.nan
    bits[:, 2, 3] = BAD
    median, scatter, noise = robust_stack(image, np.full_like(image, 4.0), bits, BAD)
    values = np.where(bits == 0, image.astype(float), np.nan)
    values[:, 2, 3] = 0.0
    expected = np.nanmedian(values, axis=0)
    expected[2, 3] = np.nan
    iqr = np.subtract(*np.nanpercentile(values, [75, 25], axis=0))
    values[:, 2, 3] = np.nan
    count = np.isfinite(values).sum(axis=0)
    np.testing.assert_allclose(median, expected, rtol=1e-6)
    np.testing.assert_allclose(scatter[count >= 5], 0.7413 * iqr[count >= 5], rtol=1e-5)
    assert (scatter[count < 5] == 0).all()
    np.testing.assert_allclose(noise[count > 0], 1.2533 * 2 / np.sqrt(count[count > 0]), rtol=1e-4)


def test_local_range_agrees_with_scipy() -> None:
    from scipy.ndimage import maximum_filter, minimum_filter

    image = np.random.default_rng(3).normal(size=(20, 30)).astype(np.float32)
    expected = maximum_filter(image, 5, mode="nearest") - minimum_filter(image, 5, mode="nearest")
    np.testing.assert_allclose(local_range(image, 2), expected, rtol=1e-6)
    image[5, 6] = np.nan
    assert np.isfinite(local_range(image, 2)).all()
    assert (local_range(np.full((4, 4), np.nan, np.float32), 2) == 0).all()
