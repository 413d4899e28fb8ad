"""Fluxes of PSF stamps fitted to an image by linear least squares, neighbours together."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel
from .own_light import COVERED

__all__ = ["fit_stamps", "stamp_residuals"]

MIN_PIVOT = 1e-3  # share of a stamp that its neighbours must not explain: nearer peaks than that are not told apart


@inner_kernel
def _own_sums(
    image: np.ndarray, variance: np.ndarray, unusable: np.ndarray, stamp: np.ndarray, x0: int, y0: int
) -> tuple[float, float, float, float]:
    """Sums over usable pixels of stamp^2, stamp image, stamp^2 variance, and stamp^2 over all pixels."""
    square, product, noise, whole = 0.0, 0.0, 0.0, 0.0
    for value in stamp.flat:
        whole += value * value
    left, right = max(x0, 0), min(x0 + stamp.shape[1], image.shape[1])
    if left >= right:
        return square, product, noise, whole
    for y in range(max(y0, 0), min(y0 + stamp.shape[0], image.shape[0])):
        values, pixels = stamp[y - y0, left - x0 : right - x0], image[y, left:right]
        spread, out = variance[y, left:right], unusable[y, left:right]
        for k in range(pixels.size):
            if not out[k]:
                value = values[k]
                square += value * value
                product += value * pixels[k]
                noise += value * value * spread[k]
    return square, product, noise, whole


@inner_kernel
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


@inner_kernel
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


@inner_kernel
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


@inner_kernel
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


@inner_kernel
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


@inner_kernel
def _reveal(unusable: np.ndarray, y: np.ndarray, x0: np.ndarray, x1: np.ndarray) -> None:
    """Make the covered pixels of spans usable."""
    for i in range(y.size):
        for x in range(x0[i], x1[i]):
            if unusable[y[i], x] == COVERED:
                unusable[y[i], x] = 0


@inner_kernel
def _hide(unusable: np.ndarray, y: np.ndarray, x0: np.ndarray, x1: np.ndarray) -> None:
    """Undo `_reveal`."""
    for i in range(y.size):
        for x in range(x0[i], x1[i]):
            if unusable[y[i], x] == 0:
                unusable[y[i], x] = COVERED


@inner_kernel
def _fit_members(
    variance: np.ndarray,
    unusable: np.ndarray,
    stamps: np.ndarray,
    x0: np.ndarray,
    y0: np.ndarray,
    members: np.ndarray,
    sums: np.ndarray,
    flux: np.ndarray,
    error: np.ndarray,
    single: np.ndarray,
) -> None:
    """Fit the members of a group together; those that cannot be told from others keep what they have."""
    square, product, spread = sums[0], sums[1], sums[2]
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
    owned: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fluxes of sources from their PSF stamps, all of a group at once.

    All pixels of a stamp have the same weight: weights from the variance, which rises with the signal, would make
    the error of an imperfect PSF depend on the brightness.  The variance enters the error.

    Parameters
    ----------
    image, variance
        ``[y, x]``; finite where ``unusable`` is not set.
    unusable
        ``[y, x]`` bool: pixels left out; or the state plane of `skyloom.kernels.own_light`, of which any bit counts.
    stamps
        ``[source, y, x]`` PSF of unit sum.
    x0, y0
        First column and row of each stamp in the image.
    group_start
        Index of the first source of each group, and one past the last source.
    max_group
        Larger groups are fitted source by source.
    owned
        With a state plane: first span of each group, one past its last, and y, x0, x1 of all spans.  The covered
        pixels of these spans are used by their group alone.

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
    sums = np.empty((3, n))
    for group in range(group_start.size - 1):
        first, last = group_start[group], group_start[group + 1]
        if owned is not None:
            spans = slice(owned[0][group], owned[1][group])
            _reveal(unusable, owned[2][spans], owned[3][spans], owned[4][spans])
        for i in range(first, last):
            sums[0, i], sums[1, i], sums[2, i], whole = _own_sums(image, variance, unusable, stamps[i], x0[i], y0[i])
            coverage[i] = sums[0, i] / whole if whole > 0.0 else 0.0
            if sums[0, i] > 0.0:
                flux[i] = sums[1, i] / sums[0, i]
                error[i] = math.sqrt(sums[2, i]) / sums[0, i]
        members = first + np.flatnonzero(sums[0, first:last] > 0.0)  # NaN where the stamp is not known
        if members.size > max_group:
            single[members] = True
        else:
            _fit_members(variance, unusable, stamps, x0, y0, members, sums, flux, error, single)
        if owned is not None:
            spans = slice(owned[0][group], owned[1][group])
            _hide(unusable, owned[2][spans], owned[3][spans], owned[4][spans])
    return flux, error, coverage, single


@inner_kernel
def _chi2(
    planes: tuple[np.ndarray, np.ndarray, np.ndarray],
    stamps: np.ndarray,
    x0: np.ndarray,
    y0: np.ndarray,
    flux: np.ndarray,
    near: np.ndarray,
    own: int,
) -> tuple[float, int]:
    """Chi squared of what the models of the stamps ``near`` leave on the stamp ``own``, and the number of pixels."""
    image, variance, unusable = planes
    size = stamps.shape[1]
    total, count = 0.0, 0
    left, right = max(0, x0[own]), min(image.shape[1], x0[own] + size)
    rest = np.empty(max(right - left, 0))
    for y in range(max(0, y0[own]), min(image.shape[0], y0[own] + size)):
        rest[:] = image[y, left:right]
        for k in near:
            if 0 <= y - y0[k] < size:
                first, last = max(left, x0[k]), min(right, x0[k] + size)
                model, part = stamps[k, y - y0[k]], rest[first - left : last - left]
                for i in range(part.size):
                    part[i] -= flux[k] * model[first - x0[k] + i]
        spread, out = variance[y, left:right], unusable[y, left:right]
        for i in range(rest.size):
            if not out[i] and spread[i] > 0.0:
                total += rest[i] * rest[i] / spread[i]
                count += 1
    return total, count


@njit(cache=True, nogil=True)
def stamp_residuals(
    image: np.ndarray,
    variance: np.ndarray,
    unusable: np.ndarray,
    stamps: np.ndarray,
    x0: np.ndarray,
    y0: np.ndarray,
    group_start: np.ndarray,
    flux: np.ndarray,
    owned: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Chi squared of the fit of `fit_stamps` on each stamp, and the number of pixels that it sums.

    Pixels without variance are left out.  Arguments as of `fit_stamps`; the models of all of a group are taken off.
    """
    chi2, count = np.full(x0.size, np.nan), np.zeros(x0.size, np.int64)
    size = stamps.shape[1]
    for group in range(group_start.size - 1):
        first, last = group_start[group], group_start[group + 1]
        if owned is not None:
            spans = slice(owned[0][group], owned[1][group])
            _reveal(unusable, owned[2][spans], owned[3][spans], owned[4][spans])
        known = np.isfinite(flux[first:last])
        for i in range(first, last):
            if not known[i - first]:
                continue
            apart = np.maximum(np.abs(x0[first:last] - x0[i]), np.abs(y0[first:last] - y0[i]))
            near = first + np.flatnonzero(known & (apart < size))
            chi2[i], count[i] = _chi2((image, variance, unusable), stamps, x0, y0, flux, near, i)
        if owned is not None:
            spans = slice(owned[0][group], owned[1][group])
            _hide(unusable, owned[2][spans], owned[3][spans], owned[4][spans])
    return chi2, count
