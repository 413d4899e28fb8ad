"""Total fluxes of stars whose wings, sky and neighbours are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy.table import Table
from lsst.images import Box

from skyloom.errors import PhotometryError
from skyloom.photometry import (
    GROWTH_RADII,
    ApertureCorrectionSettings,
    StarApertures,
    aperture_corrections,
    fit_growth_curve,
    total_fluxes,
)

SETTINGS = ApertureCorrectionSettings()
SKY_NOISE = 22.0


def inside(radius: np.ndarray | float, beta: float) -> np.ndarray:
    """Light of a Moffat star of FWHM 2.1 within a radius."""
    scale = 1.05 / np.sqrt(2 ** (1 / beta) - 1)
    return np.asarray(1 - (1 + (np.asarray(radius) / scale) ** 2) ** (1 - beta))


def kolmogorov(radius: np.ndarray | float) -> np.ndarray:
    """Much like the light of a star behind turbulent air: two Moffat profiles (Racine 1996, PASP 108, 699)."""
    return 0.86 * inside(radius, 7.0) + 0.14 * inside(radius, 2.0)


def apertures(light: np.ndarray, sky: float = 0.0, n: int = 60, noise: float = 1.0, seed: int = 7) -> StarApertures:
    """Stars of 2e4 to 4e5 electrons, PSF flux 0.97 of the whole, with growing light and a sky left under them."""
    rng = np.random.default_rng(seed)
    flux, widths = np.exp(rng.uniform(np.log(2e4), np.log(4e5), n)), rng.uniform(1.4, 2.0, n)
    radii = np.array(GROWTH_RADII)
    area = np.pi * (radii * widths[:, None]) ** 2
    variance = np.diff(flux[:, None] * light + SKY_NOISE**2 * area, axis=1, prepend=0.0)
    pixels = np.cumsum(noise * np.sqrt(variance) * rng.standard_normal(variance.shape), axis=1)
    return StarApertures(
        rows=np.arange(n),
        widths=widths,
        radii=radii,
        flux=flux[:, None] * light + sky * area + pixels,
        error=np.sqrt(np.cumsum(variance, axis=1)),
        psf_flux=0.97 * flux,
        usable=np.ones(n, dtype=bool),
        sky_noise=SKY_NOISE,
    )


def weighted_error(found: np.ndarray, measured: StarApertures, whole: float) -> float:
    """Mean relative error of total fluxes."""
    weight = (measured.psf_flux / measured.error[:, 2]) ** 2
    return float(np.sum(weight * (0.97 * found / measured.psf_flux / whole - 1)) / weight.sum())


@pytest.mark.parametrize("beta", [2.0, 2.5, 3.5, 4.8])
@pytest.mark.parametrize("sky", [0.0, 0.2])
def test_total_of_moffat_stars_whatever_sky_is_left(beta: float, sky: float) -> None:
    measured = apertures(inside(np.array(GROWTH_RADII), beta), sky, noise=0.3)
    found = total_fluxes(measured, 60, dataclasses.replace(SETTINGS, light_outside_max=0.1))
    assert found is not None
    assert weighted_error(found.flux, measured, float(inside(10.0, beta))) == pytest.approx(0.0, abs=0.0015)
    assert found.growth.sky == pytest.approx(0.4 * sky, abs=0.4 * sky + 0.05)
    assert found.light_outside == pytest.approx(float(inside(10.0, beta) - inside(7.0, beta)), rel=0.25, abs=3e-4)


def test_wings_of_no_moffat_profile_are_followed() -> None:
    measured = apertures(kolmogorov(np.array(GROWTH_RADII)), noise=0.1)
    found = total_fluxes(measured, 60, SETTINGS)
    assert found is not None
    assert weighted_error(found.flux, measured, float(kolmogorov(10.0))) == pytest.approx(0.0, abs=0.007)


def test_noise_of_the_wings_is_that_of_all_stars() -> None:
    errors = []
    for seed in range(20):
        measured = apertures(inside(np.array(GROWTH_RADII), 3.5), n=15, seed=seed)
        found = total_fluxes(measured, 15, SETTINGS)
        assert found is not None
        errors.append(weighted_error(found.flux, measured, float(inside(10.0, 3.5))))
    assert np.mean(errors) == pytest.approx(0.0, abs=0.0012)
    assert np.std(errors) < 0.003


def test_foreign_light_in_some_annuli_counts_little() -> None:
    measured = apertures(inside(np.array(GROWTH_RADII), 3.5), noise=0.3)
    measured.flux[::6, 5:] += 0.05 * measured.flux[::6, -1:]
    found = total_fluxes(measured, 60, SETTINGS)
    assert found is not None
    assert weighted_error(found.flux, measured, float(inside(10.0, 3.5))) == pytest.approx(0.0, abs=0.002)


def test_wings_that_cannot_be_believed_are_refused() -> None:
    measured = apertures(inside(np.array(GROWTH_RADII), 1.5), noise=0.1)
    assert total_fluxes(measured, 60, SETTINGS) is None
    lost = dataclasses.replace(measured, usable=np.arange(60) < 1)
    assert fit_growth_curve(lost) is None


def test_corrections_are_to_the_total_and_only_of_its_stars() -> None:
    rng = np.random.default_rng(2)
    measured = apertures(inside(np.array(GROWTH_RADII), 3.5), n=40)
    measured = dataclasses.replace(measured, usable=np.arange(40) != 3)
    total = total_fluxes(measured, 40, SETTINGS)
    assert total is not None
    assert np.isnan(total.flux[3])
    table = Table({"x": rng.uniform(0, 2000, 40), "y": rng.uniform(0, 1000, 40), "psf_flux": measured.psf_flux})
    table["psf_flux_err"], table["aperture_flux_12_0"] = 0.01 * measured.psf_flux, measured.psf_flux
    box, stars = Box.factory[0:1000, 0:2000], np.ones(40, dtype=bool)
    found = aperture_corrections(table, stars, box, 1.7, total=total)["psf_flux"]
    assert found.field(x=900.0, y=500.0) == pytest.approx(float(inside(10.0, 3.5)) / 0.97, abs=0.003)
    assert not found.used[3]
    assert found.light_outside == total.light_outside
    with pytest.raises(PhotometryError, match="a total flux"):
        aperture_corrections(table, np.arange(40) == 3, box, 1.7, total=total)
