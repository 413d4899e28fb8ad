"""A catalogue as surveys are: stars that scatter, galaxies and wrong matches, and errors that say too little."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from skyloom.photometry import ColourTerm, ZeroPointSettings, fit_zero_point, reference_fluxes

ZERO_POINT = 31.3145


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_zero_point_of_scattering_stars(offset: float) -> None:
    """All stars are matched through a colour term that is the offset."""
    rng = np.random.default_rng(695833)
    magnitude = rng.uniform(17.0, 22.0, 120)
    flux = 10 ** (0.4 * (ZERO_POINT - magnitude - 0.05 * rng.normal(size=120)))
    flux[:35] *= 10 ** rng.uniform(-0.8, 0.2, 35)
    catalogue = Table({"flux_i": 10 ** (0.4 * (31.4 - magnitude)), "flux_z": np.ones(120)})
    term = ColourTerm(filter_name="i", secondary="z", c0=offset, c1=0.0)
    settings = ZeroPointSettings(colour_terms=(term,) if offset else ())
    reference = reference_fluxes(catalogue, "i", settings)[0]
    found = fit_zero_point(flux, np.ones(120), reference, np.full(120, np.nan), settings)
    assert found.zero_point_mag == pytest.approx(ZERO_POINT + offset, abs=0.05)
    assert found.n_stars > 50
    residual = (found.photo_calib.to_magnitude(flux) - (31.4 - 2.5 * np.log10(reference)))[found.used]
    assert 0.741 * np.subtract(*np.percentile(residual, [75, 25])) < 0.07
    assert np.median(np.abs(residual)) < 0.06
