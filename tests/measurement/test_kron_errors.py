"""The errors of Kron's flux are its scatter, though its radius is made of the same pixels."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest

from skyloom.detection import detect_sources
from skyloom.images import Exposure
from skyloom.measurement import measure_sources

SKY, SIDE, SEPARATION = 500.0, 800, 50


@pytest.mark.parametrize(("sigma", "flux"), [(1.6, 1.5e4), (3.0, 3e4)], ids=["narrow", "wide"])
def test_scatter_is_the_error(sigma: float, flux: float) -> None:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIDE, :SIDE]
    middle = SEPARATION / 2 + rng.uniform(-0.5, 0.5, (2, SIDE // SEPARATION, SIDE // SEPARATION))
    dx, dy = (
        part % SEPARATION - m.repeat(SEPARATION, 0).repeat(SEPARATION, 1)
        for part, m in zip((x, y), middle, strict=True)
    )
    # A Moffat profile of exponent 3.5: its light goes on where a Gaussian's has ended, and so does the radius.
    light = flux * 2.5 / (np.pi * 6 * sigma**2) * (1 + (dx**2 + dy**2) / (6 * sigma**2)) ** -3.5
    pixels = rng.poisson(light + SKY)
    exposure = Exposure.from_arrays(
        (pixels - SKY).astype(np.float32), variance=pixels.astype(np.float32), unit=u.electron
    )
    table = measure_sources(exposure, detect_sources(exposure, sigma), psf_sigma=sigma)
    found = np.asarray(table["kron_flux"], float)
    real = np.isfinite(found) & (np.asarray(table["peak_value"]) > 0.5 * np.median(table["peak_value"]))
    assert real.sum() > 200
    scatter = 1.4826 * np.median(np.abs(found[real] - np.median(found[real])))
    assert np.median(np.asarray(table["kron_flux_err"])[real]) == pytest.approx(scatter, rel=0.13)
