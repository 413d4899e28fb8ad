"""The level of the pixels of a cell: what counts, what is clipped, where it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.superpixels import CLIPPED_MEAN, MEAN, MEDIAN, cell_levels

SIDE = 100
EDGES = np.array([0, SIDE])


def levels(
    image: np.ndarray,
    bits: np.ndarray | None = None,
    variance: np.ndarray | None = None,
    statistic: int = CLIPPED_MEAN,
    edges: np.ndarray = EDGES,
) -> np.ndarray:
    bits = np.zeros(image.shape, np.int32) if bits is None else bits
    variance = np.full(image.shape, 4.0, np.float32) if variance is None else variance
    return cell_levels(image.astype(np.float32), bits, variance, 1, edges, edges, statistic, 3.0, 3)


@pytest.fixture
def noise() -> np.ndarray:
    return 50.0 + 2.0 * np.random.default_rng(1).standard_normal((SIDE, SIDE))


@pytest.mark.parametrize("statistic", [MEAN, MEDIAN, CLIPPED_MEAN])
def test_level_and_scatter_of_noise(noise: np.ndarray, statistic: int) -> None:
    count, value, x, y, scatter, variance = levels(noise, statistic=statistic)[:, 0, 0]
    assert count == SIDE**2
    assert value == pytest.approx(50.0, abs=3 * 1.26 * 2.0 / SIDE)
    assert (x, y) == pytest.approx((49.5, 49.5), abs=0.2)
    assert scatter == pytest.approx(4.0, rel=0.03)
    assert variance == pytest.approx(4.0)


def test_a_slope_is_no_scatter_and_is_not_clipped(noise: np.ndarray) -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    steep = levels(noise + 3.0 * x - 1.5 * y)[:, 0, 0]
    flat = levels(noise)[:, 0, 0]
    assert steep[4] == pytest.approx(flat[4], rel=1e-3)
    at_place = 3.0 * (steep[2] - 49.5) - 1.5 * (steep[3] - 49.5)
    assert steep[1] - at_place == pytest.approx(flat[1] + 3.0 * 49.5 - 1.5 * 49.5, abs=2e-3)


def test_stars_are_clipped_by_the_mean_and_passed_by_the_median(noise: np.ndarray) -> None:
    lit = noise.copy()
    lit[20:30, 40:50] += 500.0
    clean = levels(noise)[1, 0, 0]
    assert levels(lit)[1, 0, 0] == pytest.approx(clean, abs=0.02)
    assert levels(lit, statistic=MEDIAN)[1, 0, 0] == pytest.approx(clean, abs=0.08)
    assert levels(lit, statistic=MEAN)[1, 0, 0] == pytest.approx(clean + 5.0, abs=0.02)


def test_what_is_masked_or_not_finite_or_of_no_variance_does_not_count(noise: np.ndarray) -> None:
    image, bits = noise.copy(), np.zeros(noise.shape, np.int32)
    variance = np.full(noise.shape, 4.0, np.float32)
    image[:, :20], bits[:, :20] = 1e9, 1
    image[:5, 20:] = np.nan
    image[5:10, 20:], variance[5:10, 20:] = 1e9, np.inf
    image[10:15, 20:], variance[10:15, 20:] = 1e9, 0.0
    bits[50:, 50:] = 2
    count, value, x, y, _, spread = levels(image, bits, variance)[:, 0, 0]
    assert count == 80 * 85
    assert value == pytest.approx(50.0, abs=0.1)
    assert (x, y) == pytest.approx((59.5, 57.0), abs=0.3)
    assert spread == 4.0


def test_cells_are_apart_and_an_empty_one_is_zero(noise: np.ndarray) -> None:
    image = noise.copy()
    image[:40, 40:] = np.nan
    image[40:, :40] += 7.0
    out = levels(image, edges=np.array([0, 40, 100]))
    assert out[0].tolist() == [[1600, 0], [2400, 3600]]
    assert not out[:, 0, 1].any()
    np.testing.assert_allclose(out[1, [0, 1, 1], [0, 0, 1]], [50.0, 57.0, 50.0], atol=0.2)
    assert out[2, 1, 1] == pytest.approx(69.5, abs=0.3)


def test_values_that_are_all_the_same() -> None:
    count, value, _, _, scatter, _ = levels(np.full((SIDE, SIDE), 1234.567))[:, 0, 0]
    assert (count, scatter) == (SIDE**2, pytest.approx(0.0, abs=1e-6))
    assert value == pytest.approx(1234.567, rel=1e-7)


def test_few_pixels_have_no_slope() -> None:
    image = np.full((SIDE, SIDE), np.nan)
    image[3, 5:8] = [1.0, 2.0, 3.0]
    count, value, x, y, _, _ = levels(image)[:, 0, 0]
    assert (count, value, x, y) == (3, 2.0, 6.0, 3.0)
