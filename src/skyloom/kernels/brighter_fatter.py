"""The two halves of a pass of the brighter-fatter correction: the potential of the charge, and what it moved."""

from __future__ import annotations

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["convolve_padded", "move_back"]


@inner_kernel
def _add_four(total: np.ndarray, row: np.ndarray, weights: np.ndarray) -> None:
    """Add a row times each of four weights, each shifted by one pixel more; on slices, for the compiler's sake."""
    n = total.size
    first, second, third, fourth = row[:n], row[1 : n + 1], row[2 : n + 2], row[3 : n + 3]
    a, b, c, d = weights[0], weights[1], weights[2], weights[3]
    for x in range(n):
        total[x] += a * first[x] + b * second[x] + c * third[x] + d * fourth[x]


@inner_kernel
def _add_row(total: np.ndarray, row: np.ndarray, weights: np.ndarray) -> None:
    """Add a row times each weight, each shifted by one pixel more."""
    n = weights.size
    for i in range(0, n - 3, 4):
        _add_four(total, row[i:], weights[i : i + 4])
    for i in range(n - n % 4, n):
        weight, shifted = weights[i], row[i : i + total.size]
        for x in range(total.size):
            total[x] += weight * shifted[x]


@njit(cache=True, nogil=True)
def convolve_padded(padded: np.ndarray, kernel: np.ndarray, out: np.ndarray) -> None:
    """Convolve an image that is padded by half the kernel, and one pixel more, on all sides.

    At some 17 x 17 pixels the plain sum is faster than a Fourier transform, and a bright pixel leaves no rounding
    errors far away.  Where the kernel is the same upside down, which a measured one is by the way it is made, rows that
    share their weights are added up first.

    Parameters
    ----------
    padded
        float32 ``[y, x]``, finite everywhere.
    kernel
        float32 ``[y, x]``, both sides odd.
    out
        Receives the result, float32, with a border of one pixel that repeats the outermost ones.
    """
    rows, columns = kernel.shape
    weights = kernel[::-1, ::-1].copy()
    ny, nx = out.shape[0] - 2, out.shape[1] - 2
    folded = np.array_equal(weights, weights[::-1])
    pair = np.empty(nx + columns - 1, np.float32)
    for y in range(ny):
        total = out[y + 1, 1 : nx + 1]
        total[:] = 0.0
        for j in range(rows // 2 + 1 if folded else rows):
            line, opposite = padded[y + 1 + j, 1 : nx + columns], padded[y + rows - j, 1 : nx + columns]
            if folded and j < rows // 2:
                for x in range(pair.size):
                    pair[x] = line[x] + opposite[x]
                line = pair
            _add_row(total, line, weights[j])
        out[y + 1, 0], out[y + 1, nx + 1] = total[0], total[nx - 1]
    out[0], out[ny + 1] = out[1], out[ny]


@inner_kernel
def _gradients(
    above: np.ndarray, here: np.ndarray, below: np.ndarray, potential: np.ndarray, level: float, out: np.ndarray
) -> None:
    """Half of (gradient of the charge . gradient of the potential + charge x Laplacian of the potential)."""
    n = out.size
    half, quarter = np.float32(0.5), np.float32(0.25)
    up, down = potential[0, 1 : n + 1], potential[2, 1 : n + 1]
    west, middle, east = potential[1, :n], potential[1, 1 : n + 1], potential[1, 2 : n + 2]
    left, charge, right = here[:n], here[1 : n + 1], here[2 : n + 2]
    over, under = above[1 : n + 1], below[1 : n + 1]
    for x in range(n):
        product = quarter * ((right[x] - left[x]) * (east[x] - west[x]) + (under[x] - over[x]) * (down[x] - up[x]))
        centre = middle[x]
        laplacian = (east[x] - centre) + (west[x] - centre) + (up[x] - centre) + (down[x] - centre)
        out[x] = half * (product + (level + charge[x]) * laplacian)


@inner_kernel
def _exchanges(
    above: np.ndarray, here: np.ndarray, below: np.ndarray, potential: np.ndarray, level: float, out: np.ndarray
) -> None:
    """Charge that comes in over the four sides, on each half the mean of the two pixels times the potential's step."""
    n = out.size
    quarter, both = np.float32(0.25), np.float32(2.0) * level
    up, down = potential[0, 1 : n + 1], potential[2, 1 : n + 1]
    west, middle, east = potential[1, :n], potential[1, 1 : n + 1], potential[1, 2 : n + 2]
    left, charge, right = here[:n], here[1 : n + 1], here[2 : n + 2]
    over, under = above[1 : n + 1], below[1 : n + 1]
    for x in range(n):
        centre, twice = middle[x], both + charge[x]
        across = (twice + right[x]) * (east[x] - centre) + (twice + left[x]) * (west[x] - centre)
        along = (twice + under[x]) * (down[x] - centre) + (twice + over[x]) * (up[x] - centre)
        out[x] = quarter * (across + along)


@njit(cache=True, nogil=True)
def move_back(
    image: np.ndarray,
    level: float,
    deviation: np.ndarray,
    potential: np.ndarray,
    margin: tuple[int, int],
    conserving: bool,
) -> float:
    """Update an estimate of the undisturbed charge: the image plus half the divergence of (charge x field).

    Parameters
    ----------
    image
        float32 ``[y, x]``, as observed; pixels that are not finite count as ``level``.
    level
        float32, what ``deviation`` is counted from.
    deviation
        The estimate less ``level``, float32, padded by at least one pixel on all sides; updated in place.
    potential
        Convolution of ``deviation`` with the kernel, from `convolve_padded`.
    margin
        Rows and columns to leave as they are at each edge.
    conserving
        Whether to sum what crosses the sides of the pixels, so that the total is kept; else the product rule is
        written out in central differences.

    Returns
    -------
    change
        Sum of the absolute changes to the estimate.
    """
    ny, nx = image.shape
    y0, x0 = (deviation.shape[0] - ny) // 2, (deviation.shape[1] - nx) // 2
    low, high = margin[1], nx - margin[1]
    above = deviation[y0 + margin[0] - 1, x0 + low - 1 : x0 + high + 1].copy()
    here = above.copy()
    gain = np.empty(max(high - low, 0), np.float32)
    change = 0.0
    for y in range(margin[0], ny - margin[0]):
        row = deviation[y0 + y, x0 + low - 1 : x0 + high + 1]
        below = deviation[y0 + y + 1, x0 + low - 1 : x0 + high + 1]
        here[:] = row  # the next row needs the old values
        steps = potential[y : y + 3, low : high + 2]
        if conserving:
            _exchanges(above, here, below, steps, level, gain)
        else:
            _gradients(above, here, below, steps, level, gain)
        change += _replace(image[y, low:high], level, gain, row[1 : row.size - 1])
        above, here = here, above
    return change


@inner_kernel
def _replace(observed: np.ndarray, level: float, gain: np.ndarray, estimate: np.ndarray) -> float:
    change = 0.0
    for x in range(gain.size):
        start = observed[x] - level
        if not np.isfinite(start):
            start = np.float32(0.0)
        value = start + gain[x]
        change += abs(value - estimate[x])
        estimate[x] = value
    return change
