"""Superpixels without a value: planes go on as planes, and nothing has a step."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from skyloom.backmatch import TractModelSettings, fill_unmeasured

KINDS = ("CONSTANT", "LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE", None)
SHAPE = (14, 18)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
PLANE = 7.0 + 0.5 * X - 0.25 * Y


def settings(kind: str | None = "AKIMA_SPLINE", **changes: object) -> TractModelSettings:
    return dataclasses.replace(TractModelSettings(), interpolation=kind, **changes)  # type: ignore[arg-type]


def known_parts() -> dict[str, np.ndarray]:
    checks = (X + Y) % 2 == 0
    corner = (X < 6) & (Y < 5)
    return {
        "checkerboard": checks,
        "corner": corner,
        "hole": ~((np.abs(X - 9) < 4) & (np.abs(Y - 7) < 3)),
        "two islands": corner | ((X > 14) & (Y > 9)),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", known_parts())
def test_a_plane_is_continued_everywhere(kind: str | None, part: str) -> None:
    known = known_parts()[part]
    filled = fill_unmeasured(np.where(known, PLANE, np.nan), 100.0 * known, settings(kind))
    np.testing.assert_allclose(filled, PLANE, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_known_is_kept(kind: str | None) -> None:
    rng = np.random.default_rng(1)
    known = rng.random(SHAPE) < 0.6
    values = np.where(known, rng.normal(100.0, 3.0, SHAPE), np.nan)
    filled = fill_unmeasured(values, known.astype(float), settings(kind))
    np.testing.assert_allclose(filled[known], values[known], rtol=1e-12)
    assert np.isfinite(filled).all()


def test_one_superpixel_tells_the_level_of_all() -> None:
    known = (X == 4) & (Y == 9)
    np.testing.assert_allclose(fill_unmeasured(np.where(known, 3.5, np.nan), 1.0 * known, settings()), 3.5)


@pytest.mark.parametrize(("known", "truth"), [(Y == 5, 5.75 + 0.5 * X), (X == 3, 8.5 - 0.25 * Y)])
def test_one_line_tells_the_slope_along_it(known: np.ndarray, truth: np.ndarray) -> None:
    filled = fill_unmeasured(np.where(known, PLANE, np.nan), 1.0 * known, settings())
    np.testing.assert_allclose(filled, truth, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_small_grids(shape: tuple[int, int]) -> None:
    values = np.arange(shape[0] * shape[1], dtype=float).reshape(shape)
    weight = np.ones(shape)
    weight.flat[-1] = 1.0 if values.size == 1 else 0.0
    filled = fill_unmeasured(np.where(weight > 0, values, np.nan), weight, settings())
    np.testing.assert_allclose(filled, values, atol=1e-6)


def test_value_and_slope_go_on_over_the_edge_of_what_is_known() -> None:
    wave = np.sin(X / 4.0) * np.cos(Y / 5.0)
    known = X < 11
    filled = fill_unmeasured(np.where(known, wave, np.nan), 1.0 * known, settings())
    steps = np.diff(filled, axis=1)
    inside = np.abs(np.diff(wave, n=2, axis=1)).max()
    assert np.abs(np.diff(steps, axis=1))[:, 9:].max() < 2 * inside
    assert np.abs(filled).max() < 2.5  # and does not run away
    nearest = fill_unmeasured(np.where(known, wave, np.nan), 1.0 * known, settings("CONSTANT"))
    assert np.abs(filled - wave)[:, 11:13].max() < np.abs(nearest - wave)[:, 11:13].max()


def test_smoothing_keeps_a_plane_and_takes_noise_off() -> None:
    known = ~((X == 5) & (Y == 5))
    smooth = settings(do_smooth=True, smooth_scale=1.5)
    np.testing.assert_allclose(fill_unmeasured(np.where(known, PLANE, np.nan), 1.0 * known, smooth), PLANE, rtol=1e-9)
    constant = fill_unmeasured(np.where(known, 7.0, np.nan), 1.0 * known, smooth)
    np.testing.assert_allclose(constant, 7.0, rtol=1e-14)
    noise = np.random.default_rng(3).standard_normal(SHAPE)
    left = fill_unmeasured(np.where(known, PLANE + noise, np.nan), 1.0 * known, smooth) - PLANE
    assert left.std() < 0.35
