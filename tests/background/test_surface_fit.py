"""Surfaces over a camera through scattered values, against the functions that the values come from."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.background.camera_surface import CameraSurface
from skyloom.background.surface_fit import fit_surface

EXTENT = ((-40.0, 40.0), (-30.0, 30.0))


def bowl(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 500.0 + 0.4 * x - 0.3 * y + 0.01 * x**2 - 0.02 * y**2 + 0.005 * x * y


def places(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.uniform(*EXTENT[0], n), rng.uniform(*EXTENT[1], n)


@pytest.mark.parametrize("stiffness", [1e-3, 1e3])
def test_an_evenly_curved_sky_is_exact_however_stiff_the_surface(stiffness: float) -> None:
    x, y = places(500)
    hole = np.hypot(x - 10, y + 5) < 15
    fit = fit_surface(
        CameraSurface(EXTENT, 10.0, differences=3), x, y, bowl(x, y), np.where(hole, 0.0, 1.0), stiffness=stiffness
    )
    np.testing.assert_allclose(fit(x, y), bowl(x, y), rtol=1e-4)  # in the hole too


def test_the_strength_of_a_pattern_is_found_with_the_surface() -> None:
    x, y = places(2000)
    rng = np.random.default_rng(3)
    pattern = np.where(x > 0, 1.0, -1.0) + 0.3 * np.sin(x)
    value = bowl(x, y) + 7.0 * pattern + 0.5 * rng.standard_normal(x.size)
    value[::20] += 100.0  # stars
    fit = fit_surface(CameraSurface(EXTENT, 10.0, differences=3), x, y, value, np.ones(x.size), pattern=pattern)
    assert abs(fit.strength - 7.0) < 4 * fit.strength_error
    assert fit.strength_error < 0.1
    assert fit.scatter == pytest.approx(0.5, rel=0.15)
    assert np.all(fit.weight[::20] == 0.0)


def test_a_pattern_that_is_a_surface_has_no_strength() -> None:
    x, y = places(300)
    fit = fit_surface(
        CameraSurface(EXTENT, 10.0, differences=3), x, y, bowl(x, y), np.ones(x.size), pattern=np.full(x.size, 2.0)
    )
    assert fit.strength == 0.0
    np.testing.assert_allclose(fit(x, y), bowl(x, y), rtol=1e-4)


def test_without_values_a_rest_goes_to_zero() -> None:
    x, y = places(800)
    hole = np.hypot(x, y) < 20
    surface = CameraSurface(EXTENT, 5.0, differences=0)
    fit = fit_surface(surface, x, y, np.full(x.size, 3.0), np.where(hole, 0.0, 1.0), stiffness=1e-3)
    assert fit(np.array([30.0]), np.array([20.0]))[0] == pytest.approx(3.0, rel=0.02)
    assert abs(fit(np.array([0.0]), np.array([0.0]))[0]) < 1e-3


def test_the_lowest_values_make_a_surface_under_a_galaxy() -> None:
    x, y = places(1500)
    rng = np.random.default_rng(4)
    galaxy = 60.0 * np.exp(-np.hypot(x + 10, y - 5) / 6.0)
    value = bowl(x, y) + galaxy + 0.5 * rng.standard_normal(x.size)
    surface, even = CameraSurface(EXTENT, 10.0, differences=3), np.ones(x.size)
    low = fit_surface(surface, x, y, value, even, stiffness=1000.0, lowest=True)
    even_handed = fit_surface(surface, x, y, value, even, stiffness=1000.0)
    under, through = (np.max(one(x, y) - bowl(x, y)) for one in (low, even_handed))
    assert under < 2.5 < through  # of 60
