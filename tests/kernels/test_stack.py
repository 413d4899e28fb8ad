"""Stack statistics against numpy, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.stack import combine_stack

NO_DATA, EDGE, REJECTED, CLIPPED, SENSOR_EDGE, BAD, SAT, OTHER = (1 << k for k in range(8))
FLAGS = (NO_DATA, EDGE, REJECTED, CLIPPED, SENSOR_EDGE)
ALL_BAD = NO_DATA | BAD | SAT


def pixel(values, variances=None, bits=None, weights=None, n_sigma=4.0, iterations=2, sat=2.0):  # type: ignore[no-untyped-def]
    """Combine one pixel's samples; returns (value, variance, bits, n)."""
    n = len(values)
    image = np.array(values, np.float32).reshape(n, 1, 1)
    variance = np.array([1.0] * n if variances is None else variances, np.float32).reshape(n, 1, 1)
    mask = np.array([0] * n if bits is None else bits, np.int32).reshape(n, 1, 1)
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
        (n_sigma, iterations, 0.0),
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


def test_scatter_of_five_samples_excuses_one() -> None:
    assert pixel([-6.0, -3.0, 0.0, 3.0, 6.0])[3] == 5
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


def by_hand(values, variances, weights, medians, noise, clip):  # type: ignore[no-untyped-def]
    """The documented rule for one pixel's usable samples; returns which of them stay."""
    n_sigma, iterations, structure = clip
    if len(values) < 3:
        return np.ones(len(values), bool)
    centre, scatter, error = np.median(values), 0.0, noise
    if len(values) >= 5:
        scatter = 0.741301109252802 * np.subtract(*np.percentile(values, [75, 25]))
    slack = structure * max(np.nanmax(medians) - np.nanmin(medians) - 4 * noise, 0.0)
    for _ in range(iterations):
        sigma = np.sqrt(np.maximum(variances, scatter**2) + error**2)
        kept = np.abs(values - centre) <= n_sigma * sigma + slack
        if not kept.any():
            return np.ones(len(values), bool)
        w = weights[kept]
        centre, error = (w * values[kept]).sum() / w.sum(), np.sqrt((w**2 * variances[kept]).sum()) / w.sum()
    return kept


@pytest.mark.parametrize("n", [3, 4, 7, 12])
@pytest.mark.parametrize("structure", [0.0, 0.5])
def test_agrees_with_the_rule_written_out(n: int, structure: float) -> None:
    rng = np.random.default_rng(n)
    shape = (n, 14, 15)
    variance = rng.uniform(0.5, 2.0, shape).astype(np.float32)
    image = (rng.normal(size=shape) * np.sqrt(variance)).astype(np.float32)
    y, x = np.mgrid[:14, :15]
    for i in range(n):  # a star in different seeing
        image[i] += 200.0 * np.exp(-((x - 7) ** 2 + (y - 6) ** 2) / (2 * (1.5 + 0.8 * i / n) ** 2)) / (1 + i / n)
    hits = rng.random(shape) < 0.05
    image[hits] += 30.0
    bits = np.where(rng.random(shape) < 0.1, BAD, OTHER).astype(np.int32)
    missing = rng.random(shape) < 0.1
    image[missing], variance[missing], bits[missing] = np.nan, np.inf, NO_DATA
    weights = rng.uniform(0.5, 1.5, n)
    clip = (4.0, 2, structure)
    out, spread, mask, used = combine_stack(
        image, variance, bits, weights, ALL_BAD, FLAGS, np.full(8, 2.0), clip, (2, 12)
    )
    usable = (bits & ALL_BAD == 0) & np.isfinite(image)
    medians = np.array(
        [
            [np.median(image[usable[:, r, c], r, c]) if usable[:, r, c].any() else np.nan for c in range(15)]
            for r in range(14)
        ]
    )
    clipped = 0
    for r in range(2, 12):
        for c in range(15):
            ok = usable[:, r, c]
            values, variances, w = image[ok, r, c].astype(float), variance[ok, r, c].astype(float), weights[ok]
            if not ok.any():
                assert np.isinf(spread[r - 2, c])
                continue
            noise = np.sqrt(np.pi / 2 * variances.sum()) / len(values)
            around = medians[max(0, r - 2) : r + 3, max(0, c - 2) : c + 3]
            kept = by_hand(values, variances, w, around, noise, clip)
            clipped += (~kept).sum()
            assert used[r - 2, c] == kept.sum()
            assert bool(mask[r - 2, c] & CLIPPED) == (not kept.all())
            assert bool(mask[r - 2, c] & REJECTED) == bool((bits[:, r, c] & BAD).any())
            w = w[kept]
            assert out[r - 2, c] == pytest.approx((w * values[kept]).sum() / w.sum(), rel=1e-5, abs=1e-5)
            assert spread[r - 2, c] == pytest.approx((w**2 * variances[kept]).sum() / w.sum() ** 2, rel=1e-5)
    assert clipped > 3
