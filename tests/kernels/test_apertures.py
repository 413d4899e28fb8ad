from __future__ import annotations

import numpy as np
import pytest
import sep
from photutils.aperture import CircularAperture, aperture_photometry

from skyloom.kernels.apertures import aperture_sums, circle_pixel_overlap

RADII = np.array([0.4, 3.0, 4.5, 6.0, 9.0, 12.0, 17.0])


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(1).normal(3.0, 10.0, (90, 100)).astype(np.float32)


@pytest.fixture(scope="module")
def places() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    x, y = rng.uniform(20, 75, 30), rng.uniform(20, 65, 30)
    x[:3], y[:3] = [40.0, 40.5, 40.0], [30.0, 30.5, 30.5]
    return x, y


@pytest.mark.parametrize("r", [0.3, 0.5, 0.7, 1.0, 3.0, 17.0])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.5, 0.5), (0.31, -0.47)])
def test_overlaps_add_up_to_the_circle(r: float, centre: tuple[float, float]) -> None:
    grid = np.arange(-20, 21)
    total = sum(circle_pixel_overlap(i - centre[0], j - centre[1], r) for i in grid for j in grid)
    assert total == pytest.approx(np.pi * r * r, rel=1e-13)


def test_one_pixel_by_brute_force() -> None:
    fine = (np.arange(2000) + 0.5) / 2000 - 0.5
    for dx, dy, r in [(2.0, 1.0, 2.3), (0.2, 0.1, 0.45), (0.0, 3.0, 3.1), (0.4, 0.2, 0.6), (-2.1, 0.7, 2.0)]:
        inside = (fine[None, :] + dx) ** 2 + (fine[:, None] + dy) ** 2 < r * r
        assert circle_pixel_overlap(dx, dy, r) == pytest.approx(inside.mean(), abs=5e-6)


def test_agrees_with_sep_and_photutils(noise: np.ndarray, places: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = places
    none = np.zeros(noise.shape, bool)
    flux, error, flag = aperture_sums(noise, np.full_like(noise, 100.0), none, x, y, RADII)
    for k, r in enumerate(RADII):
        if r > 1:  # sep is wrong on a circle inside one pixel
            assert flux[:, k] == pytest.approx(sep.sum_circle(noise, x, y, r, subpix=0)[0], rel=1e-6)
        theirs = aperture_photometry(noise.astype(float), CircularAperture(np.column_stack([x, y]), r))["aperture_sum"]
        assert flux[:, k] == pytest.approx(np.asarray(theirs), rel=1e-9, abs=1e-7)
    assert not flag.any()
    assert error[:, -1] == pytest.approx(10 * np.sqrt(np.pi * 17**2), rel=0.02)


def test_gaussian_star_to_1e_5() -> None:
    sigma, x0, y0 = 2.0, 45.3, 41.8
    y, x = np.mgrid[:90, :100]
    star = np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    none = np.zeros(star.shape, bool)
    flux, _, _ = aperture_sums(star, np.zeros_like(star), none, np.array([x0]), np.array([y0]), RADII[4:])
    assert flux[0] == pytest.approx(1 - np.exp(-(RADII[4:] ** 2) / (2 * sigma**2)), rel=1e-5)


def test_unusable_pixels_and_edges_flag_and_are_left_out() -> None:
    image, unusable = np.ones((50, 50)), np.zeros((50, 50), bool)
    image[20, 23], unusable[20, 23] = np.nan, True
    x, y = np.array([20.0, 20.0, 3.0]), np.array([20.0, 40.0, 40.0])
    flux, _, flag = aperture_sums(image, np.ones_like(image), unusable, x, y, np.array([2.0, 4.5]))
    assert flag.tolist() == [[False, True], [False, False], [False, True]]
    assert flux[0, 1] == pytest.approx(np.pi * 4.5**2 - 1)
    assert flux[2, 1] < np.pi * 4.5**2


def test_error_weights_the_variance_with_the_square_of_the_overlap() -> None:
    rng = np.random.default_rng(5)
    x, y, r = np.array([10.3]), np.array([9.6]), np.array([3.0])
    none = np.zeros((20, 20), bool)
    _, error, _ = aperture_sums(none.astype(float), np.full(none.shape, 4.0), none, x, y, r)
    sums = [
        aperture_sums(rng.normal(0, 2, none.shape), np.ones(none.shape), none, x, y, r)[0][0, 0] for _ in range(4000)
    ]
    assert error[0, 0] == pytest.approx(np.std(sums), rel=0.04)
