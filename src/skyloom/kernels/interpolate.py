"""Bridge runs of unusable pixels from the good ones at their ends."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["BRIDGED", "UNUSABLE", "bridge_runs", "kriging_weights", "settle_bridges", "unusable_map"]

UNUSABLE = 1
BRIDGED = 2


@inner_kernel
def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve a small linear system by elimination with partial pivoting; both arguments are overwritten."""
    n = right.size
    for column in range(n):
        pivot = column
        for row in range(column + 1, n):
            if abs(matrix[row, column]) > abs(matrix[pivot, column]):
                pivot = row
        if pivot != column:
            for k in range(n):
                matrix[column, k], matrix[pivot, k] = matrix[pivot, k], matrix[column, k]
            right[column], right[pivot] = right[pivot], right[column]
        for row in range(column + 1, n):
            factor = matrix[row, column] / matrix[column, column]
            for k in range(column, n):
                matrix[row, k] -= factor * matrix[column, k]
            right[row] -= factor * right[column]
    for row in range(n - 1, -1, -1):
        for k in range(row + 1, n):
            right[row] -= matrix[row, k] * right[k]
        right[row] /= matrix[row, row]
    return right


@njit(cache=True, nogil=True)
def kriging_weights(offsets: np.ndarray) -> np.ndarray:
    """Weights of samples at ``offsets`` (pixels, distinct) that predict the value at 0 best.

    Ordinary kriging: the weights sum to one and minimise the error for a signal of covariance exp(-d^2 / 4), which is
    that of point sources seen through a Gaussian PSF of 1 pixel sigma.  A single bad pixel gets 0.774 of each neighbour
    and -0.274 of each one after: unlike a mean of neighbours, that keeps the peak of a star.
    """
    n = offsets.size
    matrix = np.zeros((n + 1, n + 1))
    right = np.empty(n + 1)
    for i in range(n):
        for j in range(n):
            matrix[i, j] = math.exp(-0.25 * (offsets[i] - offsets[j]) ** 2)
        matrix[i, n] = 1.0
        matrix[n, i] = 1.0
        right[i] = math.exp(-0.25 * offsets[i] ** 2)
    right[n] = 1.0
    weights: np.ndarray = _solve(matrix, right)[:n]
    return weights


@inner_kernel
def _steps_to_good(bad: np.ndarray, y: int, x: int, dy: int, dx: int, limit: int) -> tuple[int, bool]:
    """Steps from a bad pixel to the first good one in a direction, and whether there is one.

    Where the image ends first: the steps that leave it, and False.  ``limit`` + 1 and False where neither comes.
    """
    for step in range(1, limit + 1):
        row, column = y + step * dy, x + step * dx
        if row < 0 or row >= bad.shape[0] or column < 0 or column >= bad.shape[1]:
            return step, False
        if bad[row, column] == 0:
            return step, True
    return limit + 1, False


@inner_kernel
def _along(image: np.ndarray, bad: np.ndarray, y: int, x: int, dy: int, dx: int, limit: int) -> tuple[float, int]:
    """Value predicted along one axis from up to two good pixels on each side, and the length of the run of bad ones.

    A run that ends at the edge of the image counts double, so that the other axis is preferred.  The length is 0 where
    the run is longer than ``limit`` or has no good end.
    """
    offsets = np.empty(4)
    values = np.empty(4)
    n, sides, length = 0, 0, -1
    for sign in (-1, 1):
        first, found = _steps_to_good(bad, y, x, sign * dy, sign * dx, limit)
        length += first
        if not found:
            continue
        sides += 1
        for step in (first, first + 1):
            row, column = y + sign * step * dy, x + sign * step * dx
            if 0 <= row < bad.shape[0] and 0 <= column < bad.shape[1] and bad[row, column] == 0:
                offsets[n] = sign * step
                values[n] = image[row, column]
                n += 1
    if sides == 0 or length > limit:
        return 0.0, 0
    weights = kriging_weights(offsets[:n])
    total = 0.0
    for k in range(n):
        total += weights[k] * values[k]
    return total, length if sides == 2 else 2 * length


