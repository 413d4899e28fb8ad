"""Fluxes of PSF stamps fitted to an image by linear least squares, neighbours together."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["fit_stamps"]

MIN_PIVOT = 1e-3  # share of a stamp that its neighbours must not explain: nearer peaks than that are not told apart


@njit(cache=True, nogil=True)
def _own_sums(
    image: np.ndarray, variance: np.ndarray, unusable: np.ndarray, stamp: np.ndarray, x0: int, y0: int
) -> tuple[float, float, float, float]:
    """Sums over usable pixels of stamp^2, stamp image, stamp^2 variance, and stamp^2 over all pixels."""
    square, product, noise, whole = 0.0, 0.0, 0.0, 0.0
    for j in range(stamp.shape[0]):
        for i in range(stamp.shape[1]):
            y, x, value = y0 + j, x0 + i, stamp[j, i]
            whole += value * value
            if 0 <= y < image.shape[0] and 0 <= x < image.shape[1] and not unusable[y, x]:
                square += value * value
                product += value * image[y, x]
                noise += value * value * variance[y, x]
    return square, product, noise, whole


@njit(cache=True, nogil=True)
def _shared_sums(
    variance: np.ndarray, unusable: np.ndarray, stamps: np.ndarray, x0: np.ndarray, y0: np.ndarray, a: int, b: int
) -> tuple[float, float]:
    """Sums over the usable pixels that two stamps share of their product, and of that times the variance."""
    size = stamps.shape[1]
    product, noise = 0.0, 0.0
    for y in range(max(y0[a], y0[b], 0), min(y0[a] + size, y0[b] + size, variance.shape[0])):
        for x in range(max(x0[a], x0[b], 0), min(x0[a] + size, x0[b] + size, variance.shape[1])):
            if not unusable[y, x]:
                value = stamps[a, y - y0[a], x - x0[a]] * stamps[b, y - y0[b], x - x0[b]]
                product += value
                noise += value * variance[y, x]
    return product, noise


@njit(cache=True, nogil=True)
def _factor(matrix: np.ndarray) -> int:
    """Cholesky factor of a symmetric positive matrix into its lower triangle.

    Returns -1, or the first row that those before it nearly explain.
    """
    n = matrix.shape[0]
    for j in range(n):
        for i in range(j, n):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i > j:
                matrix[i, j] = total / matrix[j, j]
            elif not total > MIN_PIVOT * matrix[j, j]:
                return j
            else:
                matrix[j, j] = math.sqrt(total)
    return -1


@njit(cache=True, nogil=True)
def _solve(factor: np.ndarray, right: np.ndarray) -> None:
    """Solve in place for one right-hand side with the factor of `_factor`."""
    n = factor.shape[0]
    for i in range(n):
        for k in range(i):
            right[i] -= factor[i, k] * right[k]
        right[i] /= factor[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            right[i] -= factor[k, i] * right[k]
        right[i] /= factor[i, i]


@njit(cache=True, nogil=True)
def _fit_group(normal: np.ndarray, product: np.ndarray, noise: np.ndarray, flux: np.ndarray, error: np.ndarray) -> int:
    """Solve one group, with the errors of equal weights under unequal noise; ``normal`` is overwritten.

    Returns -1, or the member that cannot be told from those before it; nothing is solved then.
    """
    failed: int = _factor(normal)
    if failed >= 0:
        return failed
    n = product.size
    for i in range(n):
        flux[i] = product[i]
    _solve(normal, flux)
    row = np.empty(n)  # of the inverse
    for i in range(n):
        for k in range(n):
            row[k] = 1.0 if k == i else 0.0
        _solve(normal, row)
        total = 0.0
        for j in range(n):
            for k in range(n):
                total += row[j] * noise[j, k] * row[k]
        error[i] = math.sqrt(max(total, 0.0))
    return -1


@njit(cache=True, nogil=True)
def _group_sums(
    variance: np.ndarray,
    unusable: np.ndarray,
    stamps: np.ndarray,
    x0: np.ndarray,
    y0: np.ndarray,
    members: np.ndarray,
    normal: np.ndarray,
    noise: np.ndarray,
) -> None:
    """Fill the parts of the normal matrix and of the noise off the diagonal."""
    for i in range(members.size):
        for j in range(i):
            both, spread = _shared_sums(variance, unusable, stamps, x0, y0, members[i], members[j])
            normal[i, j], normal[j, i] = both, both
            noise[i, j], noise[j, i] = spread, spread


@njit(cache=True, nogil=True)
def fit_stamps(
    image: np.ndarray,
    variance: np.ndarray,
    unusable: np.ndarray,
    stamps: np.ndarray,
    x0: np.ndarray,
    y0: np.ndarray,
    group_start: np.ndarray,
    max_group: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fluxes of sources from their PSF stamps, all of a group at once.

    All pixels of a stamp have the same weight: weights from the variance, which rises with the signal, would make
    the error of an imperfect PSF depend on the brightness.  The variance enters the error.

    Parameters
    ----------
    image, variance
        ``[y, x]``; finite where ``unusable`` is not set.
    unusable
        ``[y, x]`` bool: pixels left out.
    stamps
        ``[source, y, x]`` PSF of unit sum.
    x0, y0
        First column and row of each stamp in the image.
    group_start
        Index of the first source of each group, and one past the last source.
    max_group
        Larger groups are fitted source by source.

    Returns
    -------
    flux, error
        One a source; NaN where no pixel is usable.
    coverage
        Share of the sum of the squared stamp on usable pixels.
    single
        Bool: fitted without a neighbour, for the group is too large, or because the two lie too close to be told apart.
    """
    n = x0.size
    flux, error = np.full(n, np.nan), np.full(n, np.nan)
    coverage, single = np.zeros(n), np.zeros(n, np.bool_)
    square, product, spread = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        square[i], product[i], spread[i], whole = _own_sums(image, variance, unusable, stamps[i], x0[i], y0[i])
        coverage[i] = square[i] / whole if whole > 0.0 else 0.0
        if square[i] > 0.0:
            flux[i] = product[i] / square[i]
            error[i] = math.sqrt(spread[i]) / square[i]
    for group in range(group_start.size - 1):
        first, last = group_start[group], group_start[group + 1]
        members = first + np.flatnonzero(square[first:last] > 0.0)  # NaN where the stamp is not known
        if members.size > max_group:
            single[members] = True
            continue
        while members.size > 1:
            m = members.size
            normal, noise = np.zeros((m, m)), np.zeros((m, m))
            for i in range(m):
                normal[i, i], noise[i, i] = square[members[i]], spread[members[i]]
            _group_sums(variance, unusable, stamps, x0, y0, members, normal, noise)
            fluxes, errors = np.empty(m), np.empty(m)
            failed = _fit_group(normal, product[members], noise, fluxes, errors)
            if failed < 0:
                flux[members], error[members] = fluxes, errors
                break
            partner = np.argmax(normal[:failed, failed] / square[members[:failed]])
            single[members[failed]] = single[members[partner]] = True
            members = np.delete(members, failed)
    return flux, error, coverage, single
