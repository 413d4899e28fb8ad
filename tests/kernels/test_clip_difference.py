"""Mean less clipped mean against plain numpy; excesses and counts in spans against masks."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.clip_difference import clip_difference, excess_in_spans
from skyloom.kernels.span_counts import (
    any_bit,
    count_in_spans,
    count_overlap,
    count_within,
    dilate_diamond,
    sum_in_spans,
)


def reference(
    values: np.ndarray, variances: np.ndarray, weights: np.ndarray, n_sigma: float, iterations: int
) -> tuple[float, float, float]:
    """The definition, for one pixel."""
    low, centre, high = np.percentile(values, (25, 50, 75))
    limit = n_sigma * 0.741301109252802 * (high - low)
    kept = np.abs(values - centre) <= limit
    for _ in range(iterations - 1):
        w = weights[kept]
        centre = np.average(values[kept], weights=w)
        if kept.sum() > 1:
            scatter = np.average((values[kept] - centre) ** 2, weights=w)
            limit = n_sigma * np.sqrt(scatter * w.sum() ** 2 / (w.sum() ** 2 - (w**2).sum()))
        kept = np.abs(values - centre) <= limit + 1e-9
    mean, clipped = np.average(values, weights=weights), np.average(values[kept], weights=weights[kept])
    both = [(w**2 * v).sum() / w.sum() ** 2 for w, v in ((weights, variances), (weights[kept], variances[kept]))]
    return mean - clipped, sum(both), clipped


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 16, 33])
@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_against_the_definition(n: int, iterations: int) -> None:
    rng = np.random.default_rng([n, iterations])
    shape = (n, 3, 300)
    image = rng.normal(100.0, 5.0, shape).astype(np.float32)
    image[0, 1] += 60.0
    variance, weights = rng.uniform(20.0, 30.0, shape).astype(np.float32), rng.uniform(0.5, 2.0, n)
    bits = rng.choice([0, 2, 4], shape, p=[0.8, 0.1, 0.1]).astype(np.int32)
    image[rng.random(shape) < 0.03] = np.nan
    variance[rng.random(shape) < 0.03] = np.inf
    difference, error, clipped, mask = clip_difference(image, variance, bits, weights, 4, (1.5, iterations), 1)
    for y in range(3):
        for x in range(300):
            used = (bits[:, y, x] & 4 == 0) & np.isfinite(image[:, y, x]) & np.isfinite(variance[:, y, x])
            if not used.any():
                assert np.isnan(difference[y, x])
                assert np.isinf(error[y, x])
                assert mask[y, x] == 1
                continue
            columns = (plane[used, y, x].astype(float) for plane in (image, variance))
            expected = reference(*columns, weights[used], 1.5, iterations)
            assert difference[y, x] == pytest.approx(expected[0], abs=2e-5)
            assert error[y, x] == pytest.approx(expected[1], rel=1e-5)
            assert clipped[y, x] == pytest.approx(expected[2], rel=1e-6)
            assert mask[y, x] == np.bitwise_or.reduce(bits[used, y, x])


def test_where_none_would_stay_all_do() -> None:
    image = np.array([1.0, 2.0, 5.0, 9.0], np.float32).reshape(4, 1, 1)
    variance, bits, weights = np.ones((4, 1, 1), np.float32), np.zeros((4, 1, 1), np.int32), np.ones(4)
    difference, error, clipped, _ = clip_difference(image, variance, bits, weights, 1, (0.01, 2), 1)
    assert difference[0, 0] == 0.0
    assert clipped[0, 0] == 4.25
    assert error[0, 0] == 0.5


def test_excess_beyond_structure() -> None:
    y, x = np.mgrid[:41, :41]
    star = 1000 * np.exp(-((x - 20) ** 2 + (y - 20) ** 2) / 8.0)
    wide = 700 * np.exp(-((x - 20) ** 2 + (y - 20) ** 2) / 11.0)
    variance, spread = np.full((41, 41), 25.0, np.float32), np.full((41, 41), 2.0, np.float32)
    rows = np.arange(12, 29)
    spans = (rows, np.full(17, 12), np.full(17, 29))

    def excess(image: np.ndarray, bits: np.ndarray | None = None) -> tuple[int, float, float]:
        bits = np.zeros((41, 41), np.int32) if bits is None else bits
        planes = (image.astype(np.float32), variance, bits)
        return excess_in_spans(planes, (0, 0), (star.astype(np.float32), spread), (0, 0), spans, (1, 3.0, 1.0))

    outliers, strongest, significance = excess(wide)
    assert outliers == 0
    assert strongest < 3.0
    assert abs(significance) < 3.0
    hit = star.copy()
    hit[13, 13] += 100.0
    outliers, strongest, significance = excess(hit)
    assert outliers == 1
    assert strongest > 15
    hit[12:14, 14:27] += 30.0
    outliers, _, significance = excess(hit)
    assert outliers >= 10
    assert significance > 5
    assert excess(hit, np.ones((41, 41), np.int32)) == (0, 0.0, 0.0)


def test_counts_against_masks() -> None:
    rng = np.random.default_rng(2)
    bits = rng.choice([0, 1, 2, 4, 6], (20, 30)).astype(np.int32)
    y, x0, x1 = np.array([5, 6, 6, 30, 12]), np.array([3, 1, 10, 5, 25]), np.array([9, 4, 20, 9, 60])
    start = np.array([0, 3, 5])
    bad, wanted = count_in_spans(bits, (0, 0), (y, x0, x1), start, 1, 2)
    for region in range(2):
        part = [
            bits[row, a:b]
            for row, a, b in list(zip(y, x0, x1, strict=True))[start[region] : start[region + 1]]
            if row < 20
        ]
        inside = np.concatenate(part)
        outside = [0, 4 + 30][region]
        assert bad[region] == (inside & 1 != 0).sum() + outside
        assert wanted[region] == ((inside & 2 != 0) & (inside & 1 == 0)).sum()
    label = np.array([0, 0, 1])
    area, marked = count_overlap(bits == 4, y[:3], x0[:3], x1[:3], label, 2)
    assert area.tolist() == [9, 10]
    assert marked[1] == (bits[6, 10:20] == 4).sum()
    limits = np.array([2])
    within = count_within(bits, (0, 0), (y[:1], x0[:1], x1[:1]), np.array([0, 1]), limits)
    assert within.tolist() == [((bits[5, 3:9] > 0) & (bits[5, 3:9] <= 2)).sum()]
    total = sum_in_spans(bits, (1, 2), (y[:1] + 1, x0[:1] + 2, x1[:1] + 2), np.array([0, 1]))
    assert total.tolist() == [bits[5, 3:9].sum()]
    assert any_bit(bits, 4)
    assert not any_bit(bits, 8)


def test_diamonds() -> None:
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = mask[0, 8] = True
    y, x = np.mgrid[:9, :9]
    expected = (np.abs(y - 4) + np.abs(x - 4) <= 3) | (y + np.abs(x - 8) <= 3)
    np.testing.assert_array_equal(dilate_diamond(mask, 3), expected)
