"""`fit_surface`: a surface over the camera and the strength of a pattern, by robust least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded

from .camera_surface import CameraSurface, SplineValues

__all__ = ["SurfaceFit", "fit_surface"]

_ROUNDS = 12
_CAREFUL_ROUNDS = 4
"""Rounds in which what stands apart counts less, before it does not count at all."""
_RIDGE = 1e-9
_NO_PATTERN = 1e-6
"""A pattern that differs by less than this share of itself from a surface tells nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SurfaceFit:
    """A fitted surface."""

    surface: CameraSurface
    coefficients: np.ndarray
    strength: float
    """What the pattern is multiplied by; 0 without one."""
    strength_error: float
    """Standard error of the strength, by the scatter."""
    scatter: float
    """Of the values about the model, those that stand apart left out."""
    weight: np.ndarray
    """``[value]``: the weight with which each value counted in the end, 0 to what was given."""

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The surface at places (mm) of any shape."""
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        return self.surface.at(self.surface.splines(x.ravel(), y.ravel()), self.coefficients).reshape(x.shape)


def fit_surface(
    surface: CameraSurface,
    x: np.ndarray,
    y: np.ndarray,
    value: np.ndarray,
    weight: np.ndarray,
    *,
    pattern: np.ndarray | None = None,
    stiffness: float = 1e-3,
    clip: float = 5.0,
    lowest: bool = False,
) -> SurfaceFit:
    """Fit a surface, and with it a pattern of known shape, to scattered values.

    The sum of squares is weighted anew in each round: values far from the model count as in the estimate of Huber
    first, then as in Tukey's biweight, which leaves out what is further than ``clip`` scatters.  The surface is
    eliminated from the equations of the pattern's strength, so that both are found together.

    Parameters
    ----------
    surface
        The functions.
    x, y
        Places, mm, 1-d.
    value
        1-d, finite.
    weight
        1-d; 0 for values that do not count.
    pattern
        1-d; None for none.
    stiffness
        Weight of the bending against that of the values a coefficient.
    clip
        In scatters.
    lowest
        Whether the lowest values make the surface: what stands above them by more than the scatter of what lies
        below the surface does not count.
    """
    splines = surface.splines(x, y)
    kept, strength, scatter = weight.astype(np.float64), 0.0, 0.0
    counting = weight > 0
    columns = np.column_stack([value] if pattern is None else [value, pattern])
    for number in range(_ROUNDS):
        coefficients, strength, beyond = _solve(surface, splines, columns, kept, stiffness)
        model = surface.at(splines, coefficients) + (0.0 if pattern is None else strength * pattern)
        residual = value - model
        before = scatter
        scatter = _scatter_below(residual[counting]) if lowest else _scatter(residual[counting])
        if scatter == 0.0 or (number > _CAREFUL_ROUNDS + 1 and abs(scatter - before) < 1e-3 * scatter):
            break
        kept = weight * _trust(residual / scatter, clip, careful=number < _CAREFUL_ROUNDS, lowest=lowest)
    return SurfaceFit(
        surface=surface,
        coefficients=coefficients,
        strength=strength,
        strength_error=scatter / np.sqrt(beyond) if beyond > 0 else 0.0,
        scatter=scatter,
        weight=kept,
    )


def _solve(
    surface: CameraSurface, splines: SplineValues, columns: np.ndarray, weight: np.ndarray, stiffness: float
) -> tuple[np.ndarray, float, float]:
    """Coefficients of the surface, strength of the pattern (the second of the columns), and what tells it."""
    normal = surface.normal(splines, weight)
    typical = max(float(np.mean(normal[0])), np.finfo(float).tiny)
    normal += typical * stiffness * surface.penalty
    normal[0] += typical * _RIDGE
    projected = surface.project(splines, weight, columns)
    solutions = solveh_banded(normal, projected, lower=True)
    if columns.shape[1] == 1:
        return solutions[:, 0], 0.0, 0.0
    value, pattern = columns.T
    alone = float(weight @ (pattern * pattern))
    beyond = alone - float(projected[:, 1] @ solutions[:, 1])
    if beyond <= _NO_PATTERN * alone:
        return solutions[:, 0], 0.0, 0.0
    strength = (float(weight @ (pattern * value)) - float(projected[:, 1] @ solutions[:, 0])) / beyond
    return solutions[:, 0] - strength * solutions[:, 1], strength, beyond


def _trust(apart: np.ndarray, clip: float, *, careful: bool, lowest: bool) -> np.ndarray:
    """How much values count that are so many scatters from the model."""
    distance = np.abs(apart)
    if not careful:
        return np.asarray(np.maximum(1.0 - (distance / clip) ** 2, 0.0) ** 2)
    trust = 1.0 / np.maximum(distance, 1.0)
    return np.where(apart > 1.0, 0.0, trust) if lowest else trust


def _scatter_below(residual: np.ndarray) -> float:
    """The same, from the values below zero."""
    return _scatter(residual[residual < 0])


def _scatter(residual: np.ndarray) -> float:
    """Standard deviation of a Gaussian with the same median absolute value."""
    return float(1.4826 * np.median(np.abs(residual))) if residual.size else 0.0
