"""The ways to a level for each line of an overscan region."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import Chebyshev, Legendre, Polynomial
from scipy.interpolate import Akima1DInterpolator, CubicSpline, PPoly

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
        return float(_line_medians(values[None, :], integer)[0])
    return float(values.mean() if method == "MEAN" else clipped_mean(values, n_sigma, 3)[0])


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
    usable = _without_outliers(counts, n_sigma, integer=integer)
    known = np.isfinite(usable).any(axis=1)
    levels = np.full(len(counts), np.nan)
    if method == "MEDIAN_PER_ROW":
        levels[known] = _line_medians(usable[known], integer)
    else:
        levels[known] = np.nanmean(usable[known], axis=1)
    levels = _filled(levels, known)
    if method in _POLYNOMIALS:
        levels = _polynomial(levels, method, order)
    elif method in SPLINES:
        levels = _spline(levels, known, method, order)
    return levels, known


def _without_outliers(counts: np.ndarray, n_sigma: float, *, integer: bool) -> np.ndarray:
    """The counts, NaN where far from their line's median; a line that scatters as no other gets the others' scatter."""
    result = np.array(counts)
    known = np.flatnonzero(np.isfinite(counts).any(axis=1))
    low, middle, high = np.nanpercentile(counts[known], [25, 50, 75], axis=1)
    scatter = _SIGMA_OF_QUARTILES * (high - low)
    usual = float(np.median(scatter))
    scatter[scatter > 2.0 * usual] = usual
    limit = n_sigma * np.maximum(scatter, _QUANTISATION if integer else 0.0)
    part = result[known]
    part[np.abs(part - middle[:, None]) > limit[:, None]] = np.nan
    result[known] = part
    return result


def _line_medians(counts: np.ndarray, integer: bool) -> np.ndarray:
    """Median of the finite values of each line, of which there is one at least.

    Whole counts are a continuous level that was rounded: the median is interpolated inside its bin, by how many pixels
    share it.
    """
    ordered = np.sort(counts, axis=1)  # NaN last
    number = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(ordered))
    low, high = ordered[rows, (number - 1) // 2], ordered[rows, number // 2]
    if not integer:
        return np.asarray(0.5 * (low + high))
    below = (counts < low[:, None]).sum(axis=1)
    equal = (counts == low[:, None]).sum(axis=1)
    inside = low - 0.5 + (0.5 * number - below) / equal
    # With an even number the two middle values may lie in different bins: the level is between them.
    return np.asarray(np.where(low == high, inside, 0.5 * (low + high)))


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
