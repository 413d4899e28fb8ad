"""Which pixels lie inside a polygon."""

from __future__ import annotations

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["inside_polygon"]


@njit(cache=True, nogil=True)
def inside_polygon(
    x_vertices: np.ndarray, y_vertices: np.ndarray, shape: tuple[int, int], x0: int, y0: int
) -> np.ndarray:
    """Bool ``[y, x]``: pixels whose centre lies inside a polygon.

    Row by row, columns between an odd and the next even crossing of the outline are inside.

    Parameters
    ----------
    x_vertices, y_vertices
        Float64, in order around the polygon; the last may repeat the first.
    shape
        Rows and columns.
    x0, y0
        Position of the first pixel.
    """
    inside = np.zeros(shape, np.bool_)
    crossings = np.empty(x_vertices.size)
    for row in range(shape[0]):
        number = _crossings(x_vertices, y_vertices, float(y0 + row), crossings)
        ordered = np.sort(crossings[:number])
        for pair in range(0, number - 1, 2):
            first = max(int(np.ceil(ordered[pair])) - x0, 0)
            last = min(int(np.floor(ordered[pair + 1])) - x0, shape[1] - 1)
            inside[row, first : max(last + 1, first)] = True
    return inside


@inner_kernel
def _crossings(x: np.ndarray, y: np.ndarray, level: float, crossings: np.ndarray) -> int:
    """Where the outline crosses a row, into ``crossings``; an edge holds its lower end and not its upper one."""
    number = 0
    before = x.size - 1
    for vertex in range(x.size):
        if (y[before] <= level) != (y[vertex] <= level):
            fraction = (level - y[before]) / (y[vertex] - y[before])
            crossings[number] = x[before] + fraction * (x[vertex] - x[before])
            number += 1
        before = vertex
    return number
