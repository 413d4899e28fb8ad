"""Statistics of an image in the cells of a mesh."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel
from .statistics import truncation_factor

__all__ = ["mesh_statistics", "render_akima"]

_START_SAMPLE = 512  # pixels of a cell from which the clipping starts
_PART = 256  # pixels whose sums are taken in float32 before they are added in float64


@inner_kernel
def _usable_in_row(image: np.ndarray, bits: np.ndarray, ignored: int) -> int:
    """Number of the finite pixels of a row without an ignored bit."""
    n = 0
    for x in range(image.size):
        n += (bits[x] & ignored == 0) & (abs(image[x]) < np.float32(np.inf))
    return n


@inner_kernel
def _usable(image: np.ndarray, bits: np.ndarray, ignored: int, cell: tuple[int, int, int, int], out: np.ndarray) -> int:
    """Copy the finite pixels of a cell (y0, y1, x0, x1) without an ignored bit into ``out``; their number."""
    n = 0
    for y in range(cell[0], cell[1]):
        row, flags = image[y, cell[2] : cell[3]], bits[y, cell[2] : cell[3]]
        if _usable_in_row(row, flags, ignored) == row.size:
            out[n : n + row.size] = row
            n += row.size
            continue
        for x in range(row.size):
            if flags[x] & ignored == 0 and math.isfinite(row[x]):
                out[n] = row[x]
                n += 1
    return n


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _part_within(values: np.ndarray, centre: np.float32, half_width: np.float32) -> tuple[np.float32, ...]:
    """`_sums_within` of few values; the sums may be taken in any order, so that several values go together."""
    kept, total, square = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for value in values:
        offset = value - centre
        inside = np.float32(1.0) if abs(offset) <= half_width else np.float32(0.0)
        kept += inside
        total += inside * offset
        square += inside * offset * offset
    return np.float32(kept), np.float32(total), np.float32(square)


@inner_kernel
def _sums_within(values: np.ndarray, centre: float, half_width: float) -> tuple[float, float, float]:
    """Number of the values within ``half_width`` of ``centre``, and the sums of their offsets and of the squares."""
    kept, total, square = 0.0, 0.0, 0.0
    for first in range(0, values.size, _PART):
        part = _part_within(values[first : first + _PART], np.float32(centre), np.float32(half_width))
        kept += part[0]
        total += part[1]
        square += part[2]
    return kept, total, square


@inner_kernel
def _start(values: np.ndarray) -> tuple[float, float]:
    """Median and scatter from the quartiles of some of the values: enough for 4 % in sigma."""
    sample = np.sort(values[:: max(1, values.size // _START_SAMPLE)])
    n = sample.size
    spread = 0.7413 * (sample[(3 * n) // 4] - sample[n // 4])
    if spread <= 0.0:  # integer data of little noise: most values are the same
        spread = np.std(sample)
    return sample[n // 2], spread


@inner_kernel
def _clipped_mean(values: np.ndarray, n_sigma: float, max_iterations: int) -> tuple[float, float]:
    """Mean and scatter as `skyloom.kernels.statistics.clipped_mean` has them, of float32 values."""
    if values.size == 0:
        return math.nan, math.nan
    mean, sigma = _start(values)
    factor = truncation_factor(n_sigma)
    count = 0.0
    for _ in range(max_iterations):
        centre = np.float32(mean)
        kept, total, square = _sums_within(values, centre, n_sigma * sigma)
        if kept == 0.0:
            break
        shift = total / kept
        mean = centre + shift
        sigma = math.sqrt(max(square / kept - shift * shift, 0.0)) / factor
        if kept == count:
            break
        count = kept
    return mean, sigma


@njit(cache=True, nogil=True)
def mesh_statistics(
    image: np.ndarray,
    bits: np.ndarray,
    ignored: int,
    y_edges: np.ndarray,
    x_edges: np.ndarray,
    n_sigma: float,
    max_iterations: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clipped mean, scatter and number of usable pixels of each cell.

    Parameters
    ----------
    image, bits
        ``[y, x]`` pixels and mask bits.
    ignored
        Pixels with one of these bits are left out, and so are those that are not finite.
    y_edges, x_edges
        First row (column) of each cell, and one past the last: n + 1 integers.
    n_sigma, max_iterations
        Of the clipped mean.

    Returns
    -------
    mean, sigma, count
        ``[cell_y, cell_x]``; mean and sigma are NaN in a cell without usable pixels.
    """
    ny, nx = y_edges.size - 1, x_edges.size - 1
    mean = np.empty((ny, nx))
    sigma = np.empty((ny, nx))
    count = np.zeros((ny, nx), np.int64)
    largest = 0
    for j in range(ny):
        for i in range(nx):
            largest = max(largest, (y_edges[j + 1] - y_edges[j]) * (x_edges[i + 1] - x_edges[i]))
    buffer = np.empty(largest + 1, np.float32)
    for j in range(ny):
        for i in range(nx):
            n = _usable(image, bits, ignored, (y_edges[j], y_edges[j + 1], x_edges[i], x_edges[i + 1]), buffer)
            mean[j, i], sigma[j, i] = _clipped_mean(buffer[:n], n_sigma, max_iterations)
            count[j, i] = n
    return mean, sigma, count


