"""Find the shift, rotation and scale that lay one star list upon another, from pairs of stars."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["PointGrid", "Similarity", "find_similarity", "nearest_point", "point_grid", "score_map"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]


class PointGrid(NamedTuple):
    """Points sorted into square cells, for a quick look at what lies near a place."""

    x: Floats
    y: Floats
    x0: float
    y0: float
    cell: float
    """Side of a cell, in the unit of the points."""
    nx: int
    ny: int
    start: Integers
    """``start[c]:start[c + 1]`` are the places in `order` of the points of cell c = iy nx + ix."""
    order: Integers


class Similarity(NamedTuple):
    """The map z -> factor z + shift on complex positions z = x + iy, and how well it did."""

    factor: complex
    shift: complex
    score: float
    """Sum over matched points of 1 - (distance / tolerance)^2."""
    n_matched: int
    """Number of points that found a partner of their own."""
    n_tried: int
    """Number of maps tried."""


def point_grid(x: Floats, y: Floats, cell: float) -> PointGrid:
    """Sort points into cells of side ``cell`` (enlarged where that would make more than four cells a point)."""
    x0, y0 = float(x.min()), float(y.min())
    width, height = float(x.max()) - x0, float(y.max()) - y0
    cell = max(cell, math.sqrt(width * height / (4.0 * len(x))), max(width, height) / (4.0 * len(x)), 1e-12)
    nx, ny = int(width / cell) + 1, int(height / cell) + 1
    index = np.minimum(((y - y0) / cell).astype(np.int64), ny - 1) * nx
    index += np.minimum(((x - x0) / cell).astype(np.int64), nx - 1)
    order = np.argsort(index, kind="stable").astype(np.int64)
    start = np.searchsorted(index[order], np.arange(nx * ny + 1)).astype(np.int64)
    return PointGrid(np.ascontiguousarray(x), np.ascontiguousarray(y), x0, y0, cell, nx, ny, start, order)


@njit(cache=True, nogil=True)
def nearest_point(grid: PointGrid, x: float, y: float, radius: float) -> tuple[int, float]:
    """Index of the point nearest to (x, y) within ``radius`` (-1: none) and its squared distance."""
    best, best_d2 = -1, radius * radius
    ix0 = max(math.floor((x - radius - grid.x0) / grid.cell), 0)
    ix1 = min(math.floor((x + radius - grid.x0) / grid.cell), grid.nx - 1)
    iy0 = max(math.floor((y - radius - grid.y0) / grid.cell), 0)
    iy1 = min(math.floor((y + radius - grid.y0) / grid.cell), grid.ny - 1)
    for iy in range(iy0, iy1 + 1):
        if ix1 < ix0:
            break
        for n in range(grid.start[iy * grid.nx + ix0], grid.start[iy * grid.nx + ix1 + 1]):
            k = grid.order[n]
            d2 = (grid.x[k] - x) ** 2 + (grid.y[k] - y) ** 2
            if d2 <= best_d2:
                best, best_d2 = k, d2
    return best, best_d2


@njit(cache=True, nogil=True)
def score_map(
    x: Floats, y: Floats, grid: PointGrid, factor: complex, shift: complex, tolerance: float, beat: float,
    taken: Integers, stamp: int,
) -> tuple[float, int]:  # fmt: skip
    """Score and count of one map; stops as soon as the score can no longer exceed ``beat``, or matches stay away.

    The two points that gave the map always match; a true map soon matches one point in ten of the others.
    """
    score, count = 0.0, 0
    for n in range(len(x)):
        if score + (len(x) - n) <= beat:
            break
        if n >= 16 and n % 16 == 0 and count < 2 + n // 16:
            break
        z = factor * complex(x[n], y[n]) + shift
        k, d2 = nearest_point(grid, z.real, z.imag, tolerance)
        if k >= 0 and taken[k] != stamp:
            taken[k] = stamp
            score += 1.0 - d2 / (tolerance * tolerance)
            count += 1
    return score, count


@njit(cache=True, nogil=True)
def _search(
    x: Floats, y: Floats, n_seed: int, grid: PointGrid, max_shift: float, scale_error: float, max_tan: float,
    tolerance: float, min_baseline: float, enough: float, max_tried: int,
) -> tuple[complex, complex, float, int, int]:  # fmt: skip
    """The best map over all pairs of seed points and all pairs of grid points alike in length and direction."""
    best_factor, best_shift, best_score, best_count, tried = complex(1.0, 0.0), complex(0.0, 0.0), 0.0, 0, 0
    taken = np.zeros(len(grid.x), np.int64)
    for last in range(1, n_seed):
        for first in range(last):
            a = complex(x[first], y[first])
            d = complex(x[last], y[last]) - a
            length = abs(d)
            if length < min_baseline:
                continue
            slack = 2.0 * tolerance / length
            reach = length * (max(scale_error, max_tan) + slack)
            far = max_shift + abs(a) * (scale_error + max_tan + 2.0 * slack) + tolerance
            for k in range(len(grid.x)):
                r = complex(grid.x[k], grid.y[k])
                if abs(r.real - a.real) > far or abs(r.imag - a.imag) > far:
                    continue
                goal = r + d
                ix0 = max(math.floor((goal.real - reach - grid.x0) / grid.cell), 0)
                ix1 = min(math.floor((goal.real + reach - grid.x0) / grid.cell), grid.nx - 1)
                iy0 = max(math.floor((goal.imag - reach - grid.y0) / grid.cell), 0)
                iy1 = min(math.floor((goal.imag + reach - grid.y0) / grid.cell), grid.ny - 1)
                if ix1 < ix0:
                    continue
                for iy in range(iy0, iy1 + 1):
                    for n in range(grid.start[iy * grid.nx + ix0], grid.start[iy * grid.nx + ix1 + 1]):
                        m = grid.order[n]
                        factor = (complex(grid.x[m], grid.y[m]) - r) / d
                        if abs(abs(factor) - 1.0) > scale_error + slack or m == k:
                            continue
                        if abs(factor.imag) > (max_tan + slack) * factor.real:
                            continue
                        shift = r - factor * a
                        if abs(shift) > max_shift + tolerance:
                            continue
                        tried += 1
                        score, count = score_map(x, y, grid, factor, shift, tolerance, best_score, taken, tried)
                        if score > best_score:
                            best_factor, best_shift, best_score, best_count = factor, shift, score, count
            if tried >= max_tried:
                break
        if best_score >= enough or tried >= max_tried:
            break
    return best_factor, best_shift, best_score, best_count, tried


def find_similarity(
    x: Floats,
    y: Floats,
    grid: PointGrid,
    *,
    n_seed: int,
    max_shift: float,
    scale_error: float,
    rotation_error: float,
    tolerance: float,
    min_baseline: float,
    enough: float = math.inf,
    max_tried: int = 5_000_000,
) -> Similarity:
    """Find the similarity that brings most of the points (x, y) onto points of ``grid``.

    Two points of one list and two of the other, alike in distance and direction within the errors allowed, fix a
    similarity; every one so found is tried on all points.  Contamination of either list costs time, not truth.

    Parameters
    ----------
    x, y
        Points, brightest first, about the origin at which the shift is measured; shape [n], in the unit of ``grid``.
    grid
        The points to be found, in nearly the same frame.
    n_seed
        Pairs are taken from the first ``n_seed`` points.
    max_shift
        Largest displacement of the origin.
    scale_error
        Largest relative deviation of the scale from 1.
    rotation_error
        Largest rotation, radian, below pi / 2.
    tolerance
        Distance within which a point counts as found.
    min_baseline
        Shortest pair to be used: a short pair fixes the rotation badly.
    enough
        Score at which the search ends.
    max_tried
        Number of maps after which it ends, with the best so far.
    """
    found = _search(
        np.ascontiguousarray(x), np.ascontiguousarray(y), min(n_seed, len(x)), grid, max_shift, scale_error,
        math.tan(rotation_error), tolerance, min_baseline, enough, max_tried,
    )  # fmt: skip
    return Similarity(*found)
