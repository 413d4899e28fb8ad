"""What is left of stars when the fitted PSF is subtracted, in sigma of each pixel."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from star_field import measure

from skyloom.images.exposure import Exposure
from skyloom.psf import psf_stamps
from skyloom.psffit import PsfFit, PsfFitSettings, fit_psf

WIDTH, HEIGHT, NOISE, INNER, OUTER = 110, 301, 3.0, 1.75, 3.5
PLACES = np.array(
    [
        (20, 20), (60, 20), (30, 35), (50, 50), (20, 90), (70, 160), (25, 265), (75, 275), (85, 30), (50, 120),
        (70, 80), (60, 210), (20, 210),
    ],
    dtype=float,
)  # fmt: skip


def draw(seed: int) -> tuple[Exposure, np.ndarray, np.ndarray]:
    """Thirteen stars of 80000 electrons on a narrow frame, some on the wings of others; and their positions.

    The PSF is a double Gaussian whose broad part holds 0.5 % more of the light each column and 0.2 % each row.
    """
    rng = np.random.default_rng(seed)
    x, y = (PLACES + rng.uniform(-0.5, 0.5, PLACES.shape)).T
    flux = 80000.0 * (1.0 + 0.1 * rng.uniform(-0.5, 0.5, x.size))
    light = np.zeros((HEIGHT, WIDTH))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for (at_x, at_y), here_x, here_y, of_star in zip(PLACES, x, y, flux, strict=True):
        broad = 0.5e-2 * at_x + 0.2e-2 * at_y
        r2 = (columns - here_x) ** 2 + (rows - here_y) ** 2
        for sigma, share in ((INNER, 1.0 - broad), (OUTER, broad)):
            light += of_star * share * np.exp(-0.5 * r2 / sigma**2) / (2 * np.pi * sigma**2)
    pixels = rng.poisson(light) + rng.normal(0.0, NOISE, light.shape)
    return Exposure.from_arrays(pixels, variance=light + NOISE**2, unit=u.electron), x, y


def chi_of_residuals(exposure: Exposure, fit: PsfFit, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The frame less all stars, whose fluxes are fitted together, over the sigma of each pixel, ``[y, x]``."""
    stamps, x0, y0 = psf_stamps(fit.psf, x, y)
    size = stamps.shape[1]
    models = np.zeros((len(x), HEIGHT + 2 * size, WIDTH + 2 * size))
    for model, stamp, column, row in zip(models, stamps, x0 + size, y0 + size, strict=True):
        model[row : row + size, column : column + size] = stamp
    weight = exposure.variance.array**-0.5
    models = models[:, size:-size, size:-size] * weight
    pixels = exposure.image.array * weight
    flux = np.linalg.lstsq(models.reshape(len(x), -1).T, pixels.ravel(), rcond=None)[0]
    return np.asarray(pixels - np.tensordot(flux, models, axes=1))


@pytest.mark.parametrize("seed", [1, 2])
def test_fitted_stars_leave_nothing_but_noise(seed: int) -> None:
    exposure, x, y = draw(seed)
    table = measure(exposure, x, y, 2.2)
    settings = PsfFitSettings(order_max=1, n_stars_for_order=(5, 30, 80), size=31)
    fit = fit_psf(exposure, table, np.ones(x.size, dtype=bool), settings)
    assert fit.order == 1
    assert fit.used.sum() >= 11
    chi = chi_of_residuals(exposure, fit, np.asarray(table["x"]), np.asarray(table["y"]))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    nearest = np.argmin([np.hypot(columns - a, rows - b) for a, b in zip(x, y, strict=True)], axis=0)
    # Stars in the light of others are not fitted; the linear PSF is held by no star there.
    assert np.abs(chi[fit.used[nearest]]).max() < 5.0
    assert chi.std() == pytest.approx(1.0, abs=0.03)
