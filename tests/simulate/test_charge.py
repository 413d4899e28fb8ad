"""What happens to charge in the pixels, against what must be so."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.simulate.charge import add_cosmic_rays, bleed_columns, brighter_fatter_kernel, repel_charge


def test_repelled_charge_is_conserved_and_a_flat_field_stays_flat() -> None:
    rng = np.random.default_rng(1)
    electrons = rng.uniform(0, 5e4, (60, 70))
    moved = repel_charge(electrons, brighter_fatter_kernel(0.01))
    assert moved.sum() == pytest.approx(electrons.sum(), rel=1e-12)
    flat = repel_charge(np.full((60, 70), 3e4), brighter_fatter_kernel(0.01))
    np.testing.assert_allclose(flat[20:40, 20:50], 3e4, rtol=1e-6)


def test_bright_stars_are_fatter() -> None:
    y, x = np.mgrid[-20:21, -20:21]
    profile = np.exp(-0.5 * (x**2 + y**2) / 4.0)
    widths = []
    for peak in (1e3, 5e4):
        star = repel_charge(peak * profile, brighter_fatter_kernel(0.01))
        widths.append((star * (x**2 + y**2)).sum() / star.sum())
    assert 1.001 < widths[1] / widths[0] < 1.05


def test_covariances_of_flats_are_those_of_the_stated_model() -> None:
    level, kernel = 4e4, brighter_fatter_kernel(0.1)
    electrons = np.random.default_rng(2).poisson(level, (1500, 1500)).astype(float)
    moved = repel_charge(electrons, kernel)[20:-20, 20:-20] - level
    # To first order a covariance is the level squared times the curvature of the potential at that lag.
    curvature = [sum(kernel[8 + y, 8 + x + lag] for y, x in ((0, 1), (0, -1), (1, 0), (-1, 0))) for lag in (0, 1)]
    expected = [level**2 * (curvature[lag] - 4 * kernel[8, 8 + lag]) for lag in (0, 1)]
    assert moved.var() - level == pytest.approx(expected[0], rel=0.1)
    assert (moved[:, 1:] * moved[:, :-1]).mean() == pytest.approx(expected[1], rel=0.4)


def test_a_full_well_runs_along_its_column_both_ways() -> None:
    electrons = np.full((41, 5), 10.0)
    electrons[20, 2] = 10 * 100.0
    full = bleed_columns(electrons, np.full((41, 5), 100.0))
    assert electrons.sum() == pytest.approx(41 * 5 * 10.0 + 990.0)
    assert electrons.max() == 100.0
    assert full[:, 2].sum() == 11
    np.testing.assert_array_equal(np.flatnonzero(full[:, 2]), np.arange(15, 26))
    assert not full[:, [0, 1, 3, 4]].any()


def test_cosmic_rays_come_at_their_rate_and_leave_charge() -> None:
    electrons = np.zeros((1000, 1000))
    hit = add_cosmic_rays(electrons, 2.0, 100.0, np.random.default_rng(3))
    assert 150 < hit.sum() / 5.0 < 500
    assert (electrons[hit] > 0).all()
    assert electrons[~hit].sum() == 0
