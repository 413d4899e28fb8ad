"""Find the map that lays one star list upon another, turned, mirrored and scaled, from triangles of stars."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .inner import inner_kernel
from .pattern_match import PointGrid, score_map

__all__ = ["MirroredSimilarity", "Triangles", "find_mirrored_similarity", "triangles"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]

_MAX_NEIGHBOURS = 80
"""Of a point, in whose triangles it stands: the first (brightest) ones where there are more."""


class Triangles(NamedTuple):
    """Triangles of points, hashed by the ratios of their sides a > b > c: alike for each scale, rotation and parity."""

    corner: Integers
    """The points where a and b, a and c, b and c meet; shape [n, 3]."""
    a: Floats
    """Longest side, in the unit of the points."""
    b: Floats
    c: Floats
    """The other sides over the longest."""
    sense: Floats
    """+1 where the corners run counter-clockwise, else -1."""
    error: Floats
    """Largest error of the two ratios."""
    cell: float
    """Side of a cell of the hash."""
    start: Integers
    """``start[k]:start[k + 1]`` are the places in `member` of the triangles of cell k."""
    member: Integers


class MirroredSimilarity(NamedTuple):
    """The map z -> factor z + shift, or factor conj(z) + shift where mirrored, and how well it did."""

    factor: complex
    shift: complex
    mirrored: bool
    score: float
    """Sum over matched points of 1 - (distance / tolerance)^2."""
    n_matched: int
    n_tried: int
    """Number of maps tried."""


def triangles(x: Floats, y: Floats, *, min_side: float, max_side: float, tolerance: float) -> Triangles:
    """All triangles of points whose longest side lies between two limits.

    Such as are nearly isosceles, which an error of ``tolerance`` (in the unit of the points) could make another
    triangle, are left out.
    """
    corner, sides, sense = _all_triangles(x, y, min_side, max_side, tolerance)
    # By size: so are then the triangles of a cell, and a look takes those of the right size alone.
    order = np.argsort(sides[:, 0], kind="stable")
    corner, sides, sense = corner[order], sides[order], sense[order]
    a, b, c = sides[:, 0], sides[:, 1] / sides[:, 0], sides[:, 2] / sides[:, 0]
    error = 2.0 * tolerance / a
    cell = 2.0 * float(error.max()) if len(a) else 1.0
    n = math.ceil(1.0 / cell) + 1
    # A triangle stands in each cell that its errors reach, four at most, so that one look finds it.
    near = [np.minimum((np.clip(b + i * error, 0.0, 1.0) / cell).astype(np.int64), n - 1) for i in (-1, 1)]
    far = [np.minimum((np.clip(c + i * error, 0.0, 1.0) / cell).astype(np.int64), n - 1) for i in (-1, 1)]
    keys = np.stack([p * n + q for p in near for q in far], axis=1)
    pairs = np.unique(np.stack([keys.ravel(), np.repeat(np.arange(len(a)), 4)], axis=1), axis=0)
    start = np.searchsorted(pairs[:, 0], np.arange(n * n + 1)).astype(np.int64)
    member = np.ascontiguousarray(pairs[:, 1]).astype(np.int64)
    return Triangles(corner, a, b, c, sense, error, cell, start, member)


@njit(cache=True, nogil=True)
def _all_triangles(
    x: Floats, y: Floats, min_side: float, max_side: float, tolerance: float
) -> tuple[Integers, Floats, Floats]:
    """Corners, sides and sense of the triangles of a list."""
    n = len(x)
    limit = n * (n - 1) * (n - 2) // 6
    corner, sides, sense = np.empty((limit, 3), np.int64), np.empty((limit, 3)), np.empty(limit)
    found = 0
    for i in range(n):
        for j in range(i):
            ij = math.hypot(x[i] - x[j], y[i] - y[j])
            if ij > max_side:
                continue
            for k in range(j):
                ik, jk = math.hypot(x[i] - x[k], y[i] - y[k]), math.hypot(x[j] - x[k], y[j] - y[k])
                a, c = max(ij, ik, jk), min(ij, ik, jk)
                b = ij + ik + jk - a - c
                if a > max_side or a < min_side or a - b < 2.0 * tolerance or b - c < 2.0 * tolerance:
                    continue
                # The corner between two sides is that which the third does not touch.
                ab = k if c == ij else (j if c == ik else i)
                bc = k if a == ij else (j if a == ik else i)
                ac = i + j + k - ab - bc
                corner[found] = ab, ac, bc
                sides[found] = a, b, c
                turn = (x[ac] - x[ab]) * (y[bc] - y[ab]) - (y[ac] - y[ab]) * (x[bc] - x[ab])
                sense[found] = 1.0 if turn > 0.0 else -1.0
                found += 1
    return corner[:found], sides[:found], sense[:found]


@inner_kernel
def _neighbours(grid: PointGrid, i: int, reach: float, index: Integers, distance: Floats) -> int:
    """Points within ``reach`` of point i, into ``index`` and ``distance`` by distance; their number.

    Where there are more than fit, those first in the list are taken.
    """
    x, y, count = grid.x[i], grid.y[i], 0
    ix0 = max(math.floor((x - reach - grid.x0) / grid.cell), 0)
    ix1 = min(math.floor((x + reach - grid.x0) / grid.cell), grid.nx - 1)
    iy0 = max(math.floor((y - reach - grid.y0) / grid.cell), 0)
    iy1 = min(math.floor((y + reach - grid.y0) / grid.cell), grid.ny - 1)
    for iy in range(iy0, iy1 + 1):
        for n in range(grid.start[iy * grid.nx + ix0], grid.start[iy * grid.nx + ix1 + 1]):
            k = grid.order[n]
            d2 = (grid.x[k] - x) ** 2 + (grid.y[k] - y) ** 2
            if d2 > reach * reach or k == i:
                continue
            if count == len(index):
                last = 0
                for m in range(1, count):
                    if index[m] > index[last]:
                        last = m
                if k > index[last]:
                    continue
                count -= 1
                for m in range(last, count):
                    index[m], distance[m] = index[m + 1], distance[m + 1]
            place = count
            while place > 0 and distance[place - 1] ** 2 > d2:
                index[place], distance[place] = index[place - 1], distance[place - 1]
                place -= 1
            index[place], distance[place] = k, math.sqrt(d2)
            count += 1
    return count


@inner_kernel
def _first_of_size(found: Triangles, cell: int, size: float) -> int:
    """Place in a cell of the first triangle whose longest side is at least ``size``."""
    low, high = found.start[cell], found.start[cell + 1]
    while low < high:
        middle = (low + high) // 2
        if found.a[found.member[middle]] < size:
            low = middle + 1
        else:
            high = middle
    return int(low)


@inner_kernel
def _similarity(
    x: Floats, y: Floats, corner: Integers, grid: PointGrid, i: int, j: int, k: int
) -> tuple[complex, complex]:
    """Least-squares map of three points onto three points of the grid."""
    z0, z1, z2 = (
        complex(x[corner[0]], y[corner[0]]), complex(x[corner[1]], y[corner[1]]), complex(x[corner[2]], y[corner[2]])
    )  # fmt: skip
    w0, w1, w2 = complex(grid.x[i], grid.y[i]), complex(grid.x[j], grid.y[j]), complex(grid.x[k], grid.y[k])
    mean_z, mean_w = (z0 + z1 + z2) / 3.0, (w0 + w1 + w2) / 3.0
    z0, z1, z2, w0, w1, w2 = z0 - mean_z, z1 - mean_z, z2 - mean_z, w0 - mean_w, w1 - mean_w, w2 - mean_w
    square = abs(z0) ** 2 + abs(z1) ** 2 + abs(z2) ** 2
    factor = (w0 * z0.conjugate() + w1 * z1.conjugate() + w2 * z2.conjugate()) / square
    return factor, mean_w - factor * mean_z


@njit(cache=True, nogil=True)
def _search(
    x: Floats, y: Floats, found: Triangles, grid: PointGrid, max_shift: float, scale_error: float,
    rotation_error: float, mirror: bool, tolerance: float, enough: float, max_tried: int,
) -> tuple[complex, complex, bool, float, int, int]:  # fmt: skip
    """The best map over all triangles of the grid alike to one of those given."""
    best_factor, best_shift, best_mirrored = complex(1.0, 0.0), complex(0.0, 0.0), False
    best_score, best_count, tried = 0.0, 0, 0
    taken, minus_y = np.zeros(len(grid.x), np.int64), -y
    index, distance = np.empty(_MAX_NEIGHBOURS, np.int64), np.empty(_MAX_NEIGHBOURS)
    low, high = found.a.min() * (1.0 - scale_error), found.a.max() * (1.0 + scale_error)
    n_cells = round(math.sqrt(len(found.start) - 1))
    for i in range(len(grid.x)):
        count = _neighbours(grid, i, high, index, distance)
        first = 0
        for jj in range(count):
            a = distance[jj]
            if a < low:
                continue
            j = index[jj]
            x_j, y_j, shrink = grid.x[j], grid.y[j], 1.0 / a
            while distance[first] < 0.5 * a:
                first += 1
            for kk in range(first, jj):
                k = index[kk]
                b = distance[kk]
                c2 = (grid.x[k] - x_j) ** 2 + (grid.y[k] - y_j) ** 2
                if c2 > b * b:
                    continue
                b_ratio, c_ratio = b * shrink, math.sqrt(c2) * shrink
                cell = min(int(b_ratio / found.cell), n_cells - 1) * n_cells + int(c_ratio / found.cell)
                if found.start[cell] == found.start[cell + 1]:
                    continue
                turn = (grid.x[j] - grid.x[i]) * (grid.y[k] - grid.y[i]) - (grid.y[j] - grid.y[i]) * (
                    grid.x[k] - grid.x[i]
                )
                for n in range(_first_of_size(found, cell, a / (1.0 + scale_error)), found.start[cell + 1]):
                    t = found.member[n]
                    if found.a[t] > a / (1.0 - scale_error):
                        break
                    if abs(b_ratio - found.b[t]) > found.error[t] or abs(c_ratio - found.c[t]) > found.error[t]:
                        continue
                    mirrored = turn * found.sense[t] < 0.0
                    if mirrored and not mirror:
                        continue
                    side = minus_y if mirrored else y
                    factor, shift = _similarity(x, side, found.corner[t], grid, i, j, k)
                    if abs(abs(factor) - 1.0) > scale_error or abs(shift) > max_shift:
                        continue
                    if abs(math.atan2(factor.imag, factor.real)) > rotation_error:
                        continue
                    tried += 1
                    score, matched = score_map(x, side, grid, factor, shift, tolerance, best_score, taken, tried)
                    if score > best_score:
                        best_factor, best_shift, best_mirrored = factor, shift, mirrored
                        best_score, best_count = score, matched
        if best_score >= enough or tried >= max_tried:
            break
    return best_factor, best_shift, best_mirrored, best_score, best_count, tried


def find_mirrored_similarity(
    x: Floats,
    y: Floats,
    found: Triangles,
    grid: PointGrid,
    *,
    max_shift: float,
    scale_error: float,
    rotation_error: float,
    mirror: bool,
    tolerance: float,
    enough: float = math.inf,
    max_tried: int = 20_000_000,
) -> MirroredSimilarity:
    """Find the similarity, mirrored or not, that brings most of the points (x, y) onto points of ``grid``.

    The triangles of the grid are made one after the other and looked up among those of the points, so that memory
    holds only these; each that is alike in the ratios of its sides, and in size within ``scale_error``, fixes a map
    (Groth 1986, AJ 91, 1244; Tabur 2007, PASA 24, 189), which is tried on all points.

    Parameters
    ----------
    x, y
        Points, brightest first, about the origin at which the shift is measured; shape [n], in the unit of ``grid``.
    found
        `triangles` of these points.
    grid
        The points to be found.
    max_shift
        Largest displacement of the origin.
    scale_error
        Largest relative deviation of the scale from 1.
    rotation_error
        Largest rotation, radian; pi for any.
    mirror
        Whether mirrored maps are tried too.
    tolerance
        Distance within which a point counts as found.
    enough
        Score at which the search ends.
    max_tried
        Number of maps after which it ends, with the best so far.
    """
    if len(found.a) == 0 or len(grid.x) < 3:
        return MirroredSimilarity(complex(1.0, 0.0), complex(0.0, 0.0), False, 0.0, 0, 0)
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
    best = _search(
        x, y, found, grid, max_shift, scale_error, rotation_error, mirror, tolerance, enough, max_tried
    )  # fmt: skip
    return MirroredSimilarity(*best)
