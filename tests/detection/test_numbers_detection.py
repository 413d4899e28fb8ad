"""Twenty-five stars on a grid: found all and alone, and as significant as the formula says."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from lsst.images import Box
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.detection import DetectionSettings, find_sources
from skyloom.images.exposure import Exposure
from skyloom.kernels.convolve import gaussian_kernel
from skyloom.psf import psf_sigma

SIGMA, SKY, WIDTH, HEIGHT, X0, Y0 = 1.5, 2000.0, 128, 127, 256, 100
GRID_X, GRID_Y = X0 + (np.arange(5) + 0.5) * WIDTH / 5, Y0 + (np.arange(5) + 0.5) * HEIGHT / 5


def frame() -> Exposure:
    """Stars of 5000 to 50000 electrons above a sky that is subtracted, with its noise and theirs."""
    light = np.zeros((HEIGHT, WIDTH))
    y, x = np.mgrid[Y0 : Y0 + HEIGHT, X0 : X0 + WIDTH]
    for flux, at_x, at_y in zip(np.linspace(5e3, 5e4, 25), np.repeat(GRID_X, 5), np.tile(GRID_Y, 5), strict=True):
        light += flux * np.exp(-0.5 * ((x - at_x) ** 2 + (y - at_y) ** 2) / SIGMA**2) / (2 * np.pi * SIGMA**2)
    electrons = np.random.default_rng(1).poisson(light + SKY)
    bounds = Box.factory[Y0 : Y0 + HEIGHT, X0 : X0 + WIDTH]
    psf = GaussianPointSpreadFunction(SIGMA, bounds=bounds, stamp_size=11)
    return Exposure.from_arrays(
        electrons - SKY, variance=np.full(light.shape, SKY), unit=u.electron, x0=X0, y0=Y0, psf=psf
    )


@pytest.mark.parametrize("sigma", [None, 2.2])
def test_all_stars_are_found_and_nothing_below_the_sky(sigma: float | None) -> None:
    exposure = frame()
    assert psf_sigma(exposure.psf) == pytest.approx(SIGMA, abs=0.1)
    found = find_sources(exposure, sigma, DetectionSettings(negative=True))
    assert len(found.footprints) == 25
    assert found.negative_peaks == 0
    places = sorted((float(f.peaks["x"][0]), float(f.peaks["y"][0])) for f in found.footprints)
    np.testing.assert_allclose(places, [(x, y) for x in GRID_X for y in GRID_Y], atol=1.0)


def test_significance_is_the_height_over_the_filtered_noise() -> None:
    found = find_sources(frame(), SIGMA)
    height = np.concatenate([footprint.peaks["value"] for footprint in found.footprints]).astype(np.float64)
    noise = np.sqrt(SKY) * np.sum(gaussian_kernel(SIGMA).astype(np.float64) ** 2)
    np.testing.assert_allclose(found.significance, height / noise, rtol=1e-7)
