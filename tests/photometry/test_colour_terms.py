"""Colour terms are found by catalogue and filter, and carry the errors of both filters."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from skyloom.errors import PhotometryError
from skyloom.photometry import (
    ColourTerm,
    ColourTermError,
    ColourTermLibrary,
    ZeroPointSettings,
    reference_fluxes,
)

LIBRARY = ColourTermLibrary.from_mapping(
    {
        "ps1_pv3": {"r.MP9601": {"primary": "r", "secondary": "g", "c0": 0.01, "c1": 0.2}},
        "gaia*": {"r.MP9601": {"primary": "G", "secondary": "BP"}},
        "*_dr3": {"i": {"primary": "i", "secondary": "z"}},
    }
)


def test_name_wins_and_one_pattern_fits() -> None:
    assert LIBRARY.find("ps1_pv3", "r.MP9601") == ColourTerm(filter_name="r", secondary="g", c0=0.01, c1=0.2)
    assert LIBRARY.find("gaia_edr2", "r.MP9601").secondary == "BP"


@pytest.mark.parametrize(
    ("catalogue", "name", "message"),
    [
        ("gaia_dr3", "i", "2 of the catalogues"),
        ("sdss", "i", "None of the catalogues"),
        ("ps1_pv3", "u", "no colour term from 'ps1_pv3' to the filter 'u', only to r.MP9601"),
    ],
)
def test_what_is_not_there_is_named(catalogue: str, name: str, message: str) -> None:
    with pytest.raises(ColourTermError, match=message) as caught:
        LIBRARY.find(catalogue, name)
    assert isinstance(caught.value, PhotometryError)
    assert "[COLOUR-TERM]" in str(caught.value)


@pytest.mark.parametrize("term", [{"primary": "r"}, {"primary": "r", "secondary": "g", "c1": "x"}, {"c3": 1.0}])
def test_unreadable_description_is_named(term: dict[str, str | float]) -> None:
    with pytest.raises(ColourTermError, match="'cat' and 'r' cannot be read"):
        ColourTermLibrary.from_mapping({"cat": {"r": term}})


def reference(n: int = 1, **noise: float) -> Table:
    table = Table()
    rng = np.random.default_rng(2)
    for name, magnitude in (("r", 18.0), ("g", 18.6)):
        flux = np.full(n, 10 ** (0.4 * (31.4 - magnitude)))
        spread = noise.get(name, 0.0) * flux
        table[f"flux_{name}"] = flux + spread * rng.normal(size=n)
        table[f"flux_{name}_err"] = spread
    return table


@pytest.mark.parametrize("coefficients", [{}, {"c0": 0.1}, {"c1": 0.3}, {"c1": -1.0}, {"c1": 0.2, "c2": 0.25}])
def test_errors_are_the_scatter_of_noisy_catalogues(coefficients: dict[str, float]) -> None:
    term = ColourTerm(filter_name="r", secondary="g", **coefficients)
    flux, error = reference_fluxes(reference(20000, r=0.01, g=0.02), "r", ZeroPointSettings(colour_terms=(term,)))
    assert np.median(error) == pytest.approx(np.std(flux), rel=0.02)


def test_linear_term_adds_errors_in_quadrature() -> None:
    term = ColourTerm(filter_name="r", secondary="g", c1=0.3)
    table = reference()
    table["flux_r_err"], table["flux_g_err"] = 0.01 * table["flux_r"], 0.02 * table["flux_g"]
    flux, error = reference_fluxes(table, "r", ZeroPointSettings(colour_terms=(term,)))
    assert error[0] / flux[0] == pytest.approx(np.hypot(1.3 * 0.01, 0.3 * 0.02))


def test_star_without_second_filter_is_unknown_and_lacking_filter_named() -> None:
    term = ColourTerm(filter_name="r", secondary="g", c1=0.3)
    table = reference(2)
    table["flux_g"][1] = np.nan
    flux, _ = reference_fluxes(table, "r", ZeroPointSettings(colour_terms=(term,)))
    assert np.isfinite(flux).tolist() == [True, False]
    del table["flux_g"]
    with pytest.raises(ColourTermError, match="'g', which the reference catalogue lacks"):
        reference_fluxes(table, "r", ZeroPointSettings(colour_terms=(term,)))
