from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.clipped_statistics import ClippedStatistics, clipped_statistics


def statistics_of(values: np.ndarray, n_sigma: float = 3.0, passes: int = 3) -> ClippedStatistics:
    image = np.asarray(values, np.float32)[None]
    return clipped_statistics(image, np.zeros(image.shape, np.int32), 0, n_sigma, passes)


def test_outliers_are_left_out() -> None:
    random = np.random.default_rng(1)
    values = np.concatenate([random.normal(100.0, 5.0, 40_000), random.uniform(200.0, 60_000.0, 2000)])
    found = statistics_of(values)
    assert found.mean == pytest.approx(100.0, abs=0.2)
    assert found.whole_mean == pytest.approx(values.mean(), rel=1e-6)
    assert found.sigma == pytest.approx(0.9866 * 5.0, rel=0.02)  # a Gaussian without what is beyond 3 sigma
    assert found.median == pytest.approx(np.median(values), rel=1e-6)
    assert values.mean() > 1000


@pytest.mark.parametrize("passes", [1, 2, 3, 8])
def test_every_pass_is_made(passes: int) -> None:
    values = np.random.default_rng(2).exponential(10.0, 5001).astype(np.float32).astype(float)
    low, centre, high = np.quantile(values, [0.25, 0.5, 0.75])
    half_width = 2.0 * 0.741301109252802 * (high - low)
    for _ in range(passes):
        kept = values[np.abs(values - centre) <= half_width]
        centre, half_width = kept.mean(), 2.0 * kept.std(ddof=1)
    found = statistics_of(values, 2.0, passes)
    assert found.mean == pytest.approx(kept.mean(), rel=1e-12)
    assert found.sigma == pytest.approx(kept.std(ddof=1), rel=1e-9)
    assert found.accepted == len(kept)


def test_values_at_a_high_level_keep_their_scatter() -> None:
    values = (60_000 + np.random.default_rng(3).normal(0, 0.5, 100_000)).astype(np.float32)
    assert statistics_of(values, 9.0).sigma == pytest.approx(0.5, rel=0.01)


def test_small_samples() -> None:
    empty = statistics_of(np.array([np.nan]))
    assert np.isnan([*empty[:3], empty.whole_mean]).all()
    assert empty.accepted == 0
    one = statistics_of(np.array([7.0]))
    assert (one.median, one.mean, one.accepted) == (7.0, 7.0, 1)
    assert np.isnan(one.sigma)
    assert statistics_of(np.full(9, 3.0)) == (3.0, 3.0, 0.0, 9, 3.0)


def test_masked_and_infinite_pixels_do_not_count() -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    image[0, 1], image[2, 3] = np.nan, np.inf
    bits = np.zeros((3, 4), np.int32)
    bits[1, 0], bits[1, 1] = 3, 4
    found = clipped_statistics(image, bits, 1, np.inf)
    kept = np.array([0, 2, 3, 5, 6, 7, 8, 9, 10])
    assert found == (6.0, pytest.approx(kept.mean()), pytest.approx(kept.std(ddof=1)), 9, pytest.approx(kept.mean()))
    half = clipped_statistics(image[:, ::2], bits[:, ::2], 0, np.inf)
    assert half.accepted == 6
    assert half.mean == pytest.approx(5.0)
