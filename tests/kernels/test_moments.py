from __future__ import annotations

import galsim
import numpy as np
import pytest

from skyloom.kernels.moments import (
    CENTROID_FAILED,
    CENTROID_INCOMPLETE,
    CENTROID_WANDERED,
    centroids,
    shapes,
)

SIZE = 41


def gaussian(x0: float, y0: float, xx: float, yy: float, xy: float = 0.0, flux: float = 1.0) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    dx, dy, determinant = x - x0, y - y0, xx * yy - xy * xy
    r2 = (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / determinant
    return flux * np.exp(-0.5 * r2) / (2 * np.pi * np.sqrt(determinant))


def adaptive_moments(image: np.ndarray, sigma: float = 2.0) -> np.ndarray:
    moments, failed = shapes(image, np.zeros(image.shape), np.array([20.0]), np.array([20.0]), sigma, 2.0)
    assert failed[0] == np.isnan(moments[0]).all()
    return moments[0]


def centroid(image: np.ndarray, x: float = 20, y: float = 20, sigma: float = 1.2, variance: float = 1.0):
    spread = np.full(image.shape, variance)
    position, flags = centroids(image, spread, np.array([float(x)]), np.array([float(y)]), sigma, 2.0)
    return position[0], int(flags[0])


@pytest.mark.parametrize("fwhm", [1.8, 2.0, 3.0, 5.0])
def test_centroid_of_moffat_stars_at_all_phases(fwhm: float) -> None:
    star = galsim.Moffat(beta=3.0, fwhm=fwhm)
    for dx, dy in np.random.default_rng(1).uniform(-0.5, 0.5, (12, 2)):
        image = star.shift(dx, dy).drawImage(nx=SIZE, ny=SIZE, scale=1.0).array
        position, flags = centroid(image, sigma=max(1.2, fwhm / 2.35))
        assert flags == 0
        assert position[:2] == pytest.approx([20 + dx, 20 + dy], abs=0.01 if fwhm < 2 else 0.004)


def test_centroid_error_is_the_scatter() -> None:
    rng = np.random.default_rng(2)
    star = gaussian(20.3, 19.8, 2.25, 2.25, flux=2000.0)
    found = np.array([centroid(star + rng.normal(0, 10, star.shape), sigma=1.5, variance=100.0)[0] for _ in range(800)])
    assert found[:, 0].mean() == pytest.approx(20.3, abs=0.005)
    assert found[:, 2].mean() == pytest.approx(found[:, 0].std(), rel=0.07)
    assert found[:, 3].mean() == pytest.approx(found[:, 1].std(), rel=0.07)


def test_centroid_of_a_wide_galaxy_under_a_narrow_window() -> None:
    position, flags = centroid(gaussian(20.4, 19.7, 16.0, 9.0, 4.0), sigma=1.5)
    assert flags == 0
    assert position[:2] == pytest.approx([20.4, 19.7], abs=1e-3)


def test_centroid_flags() -> None:
    star = gaussian(24.5, 20.0, 2.25, 2.25)
    position, flags = centroid(star, sigma=1.5)
    assert flags == CENTROID_WANDERED
    assert position[:2].tolist() == [20.0, 20.0]
    assert np.isnan(position[2:]).all()
    assert centroid(-star, x=24)[1] == CENTROID_FAILED
    star[20, 24] = np.nan
    assert centroid(star, x=24, sigma=1.5)[1] == CENTROID_INCOMPLETE


@pytest.mark.parametrize("shape", [(2.25, 2.25, 0.0), (4.0, 2.0, 0.7), (1.0, 1.0, 0.0), (9.0, 16.0, -5.0)])
def test_moments_of_a_gaussian_are_its_own(shape: tuple[float, float, float]) -> None:
    image = gaussian(20.37, 19.81, *shape)
    zero = np.zeros(image.shape)
    moments, failed = shapes(image, zero, np.array([20.3]), np.array([19.9]), 1.5, 2.0)
    assert not failed[0]
    precision = 1e-3 if shape[0] > 1 else 3e-3  # the pixels sample the product of weight and star just so
    assert moments[0] == pytest.approx(shape, rel=precision, abs=precision)


def test_moments_agree_with_galsim() -> None:
    profile = galsim.Convolve(
        galsim.Moffat(beta=3.0, fwhm=3.5), galsim.Exponential(half_light_radius=2.0).shear(g1=0.3)
    )
    drawn = profile.drawImage(nx=SIZE, ny=SIZE, scale=1.0)
    theirs = drawn.FindAdaptiveMom(strict=True)
    xx, yy, xy = adaptive_moments(drawn.array.astype(float))
    assert (xx * yy - xy * xy) ** 0.25 == pytest.approx(theirs.moments_sigma, rel=2e-3)
    assert (xx - yy) / (xx + yy) == pytest.approx(theirs.observed_e1, abs=2e-3)


def test_no_gaussian_no_moments() -> None:
    image = np.zeros((SIZE, SIZE))
    assert np.isnan(adaptive_moments(image, 1.5)).all()
    image[20, 20] = 1.0  # one hot pixel is narrower than any star
    assert np.isnan(adaptive_moments(image, 1.5)).all()
    assert np.isnan(adaptive_moments(np.ones((SIZE, SIZE)), 1.5)).all()
