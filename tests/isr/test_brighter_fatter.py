"""The correction against charge that was displaced by the simulator, which keeps the total exactly."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from scipy import signal

from skyloom.errors import BadFrameError
from skyloom.isr.brighter_fatter import (
    BrighterFatterChange,
    BrighterFatterMethod,
    BrighterFatterSettings,
    correct_brighter_fatter,
)
from skyloom.kernels.brighter_fatter import convolve_padded
from skyloom.simulate.charge import brighter_fatter_kernel, repel_charge

METHODS = get_args(BrighterFatterMethod)
POTENTIAL = brighter_fatter_kernel(0.02)
INNER = (slice(12, -12), slice(12, -12))


def corrected(
    image: np.ndarray, kernel: np.ndarray = -POTENTIAL, **options: object
) -> tuple[np.ndarray, BrighterFatterChange]:
    result = image.astype(np.float32)
    return result, correct_brighter_fatter(result, kernel, BrighterFatterSettings(**options))  # type: ignore[arg-type]


def star(fwhm_px: float = 3.5) -> np.ndarray:
    """A star of 60000 electrons at its peak, on a sky of 1000."""
    y, x = np.mgrid[-50:51, -50:51]
    return np.asarray(1000 + 60000 * np.exp(-4 * np.log(2) * (x * x + y * y) / fwhm_px**2))


def size_px(image: np.ndarray) -> float:
    """Width of a star in the middle of an image, from moments weighted by a wider Gaussian."""
    y, x = np.mgrid[-50:51, -50:51]
    light = (image - 1000.0) * np.exp(-(x * x + y * y) / 18.0)
    return float(np.sqrt((light * (x * x + y * y)).sum() / light.sum() / 2))


@pytest.mark.parametrize("method", METHODS)
def test_a_flat_image_stays_exactly(method: str) -> None:
    image = np.full((60, 70), 51234.567, np.float32)
    result, change = corrected(image, method=method)
    np.testing.assert_array_equal(result, image)
    assert change == BrighterFatterChange(iterations=1, last_change=0.0, converged=True)


@pytest.mark.parametrize("kernel", [np.zeros((17, 17)), np.zeros((1, 1))])
def test_no_kernel_no_change(kernel: np.ndarray) -> None:
    image = np.random.default_rng(1).normal(1000, 30, (60, 70)).astype(np.float32)
    np.testing.assert_array_equal(corrected(image, kernel)[0], image)


@pytest.mark.parametrize("method", METHODS)
def test_a_delta_kernel_sharpens(method: str) -> None:
    # With K a delta function of weight -k, the potential is -k F: one pass adds -k/2 div(F grad F).
    k, curvature = 1e-6, 3.0
    x = np.arange(60) - 30.0
    image = 20000 + 0.5 * curvature * np.broadcast_to(x * x, (40, 60))
    expected = image - 0.5 * k * ((curvature * x) ** 2 + image * curvature)
    result, _ = corrected(image, np.array([[-k]]), method=method, max_iterations=1)
    # At 20000 electrons a float32 is good to 0.002.
    np.testing.assert_allclose(result[1:-1, 1:-1], expected[1:-1, 1:-1], atol=4e-3)
    assert np.abs(image - expected)[1:-1, 1:-1].min() > 0.02


@pytest.mark.parametrize(("method", "peak", "size"), [("COULTON18", 0.2, 0.03), ("FLUX_CONSERVING", 1e-5, 1e-5)])
def test_a_star_gets_its_shape_back(method: str, peak: float, size: float) -> None:
    truth = star()
    observed = repel_charge(truth, POTENTIAL)
    result, change = corrected(observed, method=method, threshold=1.0)
    error = {
        name: (image[50, 50] / truth[50, 50] - 1, size_px(image) / size_px(truth) - 1)
        for name, image in (("before", observed), ("after", result))
    }
    assert error["before"][0] < -0.01
    assert error["before"][1] > 0.003
    assert abs(error["after"][0]) < peak * abs(error["before"][0])
    assert abs(error["after"][1]) < size * error["before"][1]
    assert change.converged


def test_a_wide_star_gets_its_shape_back_by_differences_too() -> None:
    truth = star(fwhm_px=7.0)
    observed = repel_charge(truth, POTENTIAL)
    result, _ = corrected(observed, threshold=1.0)
    assert np.abs(result - truth)[INNER].max() < 0.06 * np.abs(observed - truth)[INNER].max()


@pytest.mark.parametrize("method", METHODS)
def test_neighbours_in_flats_become_independent(method: str) -> None:
    levels, lags = np.array([1e4, 3e4, 5e4]), [(0, 0), (0, 1), (1, 0), (1, 1)]
    excess = np.array([_excess_covariances(level, lags, method) for level in levels])  # [level, before/after, lag]
    before, after = np.tensordot(levels, excess, axes=1) / (levels**2).sum()  # slopes per electron
    assert before[0] < 0
    assert np.all(before[1:] > 0)
    assert np.all(np.abs(after) < 0.01 * np.abs(before))


def _excess_covariances(level: float, lags: list[tuple[int, int]], method: str) -> np.ndarray:
    """Covariances over the level, less those of the same photons undisturbed, of the difference of two flats."""
    rng = np.random.default_rng(int(level))
    truth = rng.poisson(level, (2, 300, 300)).astype(np.float64)
    observed = np.array([repel_charge(flat, POTENTIAL) for flat in truth])
    results = np.array([corrected(flat, method=method)[0] for flat in observed])
    covariances = [
        [_covariance((pair[0].astype(float) - pair[1])[INNER], *lag) / (2 * level) for lag in lags]
        for pair in (truth, observed, results)
    ]
    return np.array(covariances[1:]) - covariances[0]


def _covariance(image: np.ndarray, dy: int, dx: int) -> float:
    image = image - image.mean()
    ny, nx = image.shape
    return float(np.mean(image[dy:, dx:] * image[: ny - dy, : nx - dx]))


@pytest.mark.parametrize("method", METHODS)
def test_rows_and_columns_of_the_kernel(method: str) -> None:
    y, x = np.mgrid[-6:7, -4:5]
    potential = 5e-7 * (1.0 + x * x + 0.2 * y * y + 0.2 * x * y) ** -1.5  # not the same upside down
    truth = np.random.default_rng(2).normal(30000, 2000, (80, 90))
    observed = repel_charge(truth, potential)
    displaced = (observed - truth)[INNER].std()
    residual = {
        name: (corrected(observed, -kernel, method=method, threshold=1.0)[0] - truth)[INNER].std()
        for name, kernel in (("right", potential), ("transposed", potential.T), ("mirrored", potential[::-1]))
    }
    assert residual["right"] < (0.1 if method == "COULTON18" else 1e-3) * displaced
    assert residual["transposed"] > 0.1 * displaced
    assert residual["mirrored"] > 0.1 * displaced


def test_the_total_is_kept() -> None:
    truth = np.random.default_rng(1).normal(5000, 70, (101, 101)) + star()
    image = repel_charge(truth, POTENTIAL).astype(np.float32)
    result, _ = corrected(image, method="FLUX_CONSERVING")
    assert np.abs(result - image).sum() > 1e3
    assert result.sum(dtype=np.float64) - image.sum(dtype=np.float64) == pytest.approx(0.0, abs=0.1)


def test_the_border_is_left_alone() -> None:
    image = np.random.default_rng(1).normal(50000, 200, (60, 70)).astype(np.float32)
    changed = corrected(image)[0] != image
    assert not changed[:9].any()
    assert not changed[:, :9].any()
    assert not changed[-9:].any()
    assert not changed[:, -9:].any()
    assert changed[9:-9, 9:-9].mean() > 0.9


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_and_does_not_spread(method: str, value: float) -> None:
    image = np.random.default_rng(1).normal(50000, 200, (60, 70)).astype(np.float32)
    whole, _ = corrected(image, method=method)
    image[30, 35] = value
    result, change = corrected(image, method=method)
    np.testing.assert_equal(result[30, 35], np.float32(value))
    others = np.ones(image.shape, dtype=bool)
    others[30, 35] = False
    assert np.isfinite(result[others]).all()
    # The hole counts as the mean of the image.
    np.testing.assert_allclose(result[others], whole[others], atol=30)
    assert change.converged


def test_nothing_but_nan() -> None:
    result, change = corrected(np.full((30, 30), np.nan))
    assert np.isnan(result).all()
    assert (change.iterations, change.converged) == (0, True)


def test_passes_converge() -> None:
    image = repel_charge(star(), brighter_fatter_kernel(0.1))
    changes = [
        corrected(image, -brighter_fatter_kernel(0.1), max_iterations=n, threshold=0.0)[1].last_change
        for n in (1, 2, 3, 4)
    ]
    assert all(after < 0.5 * before for before, after in pairwise(changes))
    stopped = corrected(image, -brighter_fatter_kernel(0.1), threshold=1.01 * changes[2])[1]
    assert stopped == BrighterFatterChange(iterations=3, last_change=changes[2], converged=True)


def test_too_few_passes_are_reported() -> None:
    _, change = corrected(repel_charge(star(), POTENTIAL), max_iterations=1)
    assert (change.iterations, change.converged) == (1, False)
    assert change.last_change > 1000


def test_a_kernel_of_the_wrong_sign_is_refused() -> None:
    with pytest.raises(BadFrameError, match="would make stars wider") as error:
        correct_brighter_fatter(star().astype(np.float32), POTENTIAL, BrighterFatterSettings(), file="kernel.fits")
    assert error.value.file == "kernel.fits"


@pytest.mark.parametrize("kernel", [np.zeros((16, 17)), np.zeros(17), np.full((3, 3), np.nan)])
def test_a_kernel_needs_a_middle_and_numbers(kernel: np.ndarray) -> None:
    with pytest.raises(BadFrameError, match="both sides have to be odd"):
        corrected(star(), kernel)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 17), (5, 8 + 1)])
@pytest.mark.parametrize("symmetric", [True, False])
def test_convolution(shape: tuple[int, int], symmetric: bool) -> None:
    rng = np.random.default_rng(3)
    kernel, image = rng.normal(size=shape).astype(np.float32), rng.normal(size=(30, 41)).astype(np.float32)
    if symmetric:
        kernel += kernel[::-1]
    half = shape[0] // 2, shape[1] // 2
    padded = np.pad(image, [(side + 1, side + 1) for side in half])
    out = np.full((32, 43), np.nan, np.float32)
    convolve_padded(padded, kernel, out)
    expected = signal.convolve2d(image, kernel, mode="same")
    np.testing.assert_allclose(out, np.pad(expected, 1, mode="edge"), atol=1e-4)
