from __future__ import annotations

import galsim
import numpy as np
import pytest

from skyloom.kernels.gaussian_flux import gaussian_flux

SIZE = 61


def ellipse(xx: float, yy: float, xy: float, x: float, y: float, flux: float = 1000.0) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    dx, dy = columns - x, rows - y
    determinant = xx * yy - xy * xy
    profile = np.exp(-0.5 * (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / determinant)
    return flux * profile / (2 * np.pi * np.sqrt(determinant))


@pytest.mark.parametrize("shape", [(2.25, 2.25, 0.0), (9.0, 4.0, -3.0), (20.0, 25.0, 10.0)])
def test_a_gaussian_gets_all_of_its_flux(shape: tuple[float, float, float]) -> None:
    image = ellipse(*shape, 30.3, 29.8)
    flux, error, missed = gaussian_flux(image, np.full(image.shape, 9.0), 30.3, 29.8, *shape)
    assert flux == pytest.approx(1000.0, rel=2e-5)  # the weight is cut off at e^-7, the light there is as faint
    # 2 sum w r^2 I: the variance is 4 V sum w^2 r^4 = 8 pi V sqrt(det).
    area = np.sqrt(shape[0] * shape[1] - shape[2] ** 2)
    assert error == pytest.approx(np.sqrt(8 * np.pi * area) * 3.0, rel=0.01)
    assert missed == 0


def test_missing_pixels_are_left_out_and_told() -> None:
    image = ellipse(4.0, 4.0, 0.0, 30.0, 30.0)
    image[:, 30] = np.nan
    flux, _, missed = gaussian_flux(image, np.ones(image.shape), 30.0, 30.0, 4.0, 4.0, 0.0)
    share = 1 / (2 * np.sqrt(2 * np.pi))  # of the middle column under a Gaussian of 2 px
    assert missed == pytest.approx(share, abs=2e-3)
    assert flux == pytest.approx(1000 * (1 - 1 / (np.sqrt(2) * np.sqrt(2 * np.pi))), rel=2e-3)
    _, _, missed = gaussian_flux(image, np.ones(image.shape), -0.5, 30.0, 4.0, 4.0, 0.0)
    assert missed > 0.4


def test_a_weight_narrower_than_a_pixel_is_averaged_over_it() -> None:
    star = galsim.Gaussian(sigma=0.3, flux=1000.0)
    sums = []
    for shift in (0.0, 0.25, 0.5):
        drawn = star.shift(shift, 0.0).drawImage(nx=SIZE, ny=SIZE, scale=1.0).array.astype(float)
        flux, error, missed = gaussian_flux(drawn, np.ones(drawn.shape), 30.0 + shift, 30.0, 0.15, 0.15, 0.0)
        sums.append(flux)
        assert np.isfinite(error)
        assert missed == 0
    fine = np.linspace(-0.5, 0.5, 401)[:-1] + 0.5 / 400
    mean = np.mean(np.exp(-(fine**2) / 0.3)) ** 2  # of the weight over the pixel that holds the centred star
    inside = galsim.Gaussian(sigma=0.3).drawImage(nx=1, ny=1, scale=1.0).array[0, 0]
    assert sums[0] == pytest.approx(2000 * mean * inside, rel=0.05)
    assert max(sums) / min(sums) < 1.6
