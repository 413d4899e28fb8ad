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
    error = {
        method: (fit(pixels, method=method) - truth).std()
        for method in ("NATURAL_SPLINE", "AKIMA_SPLINE", "MEDIAN_PER_ROW")
    }
    assert max(error["NATURAL_SPLINE"], error["AKIMA_SPLINE"]) < 0.4 * error["MEDIAN_PER_ROW"]


@pytest.mark.parametrize("method", ["MEDIAN", "MEANCLIP"])
def test_one_level_for_the_region(method: str) -> None:
    pixels = 1000.0 + np.random.default_rng(1).normal(0, 3, (500, 40))
    pixels[:20] = 1900.0
    levels = fit(pixels, method=method)
    assert np.ptp(levels) == 0
    assert levels[0] == pytest.approx(1000.0, abs=0.2)


CURVES = {"POLY": 5, "CHEB": 5, "LEG": 5, "NATURAL_SPLINE": 5, "CUBIC_SPLINE": 5, "AKIMA_SPLINE": 5}


@pytest.mark.parametrize("method", ["MEAN", "MEANCLIP", "MEDIAN", "MEDIAN_PER_ROW", "MEAN_PER_ROW", *CURVES])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_constant_is_found_exactly(method: str, dtype: type) -> None:
    pixels = np.full((100, 20), 2, dtype)
    pixels[3, 4] = 12345
    np.testing.assert_allclose(fit(pixels, method=method, order=5), 2.0, rtol=1e-12)


@pytest.mark.parametrize("method", CURVES)
def test_curves_follow_a_ramp_to_its_ends(method: str) -> None:
    ramp = np.arange(100.0)
    np.testing.assert_allclose(fit(ramp[:, None] * np.ones(20), method=method, order=5), ramp, atol=1e-9)


@pytest.mark.parametrize("method", ["MEDIAN_PER_ROW", "MEAN_PER_ROW"])
def test_a_wave_of_whole_counts_is_followed_exactly(method: str) -> None:
    wave = np.rint(50 * np.sin(2 * np.pi * LINES / 100)).astype(np.int32)
    np.testing.assert_array_equal(fit(np.repeat(wave[:, None], 10, axis=1), method=method), wave)


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_a_wild_pixel_does_not_count(dtype: type) -> None:
    pixels = np.full((50, 10), 100, dtype) + np.tile([0, 1], 5).astype(dtype)
    pixels[20, 3] = 900
    np.testing.assert_allclose(fit(pixels, method="MEAN_PER_ROW"), 100.5, atol=0.07)


def test_rows_without_a_pixel_take_the_median_of_the_rows_beside() -> None:
    pixels = LINES[:, None] * np.ones(4)
    pixels[100:110] = np.nan
    pixels[495:] = np.nan
    level = fit_overscan(pixels, OverscanSettings())
    assert level is not None
    np.testing.assert_array_equal(level.levels_adu[100:110], np.median([95, 96, 97, 98, 99, 110, 111, 112, 113, 114]))
    np.testing.assert_array_equal(level.levels_adu[495:], 492)
    assert np.flatnonzero(~level.known).tolist() == [*range(100, 110), *range(495, 500)]


def test_too_few_groups_for_a_spline_are_one_level() -> None:
    pixels = LINES[:, None] * np.ones(4)
    np.testing.assert_allclose(fit(pixels, method="AKIMA_SPLINE", order=4), 249.5)


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
