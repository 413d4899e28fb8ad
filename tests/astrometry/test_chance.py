"""The probabilities that keep chance solutions out, against what chance really does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from skyloom.astrometry.chance import log10_chance, log10_flux_chance, log10_product
from skyloom.astrometry.polynomial import design_matrix, fit_polynomials, supported_order

CORNERS = 500.0 * np.array([[-1.0, 1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0]])


def test_seven_fluxes_in_the_same_order_are_one_chance_in_all_orders():
    flux = np.array([3.0, 1.0, 10.0, 7.0, 2.0, 30.0, 5.0])
    assert log10_flux_chance(flux, 100.0 * flux**1.3) == pytest.approx(-math.log10(math.factorial(7)))
    assert log10_flux_chance(flux, -flux) == pytest.approx(0.0, abs=1e-3)
    assert log10_flux_chance(flux[:4], flux[:4]) == 0.0
    assert log10_flux_chance(flux, np.where(np.arange(7) < 3, np.nan, flux)) == 0.0
    many = np.random.default_rng(1).random(500)
    assert log10_flux_chance(many, many) == -12.0


def test_chance_pairs_agree_in_flux_as_often_as_is_said():
    rng = np.random.default_rng(2)
    chances = np.array([log10_flux_chance(rng.pareto(1.0, 9), rng.pareto(1.0, 9)) for _ in range(600)])
    for k in (0.5, 1.0, 2.0):
        assert np.mean(chances <= -k) == pytest.approx(10**-k, abs=0.1 * 10**-k + 3.0 * math.sqrt(10**-k / 600))


def test_two_independent_chances_together():
    assert 10 ** log10_product(-1.0, -1.0) == pytest.approx(0.01 * (1.0 + math.log(100.0)))
    assert log10_product(0.0, 0.0) == 0.0
    rng = np.random.default_rng(3)
    both = np.log10(rng.random((2, 20000))).sum(axis=0)
    said = np.array([log10_product(value, 0.0) for value in both])
    assert np.mean(said < -2.0) == pytest.approx(0.01, abs=0.003)


def test_places_by_chance():
    """Of 20 stars each meets a reference with probability 0.1; two matches are owed to the fit."""
    rng = np.random.default_rng(4)
    matched = 2 + (rng.random((20000, 18)) < 0.1).sum(axis=1)
    for n in (5, 7):
        share = np.mean(matched >= n)
        assert 10 ** log10_chance(n, 20, 0.1, n_parameters=4, volume=1.0) == pytest.approx(share, rel=0.1)
    assert log10_chance(2, 20, 0.1, n_parameters=4, volume=1.0) == 0.0


def test_a_distortion_is_not_fitted_where_the_corners_would_pay_for_it():
    rng = np.random.default_rng(5)
    n = 40
    for reach, wanted in ((500.0, 2), (150.0, 1)):
        u, v = rng.uniform(-500.0, reach, (2, n))
        values = np.stack([u, v], axis=1) + 4e-5 * np.stack([u**2, u * v], axis=1) + rng.normal(0.0, 0.3, (n, 2))
        found = {
            limit: supported_order(
                u, v, values, max_order=2, matches_per_term=3.0, corners=CORNERS, max_extrapolation=limit
            )
            for limit in (3.0, math.inf)
        }
        assert found == {3.0: wanted, math.inf: 2}


def test_the_error_at_the_corners_is_that_of_fits():
    """What the limit of the extrapolation speaks of: the scatter of fits at the corners, from noise alone."""
    rng = np.random.default_rng(6)
    u, v = rng.uniform(-500.0, 400.0, (2, 30))
    there = design_matrix(*CORNERS, 2) @ fit_polynomials(u, v, rng.normal(0.0, 1.0, (30, 50)), 2, 500.0)
    scatter = float(there.std(axis=1).max())
    values = np.stack([u, v], axis=1) + 1e-4 * np.stack([u**2, v**2], axis=1)
    for limit, wanted in ((1.4 * scatter, 2), (0.7 * scatter, 1)):
        found = supported_order(
            u, v, values, max_order=2, matches_per_term=3.0, corners=CORNERS, max_extrapolation=limit
        )
        assert found == wanted