@inner_kernel
def _akima_slopes(at: np.ndarray, value: np.ndarray, slope: np.ndarray) -> None:
    """Slopes of an Akima spline at its nodes (at least two) into ``slope``; two nodes give a straight line."""
    n = at.size
    steps = np.empty(n + 3)  # of the intervals, with two made up at each end
    for i in range(n - 1):
        steps[i + 2] = (value[i + 1] - value[i]) / (at[i + 1] - at[i])
    before = steps[3] if n > 2 else steps[2]
    after = steps[n - 1] if n > 2 else steps[n]
    steps[1] = 2.0 * steps[2] - before
    steps[0] = 2.0 * steps[1] - steps[2]
    steps[n + 1] = 2.0 * steps[n] - after
    steps[n + 2] = 2.0 * steps[n + 1] - steps[n]
    largest = 0.0
    for i in range(n):
        largest = max(largest, abs(steps[i + 3] - steps[i + 2]) + abs(steps[i + 1] - steps[i]))
    for i in range(n):
        right, left = abs(steps[i + 3] - steps[i + 2]), abs(steps[i + 1] - steps[i])
        if right + left > 1e-9 * largest:
            slope[i] = (right * steps[i + 1] + left * steps[i + 2]) / (right + left)
        else:
            slope[i] = 0.5 * (steps[i + 1] + steps[i + 2])


@inner_kernel
def _akima_row(at: np.ndarray, value: np.ndarray, slope: np.ndarray, first: int, out: np.ndarray) -> None:
    """Evaluate an Akima spline at the integers from ``first`` on."""
    _akima_slopes(at, value, slope)
    last = at.size - 2
    start = 0
    for i in range(last + 1):
        stop = out.size if i == last else min(max(math.ceil(at[i + 1] - first), start), out.size)
        width = at[i + 1] - at[i]
        step = (value[i + 1] - value[i]) / width
        quadratic = (3.0 * step - 2.0 * slope[i] - slope[i + 1]) / width
        cubic = (slope[i] + slope[i + 1] - 2.0 * step) / (width * width)
        for k in range(start, stop):
            t = first + k - at[i]
            out[k] = value[i] + t * (slope[i] + t * (quadratic + t * cubic))
        start = stop


@njit(cache=True, nogil=True)
def render_akima(
    nodes: np.ndarray, y: np.ndarray, x: np.ndarray, y0: int, x0: int, height: int, width: int
) -> np.ndarray:
    """The surface of Akima splines (Akima 1970, J. ACM 17, 589), first along y and then along x, at every pixel.

    Parameters
    ----------
    nodes
        ``[node_y, node_x]``, finite, at least 2 x 2.
    y, x
        Positions of the nodes, rising, px.
    y0, x0, height, width
        First pixel and size of the image.

    Returns
    -------
    numpy.ndarray
        ``[y, x]`` float32.
    """
    columns = np.empty((x.size, height))
    slope = np.empty(max(y.size, x.size))
    for i in range(x.size):
        _akima_row(y, nodes[:, i].copy(), slope, y0, columns[i])
    out = np.empty((height, width), np.float32)
    row = np.empty(width)
    for j in range(height):
        _akima_row(x, columns[:, j].copy(), slope, x0, row)
        out[j] = row
    return out
