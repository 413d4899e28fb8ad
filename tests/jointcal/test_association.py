"""Which measurements, and which references, are taken for one star."""

from __future__ import annotations

import dataclasses

import numpy as np
from astropy.table import Table

from jointcal.frames import flat_frame
from skyloom.catalog.refcat import reference_table
from skyloom.images import pixel_to_radec
from skyloom.jointcal import FrameCatalogue
from skyloom.jointcal.associate import Stars, associate
from skyloom.jointcal.catalogues import gather
from skyloom.jointcal.references import match_references

X = np.array([100.0, 300.0, 500.0, 700.0, 900.0])
FLUX = np.array([1e4, 2e4, 3e4, 4e4, 5e4])
PIXEL = 0.2
"""Arcseconds."""


def frame(visit: int, x: np.ndarray, flux: np.ndarray, scale: float = 1.0) -> FrameCatalogue:
    return flat_frame(visit=visit, x=x, y=np.full(len(x), 500.0), flux=flux, flux_err=0.01 * flux, scale=scale)


def stars_of(*frames: FrameCatalogue) -> Stars:
    return associate(gather(frames), 3.0)


def references(x: np.ndarray, flux: np.ndarray) -> Table:
    one = frame(1, x, flux)
    ra, dec = pixel_to_radec(one.projection, one.x, one.y)
    return reference_table(
        {"id": np.arange(len(x)), "ra": ra, "dec": dec, "epoch": np.full(len(x), 2020.0), "flux_r": flux}, filters=["r"]
    )


def test_measurements_of_one_star_find_one_another() -> None:
    stars = stars_of(frame(1, X, FLUX), frame(2, X + 5.0, 1.2 * FLUX), frame(3, X[::-1] - 5.0, FLUX[::-1]))
    np.testing.assert_array_equal(stars.of_measurement, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 4, 3, 2, 1, 0])


def test_a_faint_neighbour_is_another_star() -> None:
    """The star itself is missing from the second visit: it was saturated there."""
    neighbour = FLUX * np.where(X == 500.0, 0.05, 1.0)
    stars = stars_of(frame(1, X, FLUX), frame(2, X + np.where(X == 500.0, 8.0, 0.0), neighbour))
    np.testing.assert_array_equal(stars.of_measurement, [0, 1, 2, 3, 4, 0, 1, 5, 3, 4])


def test_a_wrong_zero_point_makes_no_neighbours() -> None:
    stars = stars_of(frame(1, X, FLUX), frame(2, X, FLUX, scale=20.0))
    np.testing.assert_array_equal(stars.of_measurement, np.tile(np.arange(5), 2))


def test_a_reference_is_not_taken_for_its_neighbour() -> None:
    stars = stars_of(frame(1, X, FLUX), frame(2, X, FLUX))
    table = references(X + np.where(X == 300.0, 9.0, 0.0), 2.0 * FLUX * np.where(X == 300.0, 0.1, 1.0))
    np.testing.assert_array_equal(match_references(stars, table, 3.0, flux="r").star, [0, 2, 3, 4])
    assert len(match_references(stars, table, 3.0)) == 5
    table["flux_r"] = np.nan
    assert len(match_references(stars, table, 3.0, flux="r")) == 5


def test_errors_of_references() -> None:
    """The catalogue's come first, unless all are given; too few references tell nothing by their scatter."""
    stars = stars_of(frame(1, X, FLUX), frame(2, X, FLUX))
    table = references(X, FLUX)
    table["ra_err"], table["dec_err"] = 7.0, 8.0
    table["dec_err"][2:] = [0.0, np.nan, -1.0]
    told = [[0.007, 0.008]] * 2
    for settings, untold in (({}, 0.1), ({"unknown_error_mas": 50.0}, 0.05)):
        errors = match_references(stars, table, 3.0, **settings).position_err
        np.testing.assert_allclose(errors, told + [[untold, untold]] * 3, rtol=1e-6)
    np.testing.assert_allclose(match_references(stars, table, 3.0, position_error_mas=30.0).position_err, 0.03)


def test_scatter_of_references_is_their_error() -> None:
    """A shift and a bend, as wrong WCSs make them, are none of it."""
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0.0, 1000.0, (2, 400))
    one = dataclasses.replace(frame(1, x, np.full(400, 1e4)), y=y)
    bent = dataclasses.replace(one, visit=2, x=x + 3.0 + 2e-6 * (y - 500.0) ** 2, y=y + 1e-6 * x**2)
    ra, dec = pixel_to_radec(one.projection, x + rng.normal(0.0, 0.15, 400), y + rng.normal(0.0, 0.15, 400))
    table = reference_table({"id": np.arange(400), "ra": ra, "dec": dec, "epoch": np.full(400, 2020.0)})
    errors = match_references(stars_of(bent), table, 3.0).position_err
    np.testing.assert_allclose(errors, 0.15 * PIXEL, rtol=0.1)
