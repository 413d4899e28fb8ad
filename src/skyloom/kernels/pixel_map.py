"""A pixel mapping between the nodes of a grid: cubic in both axes, with the area that each pixel covers."""

from __future__ import annotations

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["areas_of_row", "mapping_at", "nodes_of_row", "positions_of_row"]

SNAP = 2.0**20
"""Positions are rounded to 1 / SNAP pixel, so that a shift by whole pixels returns the pixels as they are."""


@inner_kernel
def _cubic(t: float) -> tuple[float, float, float, float]:
    """Lagrange's weights of four equidistant nodes at ``t`` between the middle two; largest error at t = 1/2."""
    return (
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    )


@njit(cache=True, nogil=True)
def mapping_at(nodes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A mapping interpolated at positions in units of the grid step.

    Parameters
    ----------
    nodes
        Values float64 ``[j, i]`` at steps -1, 0, 1, ... of both axes.
    x, y
        Positions float64 ``[n]``, from 0 to the last node but one.
    """
    value = np.empty(x.size)
    for n in range(x.size):
        i, j = int(x[n]), int(y[n])
        across, along = _cubic(x[n] - i), _cubic(y[n] - j)
        total = 0.0
        for b in range(4):
            for a in range(4):
                total += along[b] * across[a] * nodes[j + b, i + a]
        value[n] = total
    return value


@inner_kernel
def nodes_of_row(nodes: np.ndarray, row: int, step: int, out: np.ndarray) -> None:
    """Interpolate a mapping along y at one row; rows count from the second row of nodes."""
    j = row // step
    w0, w1, w2, w3 = _cubic((row - j * step) / step)
    for i in range(out.size):
        out[i] = w0 * nodes[j, i] + w1 * nodes[j + 1, i] + w2 * nodes[j + 2, i] + w3 * nodes[j + 3, i]


@inner_kernel
def positions_of_row(nodes: np.ndarray, step: int, out: np.ndarray) -> None:
    """Interpolate a row's nodes along x at every column, rounded to 1 / SNAP."""
    for start in range(0, out.size, step):
        i = start // step
        p0, p1, p2, p3 = nodes[i], nodes[i + 1], nodes[i + 2], nodes[i + 3]
        c1 = p2 - p0 / 3.0 - p1 / 2.0 - p3 / 6.0
        c2 = (p0 + p2) / 2.0 - p1
        c3 = (p3 - p0) / 6.0 + (p1 - p2) / 2.0
        for k in range(min(step, out.size - start)):
            t = k / step
            out[start + k] = np.floor((((c3 * t + c2) * t + c1) * t + p1) * SNAP + 0.5) / SNAP


@inner_kernel
def _area_at(x: np.ndarray, y: np.ndarray, j: int, i: int, step: int) -> float:
    """Area on the source of a destination pixel at a node, from the nodes around it."""
    xx, xy = x[j, i + 1] - x[j, i - 1], x[j + 1, i] - x[j - 1, i]
    yx, yy = y[j, i + 1] - y[j, i - 1], y[j + 1, i] - y[j - 1, i]
    return float(abs(xx * yy - xy * yx) / (4.0 * step * step))


@inner_kernel
def areas_of_row(x: np.ndarray, y: np.ndarray, row: int, step: int, out: np.ndarray) -> None:
    """Area on the source of every destination pixel of a row, linear between the nodes."""
    j = row // step
    t = (row - j * step) / step
    right = (1.0 - t) * _area_at(x, y, j + 1, 1, step) + t * _area_at(x, y, j + 2, 1, step)
    for start in range(0, out.size, step):
        i = start // step + 2
        left = right
        right = (1.0 - t) * _area_at(x, y, j + 1, i, step) + t * _area_at(x, y, j + 2, i, step)
        slope = (right - left) / step
        for k in range(min(step, out.size - start)):
            out[start + k] = left + slope * k
