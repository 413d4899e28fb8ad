"""Star lists as hard frames give them: pieces of trails, knots of nebulae, a cluster's core, few stars in clouds."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box
from simulated_field import camera, error_arcsec, projection, simulate

from skyloom.astrometry import AstrometrySettings, solve_astrometry
from skyloom.errors import AstrometryError, NoReferenceError

BOX = Box.factory[0:1000, 0:1000]
SCALE = 0.25
N_LISTS = 5
"""Of each kind."""


def guess_and_field(seed, **how):
    rng = np.random.default_rng([20, seed])
    angle = rng.uniform(0.0, 2.0 * np.pi)
    truth = camera(
        80.0 + 0.006 * np.cos(angle), -30.0 + 0.006 * np.sin(angle), SCALE * 1.003, box=BOX, rotation=0.3,
        distortion_px=1.0,
    )  # fmt: skip
    return rng, camera(80.0, -30.0, SCALE, box=BOX), simulate(rng, truth, BOX, reach_deg=0.02, **how)


def add(field, x, y, flux):
    """Detections that are no stars; which are, ``bool[n]``."""
    inside = (x >= 0.0) & (x < BOX.x.stop) & (y >= 0.0) & (y < BOX.y.stop)
    star = np.concatenate([np.ones(len(field.x), bool), np.zeros(inside.sum(), bool)])
    field.x, field.y = np.concatenate([field.x, x[inside]]), np.concatenate([field.y, y[inside]])
    field.flux = np.concatenate([field.flux, flux[inside]])
    return star


def trails(rng, field):
    """Five straight lines of pieces brighter than nearly all stars."""
    angle, offset = np.repeat(rng.uniform(0.0, np.pi, 5), 40), np.repeat(rng.uniform(-300.0, 300.0, 5), 40)
    along = rng.uniform(-700.0, 700.0, 200)
    x = 500.0 + offset * np.cos(angle) - along * np.sin(angle)
    y = 500.0 + offset * np.sin(angle) + along * np.cos(angle)
    return add(field, x, y, np.quantile(field.flux, 0.97) * rng.uniform(0.9, 1.1, 200))


def nebula(rng, field):
    """Bright knots in clumps."""
    x, y = np.repeat(rng.uniform(0.0, 1000.0, (2, 10)), 30, axis=1) + rng.normal(0.0, 60.0, (2, 300))
    return add(field, x, y, np.quantile(field.flux, 0.9) * rng.pareto(2.0, 300))


def solve(field, guess, **how):
    settings = AstrometrySettings(pointing_error_deg=0.01, **how.pop("settings", {}))
    return solve_astrometry(
        field.x, field.y, field.flux, field.reference, projection(guess, BOX), box=BOX, settings=settings, **how
    )


@pytest.mark.parametrize("rubbish", [trails, nebula])
def test_what_looks_like_a_star_is_searched_first(rubbish):
    lost = 0
    for seed in range(N_LISTS):
        rng, guess, field = guess_and_field(seed, n_stars=80, completeness=0.9)
        star = rubbish(rng, field)
        # The sizes of some mislead.
        star ^= rng.random(len(star)) < 0.1
        found = solve(field, guess, point_like=star)
        assert error_arcsec(found.projection, field.truth, BOX)[1] < 0.5 * SCALE
        try:
            solve(field, guess)
        except AstrometryError:
            lost += 1
    assert lost >= (3 if rubbish is trails else 0)


def test_a_misleading_size_costs_no_frame():
    """As where the PSF failed, so that stars seem extended and knots of light do not."""
    for seed in range(N_LISTS):
        rng, guess, field = guess_and_field(seed, n_stars=80, completeness=0.9)
        for star in (np.zeros(len(field.x), bool), rng.random(len(field.x)) < 0.1):
            found = solve(field, guess, point_like=star)
            assert error_arcsec(found.projection, field.truth, BOX)[1] < 0.5 * SCALE
            assert found.n_matches > 60


def test_the_core_of_a_cluster():
    for seed in range(N_LISTS):
        rng, guess, field = guess_and_field(seed, n_stars=1500, blend_px=0.0)
        radius = np.hypot(field.x - 500.0, field.y - 500.0)
        kept = rng.random(len(radius)) < 1.0 / (1.0 + (radius / 120.0) ** 2)
        field.x, field.y, field.flux = field.x[kept], field.y[kept], field.flux[kept]
        assert error_arcsec(solve(field, guess).projection, field.truth, BOX)[1] < 0.5 * SCALE


def test_a_few_stars_in_clouds():
    for seed in range(N_LISTS):
        _, guess, field = guess_and_field(seed, n_stars=9, depth=8.0, noise_px=0.15, mag_scatter=0.3)
        assert error_arcsec(solve(field, guess).projection, field.truth, BOX)[1] < 4.0 * SCALE


def test_limits_on_the_magnitudes_of_references():
    _, guess, field = guess_and_field(9, n_stars=100)
    magnitude = 31.4 - 2.5 * np.log10(np.asarray(field.reference["flux"]))
    low, high = np.quantile(magnitude, [0.1, 0.7])
    found = solve(field, guess, settings={"brightest_reference_mag": low, "faintest_reference_mag": high})
    used = magnitude[found.matches["reference"]]
    assert used.min() >= low
    assert used.max() <= high
    assert found.n_matches > 45
    assert error_arcsec(found.projection, field.truth, BOX)[1] < 0.5 * SCALE
    field.reference["flux"][:] = np.nan
    with pytest.raises(NoReferenceError):
        solve(field, guess, settings={"brightest_reference_mag": low})


def test_a_limit_on_the_number_of_references_keeps_the_brightest():
    _, guess, field = guess_and_field(10, n_stars=60, depth=3.0)
    found = solve(field, guess, settings={"max_references": 120})
    assert error_arcsec(found.projection, field.truth, BOX)[1] < 0.5 * SCALE
    # The search sees those alone, the fit all that are there.
    order = np.argsort(np.argsort(-np.asarray(field.reference["flux"])))
    assert order[found.matches["reference"]].max() > 120
    with pytest.raises(AstrometryError, match="no alignment"):
        solve(field, guess, settings={"max_references": 3})
