"""Positions a year and a decade later, against the great circle along which a star moves."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from skyloom.catalog import propagate
from skyloom.catalog.refcat import reference_table

AMOUNT, BEARING = 3.0 / 3600.0, np.radians(30.0)
"""Proper motion, degree a year, and its direction from east to north."""


@pytest.fixture(scope="module")
def catalogue() -> Table:
    rng = np.random.default_rng(3)
    n = 500
    columns = {
        "id": np.arange(n),
        "ra": rng.uniform(0.0, 360.0, n),
        "dec": np.degrees(np.arcsin(rng.uniform(-0.999, 0.999, n))),
        "epoch": np.full(n, 2015.5),
        "pm_ra": np.full(n, AMOUNT * np.cos(BEARING) * 3.6e6),
        "pm_dec": np.full(n, AMOUNT * np.sin(BEARING) * 3.6e6),
        "ra_err": np.full(n, 3.0),
        "pm_ra_err": np.full(n, 4.0),
        "flux_r": rng.uniform(1e3, 1e6, n),
    }
    return reference_table(columns, filters=["r"])


@pytest.mark.parametrize("years", [1.0, 10.0])
def test_stars_move_along_their_great_circle(catalogue: Table, years: float) -> None:
    moved = propagate(catalogue, 2015.5 + years)
    ra, dec = np.radians(catalogue["ra"]), np.radians(catalogue["dec"])
    # A straight line in space covers the arc tangent of what the motion is at its start: 1e-12 of these arcs less.
    arc = np.arctan(np.radians(AMOUNT * years))
    sine = np.sin(dec) * np.cos(arc) + np.cos(dec) * np.sin(arc) * np.sin(BEARING)
    turn = np.arctan2(np.cos(BEARING) * np.sin(arc) * np.cos(dec), np.cos(arc) - np.sin(dec) * sine)
    difference = (np.radians(moved["ra"]) - ra - turn + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose(difference, 0.0, atol=1e-10)
    np.testing.assert_allclose(np.radians(moved["dec"]), np.arcsin(sine), rtol=0.0, atol=1e-10)
    np.testing.assert_array_equal(moved["flux_r"], catalogue["flux_r"])
    np.testing.assert_allclose(moved["ra_err"], np.hypot(3.0, 4.0 * years), rtol=1e-6)


def test_at_the_epoch_of_the_catalogue_nothing_moves(catalogue: Table) -> None:
    same = propagate(catalogue, 2015.5)
    for name in ("ra", "dec"):
        np.testing.assert_allclose(same[name], catalogue[name], rtol=1e-14)
    for name in ("ra_err", "flux_r"):
        np.testing.assert_array_equal(same[name], catalogue[name])
