"""The ways to a level for each line of an overscan region."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import Chebyshev, Legendre, Polynomial
from scipy.interpolate import Akima1DInterpolator, CubicSpline, PPoly

from skyloom.kernels.lines import line_quartiles, line_values
from skyloom.kernels.statistics import clipped_mean

__all__ = ["LINE_METHODS", "SPLINES", "line_levels", "region_level"]

_SIGMA_OF_QUARTILES = 0.741301109252802
_LEAST_NODES = 5
_NEIGHBOURS = 5
_QUANTISATION = 0.5
"""Least scatter that whole counts are credited with."""

_POLYNOMIALS = {"POLY": Polynomial, "CHEB": Chebyshev, "LEG": Legendre}
SPLINES: dict[str, Callable[[np.ndarray, np.ndarray], PPoly]] = {
    "NATURAL_SPLINE": lambda x, y: CubicSpline(x, y, bc_type="natural"),
    "CUBIC_SPLINE": lambda x, y: CubicSpline(x, y, bc_type="natural"),
    "AKIMA_SPLINE": Akima1DInterpolator,
}
LINE_METHODS = ("MEDIAN_PER_ROW", "MEAN_PER_ROW", *_POLYNOMIALS, *SPLINES)
"""Methods that give each line a level of its own."""


def region_level(counts: np.ndarray, method: str, n_sigma: float, *, integer: bool) -> float:
    """One level for all: MEAN, MEANCLIP or MEDIAN of the finite values of ``[line, column]``."""
    values = counts[np.isfinite(counts)]
    if method == "MEDIAN":
        return _median(values, integer=integer)
    return float(values.mean() if method == "MEAN" else clipped_mean(values, n_sigma, 3)[0])


def _median(values: np.ndarray, *, integer: bool) -> float:
    """Median of values (1-d), inside its bin where they are whole counts; see `skyloom.kernels.lines.line_values`."""
    ordered = np.sort(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    if not integer or low != high:
        return float(0.5 * (low + high))
    below, up_to = np.searchsorted(ordered, low, side="left"), np.searchsorted(ordered, low, side="right")
    return float(low - 0.5 + (0.5 * len(ordered) - below) / (up_to - below))


def line_levels(
    counts: np.ndarray, method: str, order: int, n_sigma: float, *, integer: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A level for each line.

    Parameters
    ----------
    counts
        float64 ``[line, column]``, not a number where unusable.
    method
        One of `LINE_METHODS`.
    order
        Degree of a polynomial, or number of groups of lines that a spline runs through.
    n_sigma
        A pixel further than this from its line's median, in units of the line's scatter, is left out.
    integer
        Whether the values are whole counts.

    Returns
    -------
    levels
        float64 ``[line]``.
    known
        Bool ``[line]``: lines with a usable pixel; the others have a level from their neighbours, or from the curve.
    """
    quartiles = line_quartiles(counts)
    limits = _limits(quartiles[:, 2] - quartiles[:, 0], n_sigma, integer=integer)
    levels = line_values(counts, quartiles[:, 1], limits, method == "MEDIAN_PER_ROW", integer)
    known = np.isfinite(levels)
    levels = _filled(levels, known)
    if method in _POLYNOMIALS:
        levels = _polynomial(levels, method, order)
    elif method in SPLINES:
        levels = _spline(levels, known, method, order)
    return levels, known


def _limits(spread: np.ndarray, n_sigma: float, *, integer: bool) -> np.ndarray:
    """How far a pixel may be from its line's median, by the distance of the line's quartiles.

    A line that scatters as no other gets the others' scatter.
    """
    scatter = _SIGMA_OF_QUARTILES * spread
    usual = float(np.nanmedian(scatter))
    scatter[scatter > 2.0 * usual] = usual
    return n_sigma * np.maximum(scatter, _QUANTISATION if integer else 0.0)


def _filled(levels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Runs of lines without a level get the median of up to five lines on either side, or else that of all."""
    result = np.array(levels)
    everywhere = float(np.median(levels[known]))
    edges = np.flatnonzero(np.diff(np.r_[True, known, True]))
    for start, stop in edges.reshape(-1, 2):
        near = np.r_[levels[max(start - _NEIGHBOURS, 0) : start], levels[stop : stop + _NEIGHBOURS]]
        near = near[np.isfinite(near)]
        result[start:stop] = np.median(near) if near.size else everywhere
    return result


def _polynomial(levels: np.ndarray, family: str, order: int) -> np.ndarray:
    x = _abscissa(len(levels))
    return np.asarray(_POLYNOMIALS[family].fit(x, levels, min(order, len(levels) - 1), domain=[-1, 1])(x))


def _spline(levels: np.ndarray, known: np.ndarray, style: str, groups: int) -> np.ndarray:
    """A curve through the means of equal groups of lines; too few groups to bend make it one level."""
    x = _abscissa(len(levels))
    parts = [part[known[part]] for part in np.array_split(np.arange(len(levels)), groups)]
    parts = [part for part in parts if part.size]
    if len(parts) < _LEAST_NODES:
        return np.full(len(levels), np.mean(levels[known]))
    nodes = np.array([x[part].mean() for part in parts])
    curve = SPLINES[style](nodes, np.array([levels[part].mean() for part in parts]))
    # Beyond the outermost nodes a cubic may swing: it goes on with the slope and the bend that it has there.
    inside = np.clip(x, nodes[0], nodes[-1])
    beyond = x - inside
    return np.asarray(curve(inside) + curve(inside, 1) * beyond + 0.5 * curve(inside, 2) * beyond**2)


def _abscissa(lines: int) -> np.ndarray:
    """Lines from -1 to 1."""
    return np.linspace(-1.0, 1.0, lines) if lines > 1 else np.zeros(lines)
