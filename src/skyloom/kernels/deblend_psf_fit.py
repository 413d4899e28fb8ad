"""Local fits of the PSF at blended peaks: one window a peak, its neighbours' PSFs and a sloping pedestal beside it."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["fit_windows", "near_members"]

MIN_PIVOT = 1e-6  # share of a term that those before it must not explain; it is left out otherwise


@njit(cache=True, nogil=True)
def near_members(
    x: np.ndarray, y: np.ndarray, group_start: np.ndarray, radius: float, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest other members of its group about each point.

    Parameters
    ----------
    x, y
        Positions, px.
    group_start
        Index of the first point of each group, and one past the last point.
    radius
        Members within this distance along x and y count, px.
    most
        No more than the nearest so many.

    Returns
    -------
    start, member
        Those of point i are ``member[start[i]:start[i + 1]]``, nearest first.
    """
    start = np.zeros(x.size + 1, np.int64)
    member = np.empty(x.size * most, np.int64)
    distance = np.empty(most)
    used = 0
    for group in range(group_start.size - 1):
        first, last = group_start[group], group_start[group + 1]
        for i in range(first, last):
            count = 0
            for j in range(first, last):
                if j == i or abs(x[j] - x[i]) > radius or abs(y[j] - y[i]) > radius:
                    continue
                apart = math.hypot(x[j] - x[i], y[j] - y[i])
                place = count
                while place > 0 and distance[place - 1] > apart:
                    place -= 1
                if place == most:
                    continue
                count = min(count + 1, most)
                for k in range(count - 1, place, -1):
                    distance[k], member[used + k] = distance[k - 1], member[used + k - 1]
                distance[place], member[used + place] = apart, j
            used += count
            start[i + 1] = used
    return start, member[:used]


@inner_kernel
def _stamp_value(stamp: np.ndarray, row: int, column: int) -> float:
    """Value of a stamp; 0 beyond its borders."""
    if 0 <= row < stamp.shape[0] and 0 <= column < stamp.shape[1]:
        return float(stamp[row, column])
    return 0.0


@inner_kernel
def _slope(stamp: np.ndarray, row: int, column: int, down: int, right: int) -> float:
    """Change of a stamp's value when its source moves by one pixel along an axis: differences of fourth order."""
    near = _stamp_value(stamp, row - down, column - right) - _stamp_value(stamp, row + down, column + right)
    far = _stamp_value(stamp, row - 2 * down, column - 2 * right) - _stamp_value(
        stamp, row + 2 * down, column + 2 * right
    )
    return float((8.0 * near - far) / 12.0)


@inner_kernel
def _fill_terms(
    terms: np.ndarray,
    stamps: np.ndarray,
    x0: np.ndarray,
    y0: np.ndarray,
    i: int,
    near: np.ndarray,
    at: tuple[int, int],
    offset: tuple[float, float],
    shifts: bool,
) -> None:
    """Values of all terms of the window of peak i at one pixel: own PSF, neighbours, pedestal, slopes, shifts."""
    y, x = at
    terms[0] = _stamp_value(stamps[i], y - y0[i], x - x0[i])
    for k in range(near.size):
        j = near[k]
        terms[1 + k] = _stamp_value(stamps[j], y - y0[j], x - x0[j])
    last = 1 + near.size
    terms[last], terms[last + 1], terms[last + 2] = 1.0, offset[0], offset[1]
    if shifts:
        terms[last + 3] = _slope(stamps[i], y - y0[i], x - x0[i], 0, 1)
        terms[last + 4] = _slope(stamps[i], y - y0[i], x - x0[i], 1, 0)


