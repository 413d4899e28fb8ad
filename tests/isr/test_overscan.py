from __future__ import annotations

import numpy as np
import pytest

from skyloom.isr import OverscanSettings
from skyloom.isr.overscan import fit_overscan, trimmed_overscan

LINES = np.arange(500)


def fit(pixels: np.ndarray, **options: object) -> np.ndarray:
    level = fit_overscan(pixels, OverscanSettings(**options))  # type: ignore[arg-type]
    assert level is not None
    return level.levels_adu


@pytest.mark.parametrize("method", ["MEDIAN_PER_ROW", "MEAN_PER_ROW"])
def test_each_row_has_its_level(method: str) -> None:
    truth = 1000 + 5 * np.sin(LINES / 40)
    pixels = truth[:, None] + np.random.default_rng(1).normal(0, 3, (500, 400))
    pixels[::7, 3] += 500.0
    np.testing.assert_allclose(fit(pixels, method=method), truth, atol=0.9)
    np.testing.assert_allclose((fit(pixels, method=method) - truth).std(), 3 / 20, rtol=0.4)


def test_a_spline_follows_slow_changes_with_less_noise() -> None:
    truth = 1000 + 5 * np.sin(LINES / 80)
    pixels = truth[:, None] + np.random.default_rng(1).normal(0, 3, (500, 20))
    error = {method: (fit(pixels, method=method) - truth).std() for method in ("SPLINE", "MEDIAN_PER_ROW")}
    assert error["SPLINE"] < 0.4 * error["MEDIAN_PER_ROW"]


@pytest.mark.parametrize("method", ["MEDIAN", "MEAN"])
def test_one_level_for_the_region(method: str) -> None:
    pixels = 1000.0 + np.random.default_rng(1).normal(0, 3, (500, 40))
    pixels[:20] = 1900.0
    levels = fit(pixels, method=method)
    assert np.ptp(levels) == 0
    assert levels[0] == pytest.approx(1000.0, abs=0.2)


def test_the_median_of_whole_counts_is_not_whole() -> None:
    level = 1000.3
    pixels = np.rint(level + np.random.default_rng(1).normal(0, 0.6, (500, 40))).astype(np.uint16)
    # Inside the bin of the median the counts are taken to be evenly spread, which leaves a small error.
    assert fit(pixels, method="MEDIAN")[0] == pytest.approx(level, abs=0.06)
    assert np.mean(fit(pixels, method="MEDIAN_PER_ROW")) == pytest.approx(level, abs=0.06)
    assert np.median(pixels) == 1000


def test_what_is_far_off_is_no_overscan() -> None:
    pixels = np.full((500, 10), 1000.0)
    pixels[100:110] = 30000.0
    np.testing.assert_allclose(fit(pixels), 1000.0)


def test_skipped_columns_count_from_the_data() -> None:
    pixels = np.arange(8.0)[None, :]
    settings = OverscanSettings(skip_leading=2, skip_trailing=1)
    np.testing.assert_array_equal(trimmed_overscan(pixels, settings, data_first=True)[0], [2, 3, 4, 5, 6])
    np.testing.assert_array_equal(trimmed_overscan(pixels, settings, data_first=False)[0], [1, 2, 3, 4, 5])


def test_levels_outside_the_region_are_the_nearest() -> None:
    level = fit_overscan(np.arange(5.0)[:, None] * np.ones(4), OverscanSettings())
    assert level is not None
    np.testing.assert_array_equal(level.at(np.array([9, 10, 14, 20]), 10), [0, 0, 4, 4])


def test_nothing_to_fit() -> None:
    assert fit_overscan(np.ones((5, 5)), OverscanSettings(method="NONE")) is None
    assert fit_overscan(np.full((5, 5), np.nan), OverscanSettings()) is None
    assert fit_overscan(np.ones((5, 0)), OverscanSettings()) is None
