from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.statistics import clipped_mean, truncation_factor


def test_pure_noise_keeps_mean_and_scatter() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 200_000)
    mean, sigma, count = clipped_mean(values)
    assert mean == pytest.approx(5.0, abs=0.015)
    assert sigma == pytest.approx(2.0, rel=0.005)
    assert count == pytest.approx(values.size * 0.9973, rel=0.001)


def test_a_tail_of_stars_hardly_moves_the_mean() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(100.0, 3.0, 16384)
    values[:1600] += rng.exponential(500.0, 1600)
    rng.shuffle(values)
    mean, sigma, _ = clipped_mean(values)
    assert mean == pytest.approx(100.0, abs=0.15)
    assert sigma == pytest.approx(3.0, rel=0.03)
    assert values.mean() > 140


def test_integers_with_hardly_any_noise() -> None:
    values = np.rint(np.random.default_rng(4).normal(7.2, 0.3, 10_000))  # quartiles that agree: most values are 7
    mean, sigma, count = clipped_mean(values, n_sigma=4.0)
    assert count == values.size
    assert mean == pytest.approx(values.mean())
    assert sigma == pytest.approx(values.std(), rel=0.01)


def test_constant_and_empty() -> None:
    assert clipped_mean(np.full(10, 3.0)) == (3.0, 0.0, 10)
    mean, sigma, count = clipped_mean(np.empty(0))
    assert np.isnan(mean)
    assert np.isnan(sigma)
    assert count == 0


def test_truncation_factor_is_that_of_a_cut_gaussian() -> None:
    sample = np.random.default_rng(3).normal(size=1_000_000)
    assert truncation_factor(2.0) == pytest.approx(sample[abs(sample) < 2].std(), rel=0.003)