@njit(cache=True, nogil=True)
def unusable_map(image: np.ndarray, bits: np.ndarray, unusable: int, wanted: int) -> np.ndarray:
    """Which pixels ``[y, x]`` tell nothing (UNUSABLE, uint8), and which of them are to be bridged (BRIDGED).

    Parameters
    ----------
    image
        Pixels; those that are not finite are unusable.
    bits
        Mask bits.
    unusable
        Pixels with any of these bits are unusable.
    wanted
        Pixels with any of these bits, and none of the others, are to be bridged.
    """
    found = np.zeros(image.shape, np.uint8)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if bits[y, x] & unusable != 0:
                found[y, x] = UNUSABLE
            elif bits[y, x] & wanted != 0:
                found[y, x] = BRIDGED
            elif not math.isfinite(image[y, x]):
                found[y, x] = UNUSABLE
    return found


@inner_kernel
def _bridged_places(bad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels to be bridged."""
    count = 0
    for code in bad.ravel():
        count += code == BRIDGED
    rows, columns = np.empty(count, np.int64), np.empty(count, np.int64)
    at = 0
    for y in range(bad.shape[0]):
        for x in range(bad.shape[1]):
            if bad[y, x] == BRIDGED:
                rows[at], columns[at] = y, x
                at += 1
    return rows, columns


@njit(cache=True, nogil=True)
def bridge_runs(image: np.ndarray, bad: np.ndarray, max_run: int) -> np.ndarray:
    """Give bad pixels a value from good ones, along the axis in which the run of bad pixels is shorter.

    Where the runs are equally long both ways the two predictions are averaged.  Only pixels that were good to begin
    with are used, so that the order of work does not matter.

    Parameters
    ----------
    image
        Pixels ``[y, x]``; those to be bridged are replaced in place.
    bad
        0 where a pixel can be used, UNUSABLE or BRIDGED where not (uint8 ``[y, x]``); pixels that are not finite must
        be one of the two.
    max_run
        Longest run to bridge, in pixels.

    Returns
    -------
    filled
        Bool ``[y, x]``: pixels that received a value.
    """
    filled = np.zeros(bad.shape, dtype=np.bool_)
    rows, columns = _bridged_places(bad)
    values = np.zeros(rows.size, dtype=image.dtype)
    for place in range(rows.size):
        y, x = rows[place], columns[place]
        across, width = _along(image, bad, y, x, 0, 1, max_run)
        upward, height = _along(image, bad, y, x, 1, 0, max_run)
        if width == 0 and height == 0:
            continue
        if height == 0 or 0 < width < height:
            values[place] = across
        elif width == 0 or height < width:
            values[place] = upward
        else:
            values[place] = 0.5 * (across + upward)
        filled[y, x] = True
    for place in range(rows.size):
        if filled[rows[place], columns[place]]:
            image[rows[place], columns[place]] = values[place]
    return filled


@njit(cache=True, nogil=True)
def settle_bridges(
    image: np.ndarray, variance: np.ndarray, bits: np.ndarray, bad: np.ndarray, filled: np.ndarray, done: int, lost: int
) -> int:
    """Say in the planes ``[y, x]`` what became of the bridges, and return how many held.

    Bridged pixels get the bit ``done`` and the variance +inf.  Those that could not be bridged get ``lost``; they, and
    those that had it before, become not a number with the variance +inf.
    """
    held = 0
    for y in range(bad.shape[0]):
        for x in range(bad.shape[1]):
            if bad[y, x] == 0:
                continue
            if bad[y, x] == BRIDGED:
                variance[y, x] = math.inf
                bits[y, x] |= done if filled[y, x] else lost
                held += filled[y, x]
            if bits[y, x] & lost != 0:
                image[y, x] = math.nan
                variance[y, x] = math.inf
    return held
