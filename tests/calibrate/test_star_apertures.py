"""Circles around stars show their own light, whatever stands beside them."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from lsst.images import Box
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.calibrate.neighbours import star_apertures
from skyloom.images import Exposure

SIGMA, RADII = 2.0, (2.0, 3.0, 5.0)


def gaussian(x: float, y: float) -> np.ndarray:
    rows, columns = np.mgrid[:80, :80]
    return np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / SIGMA**2) / (2 * np.pi * SIGMA**2)


def test_light_of_the_star_alone_in_units_of_its_width() -> None:
    table = Table({"x": [40.3, 47.0, 4.0], "y": [39.8, 42.0, 4.0], "psf_flux": [1e5, 3e4, 1e4]})
    table["flag_sky_source"] = False
    light = sum(row["psf_flux"] * gaussian(row["x"], row["y"]) for row in table)
    light[42:45, 46:49] += 50.0  # what the model of the neighbour does not explain
    exposure = Exposure.from_arrays(light, variance=np.full((80, 80), 100.0), unit=u.electron)
    psf = GaussianPointSpreadFunction(SIGMA, bounds=Box.from_shape((80, 80)), stamp_size=41)
    found = star_apertures(exposure, table, np.array([True, False, True]), psf, RADII)
    np.testing.assert_array_equal(found.rows, [0, 2])
    np.testing.assert_allclose(found.widths, SIGMA, rtol=1e-3)
    expected = 1e5 * (1 - np.exp(-0.5 * np.array(RADII) ** 2))
    np.testing.assert_allclose(found.flux[0], expected, rtol=1e-2)
    np.testing.assert_allclose(found.error[0], 10 * np.sqrt(np.pi) * SIGMA * np.array(RADII), rtol=0.06)
    np.testing.assert_array_equal(found.usable, [True, False])
    assert found.sky_noise == pytest.approx(10.0)
