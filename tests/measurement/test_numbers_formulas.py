"""Fluxes and sizes of single sources against their formulas, pixel by pixel."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Row
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.detection import detect_sources
from skyloom.images.exposure import Exposure
from skyloom.kernels.apertures import aperture_sums
from skyloom.measurement import MeasurementSettings, measure_sources
from skyloom.psf import psf_stamps

SIGMA, SIDE = 1.8, 121


@pytest.fixture(scope="module")
def frame() -> Exposure:
    """One star a little wider than the PSF, with noise whose variance rises along x."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:SIDE, :SIDE]
    variance = 40.0 + 0.5 * x
    light = 5e4 * np.exp(-0.5 * ((x - 60.3) ** 2 + (y - 59.8) ** 2) / 2.1**2) / (2 * np.pi * 2.1**2)
    exposure = Exposure.from_arrays(
        light + np.sqrt(variance) * rng.normal(size=light.shape), variance=variance, unit=u.electron
    )
    exposure.psf = GaussianPointSpreadFunction(SIGMA, bounds=exposure.bbox, stamp_size=25)
    return exposure


@pytest.fixture(scope="module")
def source(frame: Exposure) -> Row:
    table = measure_sources(frame, detect_sources(frame), MeasurementSettings())
    return table[int(np.argmax(table["psf_flux"]))]


def test_psf_flux(frame: Exposure, source: Row) -> None:
    (model,), (x0,), (y0,) = psf_stamps(frame.psf, source["x"], source["y"])
    window = np.s_[y0 : y0 + 25, x0 : x0 + 25]
    image, variance = (part.array[window].astype(float) for part in (frame.image, frame.variance))
    flux = np.sum(model * image) / np.sum(model**2)
    assert source["psf_flux"] == pytest.approx(flux, rel=1e-6)
    assert source["psf_flux_err"] == pytest.approx(np.sqrt(np.sum(model**2 * variance)) / np.sum(model**2), rel=1e-6)
    assert source["psf_flux_chi2"] == pytest.approx(np.sum((image - flux * model) ** 2 / variance), rel=1e-5)
    assert source["psf_flux_pixels"] == 625


def test_compensated_top_hat(frame: Exposure, source: Row) -> None:
    """Circle of 12 px less the level of the annulus from there to 1.7 times that."""
    outer = 1.7
    pixels = (frame.image.array, frame.variance.array, np.zeros((SIDE, SIDE), dtype=bool))
    flux, error, _ = aperture_sums(*pixels, np.array([source["x"]]), np.array([source["y"]]), np.array([12.0, 20.4]))
    (inside, beyond), (inside_err, beyond_err) = flux[0], error[0]
    ratio = 1.0 / (outer**2 - 1.0)
    assert source["tophat_flux"] == pytest.approx(inside - (beyond - inside) * ratio, rel=1e-6)
    expected = np.sqrt(inside_err**2 + (beyond_err**2 - inside_err**2) * ratio**2)
    assert source["tophat_flux_err"] == pytest.approx(expected, rel=1e-6)


def test_extendedness(source: Row) -> None:
    size, psf_size = source["ixx"] + source["iyy"], source["psf_ixx"] + source["psf_iyy"]
    assert psf_size == pytest.approx(2 * SIGMA**2, rel=1e-3)
    assert size == pytest.approx(2 * 2.1**2, rel=0.02)
    assert source["extendedness"] == pytest.approx(1 - np.exp(-0.5 * (size - psf_size) ** 2 / psf_size), rel=1e-5)
