"""Level of an image in the cells of a mesh, each about a plane of its own: what stands under superpixels."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel
from .statistics import truncation_factor

__all__ = ["CLIPPED_MEAN", "MEAN", "MEDIAN", "cell_levels", "subtract_planes"]

MEAN, MEDIAN, CLIPPED_MEAN = 0, 1, 2
"""How the pixels of a cell become one value."""
_START_SAMPLE = 512  # pixels of a cell from which the clipping starts
_LEAST_FOR_SLOPES = 32
_ROUNDING = 1e-6  # of float32 values: what lies so close to the plane is not clipped


@inner_kernel
def _gather(
    image: np.ndarray,
    bits: np.ndarray,
    variance: np.ndarray,
    ignored: int,
    cell: tuple[int, int, int, int],
    values: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
) -> tuple[int, float]:
    """Copy the usable pixels of a cell (y0, y1, x0, x1) and their places in it; their number, and mean variance."""
    n, total = 0, 0.0
    for j in range(cell[0], cell[1]):
        for i in range(cell[2], cell[3]):
            spread = variance[j, i]
            if bits[j, i] & ignored == 0 and abs(image[j, i]) < np.inf and 0.0 < spread < np.inf:
                values[n] = image[j, i]
                x[n] = i - cell[2]
                y[n] = j - cell[0]
                total += spread
                n += 1
    return n, total / max(n, 1)


@inner_kernel
def _start(values: np.ndarray) -> tuple[float, float]:
    """Median and scatter from the quartiles of some of the values."""
    sample = np.sort(values[:: max(1, values.size // _START_SAMPLE)])
    n = sample.size
    spread = 0.7413 * (sample[(3 * n) // 4] - sample[n // 4])
    if spread <= 0.0:  # most values are the same
        spread = np.std(sample)
    return float(sample[n // 2]), float(spread)


@inner_kernel
def _slopes(n: float, sums: np.ndarray) -> tuple[float, float]:
    """Slopes along x and y from the sums of x, y, v, xx, xy, yy, xv, yv, vv; 0 where they are not determined."""
    xx, xy, yy = (
        sums[3] - sums[0] * sums[0] / n,
        sums[4] - sums[0] * sums[1] / n,
        sums[5] - sums[1] * sums[1] / n,
    )
    xv, yv = sums[6] - sums[0] * sums[2] / n, sums[7] - sums[1] * sums[2] / n
    determinant = xx * yy - xy * xy
    if n < _LEAST_FOR_SLOPES or determinant < 1e-3 * (xx + yy) ** 2:
        return 0.0, 0.0
    return (yy * xv - xy * yv) / determinant, (xx * yv - xy * xv) / determinant


@inner_kernel
def _plane_sums(
    values: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    start: float,
    plane: tuple[float, float, float],
    limit: float,
    sums: np.ndarray,
) -> float:
    """Number of the values within ``limit`` of a plane, and what `_slopes` needs of them, values less ``start``."""
    kept = 0.0
    sums[:] = 0.0
    for k in range(values.size):
        u, w, v = float(x[k]), float(y[k]), values[k] - start
        if abs(v - plane[0] - plane[1] * u - plane[2] * w) <= limit:
            kept += 1.0
            sums[0] += u
            sums[1] += w
            sums[2] += v
            sums[3] += u * u
            sums[4] += u * w
            sums[5] += w * w
            sums[6] += u * v
            sums[7] += w * v
            sums[8] += v * v
    return kept


@inner_kernel
def _level(
    values: np.ndarray, x: np.ndarray, y: np.ndarray, statistic: int, n_sigma: float, iterations: int
) -> tuple[float, float, float, float]:
    """Value at the mean place, that place (x, y), and the variance of the pixels about their plane."""
    start, sigma = _start(values)
    clips = statistic != MEAN and iterations > 0 and n_sigma < np.inf
    factor = truncation_factor(n_sigma) if clips else 1.0
    plane, count, sums = (0.0, 0.0, 0.0), 0.0, np.empty(9)
    mean, at_x, at_y, spread = start, x[0] * 1.0, y[0] * 1.0, 0.0
    for _ in range(max(iterations, 1) if clips else 1):
        limit = n_sigma * sigma + _ROUNDING * abs(start) if clips else np.inf
        kept = _plane_sums(values, x, y, start, plane, limit, sums)
        if kept == 0.0:
            break
        along_x, along_y = _slopes(kept, sums)
        at_x, at_y, mean = sums[0] / kept, sums[1] / kept, sums[2] / kept
        plane = (mean - along_x * at_x - along_y * at_y, along_x, along_y)
        square = sums[8] - kept * mean * mean
        square -= along_x * (sums[6] - kept * at_x * mean) + along_y * (sums[7] - kept * at_y * mean)
        spread = max(square / kept, 0.0) / (factor * factor)
        mean, sigma = start + mean, math.sqrt(spread)
        if kept == count:
            break
        count = kept
    if statistic == MEDIAN:
        flat = np.empty(values.size)
        for k in range(values.size):
            flat[k] = values[k] - plane[1] * (x[k] - at_x) - plane[2] * (y[k] - at_y)
        mean = np.median(flat)
    return mean, at_x, at_y, spread


@njit(cache=True, nogil=True)
def cell_levels(
    image: np.ndarray,
    bits: np.ndarray,
    variance: np.ndarray,
    ignored: int,
    y_edges: np.ndarray,
    x_edges: np.ndarray,
    statistic: int,
    n_sigma: float,
    iterations: int,
) -> np.ndarray:
    """Level of the usable pixels of each cell: finite, of finite positive variance and without an ignored bit.

    The pixels are clipped about a plane that is fitted with them, so that a slope neither widens the clipping nor
    counts as scatter; the value is that of the plane at the mean place of the accepted pixels.

    Parameters
    ----------
    image, bits, variance
        ``[y, x]`` pixels, mask bits and variances.
    ignored
        Integer of the mask planes to leave out.
    y_edges, x_edges
        First row (column) of each cell, and one past the last: n + 1 integers within the image.
    statistic
        `MEAN`, `MEDIAN` or `CLIPPED_MEAN`.
    n_sigma, iterations
        Of the clipped mean, and of the plane under the median.

    Returns
    -------
    numpy.ndarray
        ``[6, cell_y, cell_x]``: number of usable pixels, value, x and y of its place (px of the image), variance of
        the pixels about the plane, mean of their variances.  All 0 in a cell without usable pixels.
    """
    ny, nx = y_edges.size - 1, x_edges.size - 1
    out = np.zeros((6, ny, nx))
    largest = 0
    for j in range(ny):
        for i in range(nx):
            largest = max(largest, (y_edges[j + 1] - y_edges[j]) * (x_edges[i + 1] - x_edges[i]))
    values = np.empty(largest + 1, np.float32)
    x, y = np.empty(largest + 1, np.int32), np.empty(largest + 1, np.int32)
    for j in range(ny):
        for i in range(nx):
            cell = (y_edges[j], y_edges[j + 1], x_edges[i], x_edges[i + 1])
            n, mean_variance = _gather(image, bits, variance, ignored, cell, values, x, y)
            if n == 0:
                continue
            mean, at_x, at_y, spread = _level(values[:n], x[:n], y[:n], statistic, n_sigma, iterations)
            out[0, j, i], out[1, j, i] = n, mean
            out[2, j, i], out[3, j, i] = at_x + x_edges[i], at_y + y_edges[j]
            out[4, j, i], out[5, j, i] = spread, mean_variance
    return out


@njit(cache=True, nogil=True)
def subtract_planes(
    image: np.ndarray,
    bits: np.ndarray,
    variance: np.ndarray,
    other_image: np.ndarray,
    other_bits: np.ndarray,
    other_variance: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image less another, the bits of both, and the sum of their variances where both are positive, else +inf.

    All ``[y, x]`` of one shape; float32, int32, float32 come out.
    """
    out = np.empty(image.shape, np.float32)
    joined = np.empty(image.shape, np.int32)
    spread = np.empty(image.shape, np.float32)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            out[y, x] = image[y, x] - other_image[y, x]
            joined[y, x] = bits[y, x] | other_bits[y, x]
            a, b = variance[y, x], other_variance[y, x]
            spread[y, x] = a + b if a > 0 and b > 0 else np.float32(np.inf)
    return out, joined, spread
