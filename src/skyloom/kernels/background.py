"""Statistics of an image in the cells of a mesh."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .statistics import clipped_mean

__all__ = ["mesh_statistics"]


@njit(cache=True, nogil=True)
def _usable(image: np.ndarray, bits: np.ndarray, ignored: int, cell: tuple[int, int, int, int], out: np.ndarray) -> int:
    """Copy the finite pixels of a cell (y0, y1, x0, x1) without an ignored bit into ``out``; their number."""
    n = 0
    for y in range(cell[0], cell[1]):
        for x in range(cell[2], cell[3]):
            value = image[y, x]
            if (bits[y, x] & ignored) == 0 and math.isfinite(value):
                out[n] = value
                n += 1
    return n


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
    buffer = np.empty(largest)
    for j in range(ny):
        for i in range(nx):
            n = _usable(image, bits, ignored, (y_edges[j], y_edges[j + 1], x_edges[i], x_edges[i + 1]), buffer)
            mean[j, i], sigma[j, i], _ = clipped_mean(buffer[:n], n_sigma, max_iterations)
            count[j, i] = n
    return mean, sigma, count
