from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest

from skyloom.catalog.sources import make_source_table
from skyloom.measurement import StarSelectionSettings, select_stars


@pytest.fixture
def table():
    """Ten good stars; each test spoils some."""
    stars = make_source_table(10, u.electron)
    stars["psf_flux"], stars["psf_flux_err"] = np.arange(1.0, 11.0) * 100, 1.0
    stars["extendedness"], stars["x_err"], stars["y_err"] = 0.0, 0.1, 0.1
    stars["is_primary"] = True
    return stars


def rejected(table, **settings) -> list[int]:
    return np.flatnonzero(~select_stars(table, StarSelectionSettings(**settings))).tolist()


def test_good_stars_pass(table) -> None:
    assert rejected(table) == []


def test_each_criterion_rejects_its_own(table) -> None:
    table["flag_edge"][0] = True
    table["flag_saturated"][1] = True
    table["extendedness"][2] = 0.1  # strictly less
    table["extendedness"][3] = np.nan
    table["psf_flux_err"][4] = 50.0  # a ratio of exactly 10
    table["flag_blended"][5] = True
    table["x_err"][6] = np.nan
    table["y_err"][7] = 3.0
    table["psf_flux"][8] = np.nan
    assert rejected(table) == list(range(9))
    assert rejected(table, isolated=False, centroid_error_max=None, extendedness_max=None) == [0, 1, 4, 8]


def test_flags_of_the_flux_and_good_flags(table) -> None:
    table["flag_psf_flux"][3] = True
    assert rejected(table, bad_flags=()) == [3]
    table["flag_suspect"][:4] = True
    assert rejected(table, good_flags=("flag_suspect",)) == [3, 4, 5, 6, 7, 8, 9]
    assert rejected(table, bad_flags=(), signal_to_noise_min=None) == []


def test_flux_limits_and_sky_positions(table) -> None:
    assert rejected(table, flux_min=200.0, flux_max=900.0) == [0, 8, 9]
    assert rejected(table, finite_sky_position=True) == list(range(10))
    table["ra"], table["dec"] = 1.0, 2.0
    table["dec"][4] = np.nan
    assert rejected(table, finite_sky_position=True) == [4]


def test_sky_sources_pass_whatever_else_is_asked(table) -> None:
    table["flag_sky_source"][2:4] = True
    table["is_primary"][2:4] = False
    for name in ("psf_flux", "x_err", "y_err", "extendedness"):
        table[name][2:4] = np.nan
    assert rejected(table, primary=True) == []
    assert rejected(table, sky_sources=False) == [2, 3]
