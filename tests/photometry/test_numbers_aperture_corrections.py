"""Where nothing is noise, corrections are the ratios of the fluxes."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from lsst.images import Box

from skyloom.photometry import aperture_corrections, apply_aperture_corrections

BOX = Box.factory[10:1010, -20:1980]


def ratio(x: np.ndarray, y: np.ndarray, order: int) -> np.ndarray:
    """Reference flux over flux: a polynomial of a total degree."""
    u, v = x / 1000.0, y / 1000.0
    terms = [0.05 * u - 0.02 * v, 0.03 * u * v - 0.04 * v**2]
    return np.asarray(1.1 + sum(terms[:order], np.zeros_like(u)))


def stars(order: int) -> Table:
    rng = np.random.default_rng(2)
    table = Table({"x": rng.uniform(-20, 1979, 60), "y": rng.uniform(10, 1009, 60)})
    total = rng.uniform(1e5, 1e6, 60)
    table["aperture_flux_12_0"], table["aperture_flux_12_0_err"] = total, np.sqrt(total)
    for name, factor in (("psf_flux", ratio(table["x"], table["y"], order)), ("tophat_flux", 0.97)):
        table[name], table[f"{name}_err"] = total / factor, 10.0
        table[f"flag_{name}"] = False
    return table


@pytest.mark.parametrize("order", [0, 1, 2])
def test_corrected_fluxes_are_those_of_the_reference(order: int) -> None:
    table = stars(order)
    found = aperture_corrections(table, np.ones(60, dtype=bool), BOX, 1.7)
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(-20, 1979, 7), np.linspace(10, 1009, 7)))
    np.testing.assert_allclose(found["psf_flux"].field(x=x, y=y), ratio(x, y, order), rtol=1e-9)
    np.testing.assert_allclose(found["tophat_flux"].field(x=x, y=y), 0.97, rtol=1e-12)
    assert found["psf_flux"].n_stars == found["tophat_flux"].n_stars == 60
    assert found["psf_flux"].scatter == pytest.approx(1e-7, abs=1e-9)
    apply_aperture_corrections(table, {name: correction.field for name, correction in found.items()})
    for name in ("psf_flux", "tophat_flux"):
        np.testing.assert_allclose(table[name], table["aperture_flux_12_0"], rtol=1e-9)
        np.testing.assert_allclose(table[f"{name}_err"], 10.0 * table[f"{name}_aperture_correction"], rtol=1e-12)