@inner_kernel
def _solve(normal: np.ndarray, right: np.ndarray) -> int:
    """Solve a symmetric system in place; terms that those before them explain get 0.  Returns the number of others."""
    n = right.size
    kept = np.ones(n, np.bool_)
    for j in range(n):
        diagonal = normal[j, j]
        for k in range(j):
            normal[j, j] -= normal[j, k] * normal[j, k]
        if not normal[j, j] > MIN_PIVOT * diagonal:
            kept[j] = False
            normal[j:, j] = 0.0
            normal[j, j] = 1.0
            right[j] = 0.0
            normal[j, :j] = 0.0
            continue
        normal[j, j] = math.sqrt(normal[j, j])
        for i in range(j + 1, n):
            for k in range(j):
                normal[i, j] -= normal[i, k] * normal[j, k]
            normal[i, j] /= normal[j, j]
    for i in range(n):
        for k in range(i):
            right[i] -= normal[i, k] * right[k]
        right[i] /= normal[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            right[i] -= normal[k, i] * right[k]
        right[i] /= normal[i, i]
        if not kept[i]:
            right[i] = 0.0
    return int(kept.sum())


@inner_kernel
def _radial_weight(radius: float, inner: float, outer: float) -> float:
    """1 inside ``inner``, falling linearly to 0 at ``outer``."""
    if radius <= inner:
        return 1.0
    return max((outer - radius) / (outer - inner), 0.0)


@njit(cache=True, nogil=True)
def fit_windows(
    image: np.ndarray,
    variance: np.ndarray,
    unusable: np.ndarray,
    stamps: np.ndarray,
    x0: np.ndarray,
    y0: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    flux: np.ndarray,
    near_start: np.ndarray,
    near: np.ndarray,
    inner: float,
    outer: float,
    model_error: float,
    shifts: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fit PSF, pedestal, slopes and the PSFs of the neighbours in a disk about each peak.

    Pixels are weighted by their inverse variance, and by a factor that falls from 1 at ``inner`` to 0 at ``outer``.

    Parameters
    ----------
    image, variance
        ``[y, x]``; finite where ``unusable`` is not set.
    unusable
        ``[y, x]`` bool: pixels left out.
    stamps
        ``[peak, y, x]``: PSF of unit sum at each peak; NaN where not known.
    x0, y0
        First column and row of each stamp in the image.
    x, y
        Positions of the stamps, in array coordinates, px.
    flux
        Best known flux of each; the error of the PSF is a fraction of the model that it makes.
    near_start, near
        Neighbours of each, as `near_members` gives them.
    inner, outer
        Radii of the disk, px.
    model_error
        Relative error of the PSF, added to the noise.
    shifts
        Also fit the position, to first order.

    Returns
    -------
    flux, dx, dy
        Fitted flux and shift of each peak, px; 0 without ``shifts``; NaN where nothing was fitted.
    chi2
        Weighted chi squared over its degrees of freedom.
    """
    n = x.size
    best, dx, dy = np.full(n, np.nan), np.zeros(n), np.zeros(n)
    chi2 = np.full(n, np.nan)
    reach = math.ceil(outer) + 1
    side = 2 * reach + 1
    for i in range(n):
        if not math.isfinite(stamps[i, 0, 0]):
            continue
        own = near[near_start[i] : near_start[i + 1]]
        own = own[np.isfinite(stamps[own, 0, 0])]
        m = 4 + own.size + (2 if shifts else 0)
        row0, column0 = math.floor(y[i] + 0.5) - reach, math.floor(x[i] + 0.5) - reach
        terms, weight, value = np.zeros((side * side, m)), np.zeros(side * side), np.zeros(side * side)
        normal, right = np.zeros((m, m)), np.zeros(m)
        total, used = 0.0, 0
        for row in range(max(row0, 0), min(row0 + side, image.shape[0])):
            for column in range(max(column0, 0), min(column0 + side, image.shape[1])):
                radial = _radial_weight(math.hypot(column - x[i], row - y[i]), inner, outer)
                if radial <= 0.0 or unusable[row, column] or not variance[row, column] > 0.0:
                    continue
                basis = terms[used]
                offset = ((column - x[i]) / outer, (row - y[i]) / outer)
                _fill_terms(basis, stamps, x0, y0, i, own, (row, column), offset, shifts)
                model = flux[i] * basis[0]
                for k in range(own.size):
                    model += flux[own[k]] * basis[1 + k]
                weight[used] = radial / (variance[row, column] + (model_error * model) ** 2)
                value[used] = image[row, column]
                total += radial
                used += 1
        if total - m < 3.0:
            continue
        for k in range(used):
            for a in range(m):
                weighted = weight[k] * terms[k, a]
                right[a] += weighted * value[k]
                for b in range(a + 1):
                    normal[a, b] += weighted * terms[k, b]
        fitted = _solve(normal, right)
        squares = 0.0
        for k in range(used):
            residual = value[k]
            for a in range(m):
                residual -= right[a] * terms[k, a]
            squares += weight[k] * residual * residual
        best[i], chi2[i] = right[0], squares / (total - fitted)
        if shifts and right[0] > 0.0:
            dx[i], dy[i] = right[m - 2] / right[0], right[m - 1] / right[0]
    return best, dx, dy, chi2
