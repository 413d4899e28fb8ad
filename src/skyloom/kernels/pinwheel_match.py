"""Find the rotation and shift that lay one star list upon another, from pinwheels that must agree with each other."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .inner import inner_kernel
from .pattern_match import PointGrid, nearest_point, point_grid

__all__ = ["PinwheelMatch", "PinwheelTable", "find_pinwheels", "pinwheel_table"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]

_N_TEST = 6
_CLIP_PASSES = 20


class PinwheelTable(NamedTuple):
    """References with all their pairs up to a length, sorted by it."""

    grid: PointGrid
    length: NDArray[np.float32]
    first: NDArray[np.uint16]
    second: NDArray[np.uint16]


class PinwheelMatch(NamedTuple):
    """The affine map (x, y) -> matrix (x, y, 1) that was found, and its pairs."""

    matrix: Floats
    """Shape [2, 3]."""
    source: Integers
    reference: Integers
    """Mutually nearest pairs within the matching distance; empty where nothing was found."""
    distance: Floats
    pattern: int
    """Which of the brightest sources was the hub of the pinwheel; -1: none."""
    n_tried: int
    """Number of pinwheels of references tried."""


def pinwheel_table(x: Floats, y: Floats, *, max_length: float, cell: float) -> PinwheelTable:
    """All pairs of references that are no longer than ``max_length``, sorted by length; ``cell`` is that of the grid.

    Raises
    ------
    ValueError
        If there are none, or more than 65536: pairs hold them by numbers of two bytes.
    """
    if not 0 < len(x) <= 65536:
        raise ValueError(f"{len(x)} references; from 1 to 65536 can be paired.")
    length, first, second = _pairs(np.ascontiguousarray(x), np.ascontiguousarray(y), max_length)
    order = np.argsort(length, kind="stable")
    return PinwheelTable(point_grid(x, y, cell), length[order], first[order], second[order])


@njit(cache=True, nogil=True)
def _pairs(
    x: Floats, y: Floats, max_length: float
) -> tuple[NDArray[np.float32], NDArray[np.uint16], NDArray[np.uint16]]:
    """Lengths and ends of all pairs that are not too long."""
    count = 0
    for i in range(len(x)):
        for j in range(i):
            count += math.hypot(x[i] - x[j], y[i] - y[j]) <= max_length
    length, first, second = np.empty(count, np.float32), np.empty(count, np.uint16), np.empty(count, np.uint16)
    count = 0
    for i in range(len(x)):
        for j in range(i):
            distance = math.hypot(x[i] - x[j], y[i] - y[j])
            if distance <= max_length:
                length[count], first[count], second[count] = distance, j, i
                count += 1
    return length, first, second


@inner_kernel
def _least_squares(sx: Floats, sy: Floats, rx: Floats, ry: Floats) -> Floats:
    """The affine map of points to points, shape [2, 3]; a rotation and a shift where the points do not fix more."""
    n = len(sx)
    mx, my, ux, uy = sx.mean(), sy.mean(), rx.mean(), ry.mean()
    xx = yy = xy = xu = yu = xv = yv = 0.0
    for k in range(n):
        x, y, u, v = sx[k] - mx, sy[k] - my, rx[k] - ux, ry[k] - uy
        xx, yy, xy = xx + x * x, yy + y * y, xy + x * y
        xu, yu, xv, yv = xu + x * u, yu + y * u, xv + x * v, yv + y * v
    matrix = np.empty((2, 3))
    determinant = xx * yy - xy * xy
    if n >= 3 and determinant > 1e-3 * (xx + yy) ** 2:
        matrix[0, 0], matrix[0, 1] = (xu * yy - yu * xy) / determinant, (yu * xx - xu * xy) / determinant
        matrix[1, 0], matrix[1, 1] = (xv * yy - yv * xy) / determinant, (yv * xx - xv * xy) / determinant
    else:
        cosine, sine = xu + yv, xv - yu
        size = max(math.hypot(cosine, sine), 1e-300)
        cosine, sine = cosine / size, sine / size
        matrix[0, 0], matrix[0, 1], matrix[1, 0], matrix[1, 1] = cosine, -sine, sine, cosine
    matrix[0, 2] = ux - matrix[0, 0] * mx - matrix[0, 1] * my
    matrix[1, 2] = uy - matrix[1, 0] * mx - matrix[1, 1] * my
    return matrix


@inner_kernel
def _apply(matrix: Floats, x: float, y: float) -> tuple[float, float]:
    """The place of a point by an affine map."""
    return (
        matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2],
        matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2],
    )


@inner_kernel
def _stretch(matrix: Floats) -> float:
    """How far the singular values of the linear part are from 1; large where it mirrors."""
    a, b, c, d = matrix[0, 0], matrix[0, 1], matrix[1, 0], matrix[1, 1]
    plus, minus = math.hypot(a + d, c - b) / 2.0, math.hypot(a - d, b + c) / 2.0
    return max(abs(plus + minus - 1.0), abs(plus - minus - 1.0))


@inner_kernel
def _pinwheel(
    sx: Floats, sy: Floats, hub: int, n_match: int, n_check: int, grid: PointGrid, r0: int, r1: int,
    max_distance: float, members: Integers,
) -> bool:  # fmt: skip
    """Whether references around ``r0`` stand as the sources around ``hub`` do, the first spoke being that to ``r1``.

    Fills ``members`` [2, n_match] with sources and references.
    """
    hub_z, centre = complex(sx[hub], sy[hub]), complex(grid.x[r0], grid.y[r0])
    spoke = complex(sx[hub + 1], sy[hub + 1]) - hub_z
    turn = (complex(grid.x[r1], grid.y[r1]) - centre) / spoke
    turn /= abs(turn)
    members[0, 0], members[1, 0], members[0, 1], members[1, 1] = hub, r0, hub + 1, r1
    found, failed = 2, 0
    for j in range(2, n_check):
        delta = complex(sx[hub + j], sy[hub + j]) - hub_z
        # The angle of the first spoke is known no better than its length allows for.
        slack = max_distance * (1.0 + min(abs(delta) / abs(spoke), 3.0))
        place = centre + turn * delta
        k, _ = nearest_point(grid, place.real, place.imag, slack)
        good = k >= 0
        if good:
            length = math.hypot(grid.x[k] - centre.real, grid.y[k] - centre.imag)
            good = abs(length - abs(delta)) <= max_distance
            for n in range(found):
                good = good and members[1, n] != k
        if good:
            members[0, found], members[1, found] = hub + j, k
            found += 1
            if found == n_match:
                return True
        else:
            failed += 1
            if failed > n_check - n_match:
                return False
    return False


@inner_kernel
def _fit_members(sx: Floats, sy: Floats, grid: PointGrid, source: Integers, reference: Integers) -> Floats:
    """The map of some sources onto some references."""
    matrix: Floats = _least_squares(sx[source], sy[source], grid.x[reference], grid.y[reference])
    return matrix


@inner_kernel
def _holds(
    matrix: Floats, sx: Floats, sy: Floats, grid: PointGrid, members: Integers, max_distance: float
) -> bool:  # fmt: skip
    """Whether all members of a pinwheel meet their references."""
    for n in range(members.shape[1]):
        s, r = members[0, n], members[1, n]
        x, y = _apply(matrix, sx[s], sy[s])
        if (x - grid.x[r]) ** 2 + (y - grid.y[r]) ** 2 > max_distance**2:
            return False
    return True


@inner_kernel
def _handshake(
    matrix: Floats, sx: Floats, sy: Floats, sources: PointGrid, grid: PointGrid, max_distance: float
) -> tuple[Integers, Integers, Floats]:
    """Pairs of a source and a reference that are each other's nearest, closer than ``max_distance``."""
    a, b, c, d = matrix[0, 0], matrix[0, 1], matrix[1, 0], matrix[1, 1]
    determinant = a * d - b * c
    reach = 1.1 * max_distance
    source, reference = np.empty(len(sx), np.int64), np.empty(len(sx), np.int64)
    distance = np.empty(len(sx))
    count = 0
    for s in range(len(sx)):
        x, y = _apply(matrix, sx[s], sy[s])
        r, d2 = nearest_point(grid, x, y, max_distance)
        if r < 0:
            continue
        u, v = grid.x[r] - matrix[0, 2], grid.y[r] - matrix[1, 2]
        back, _ = nearest_point(sources, (d * u - b * v) / determinant, (a * v - c * u) / determinant, reach)
        if back == s:
            source[count], reference[count], distance[count] = s, r, math.sqrt(d2)
            count += 1
    return source[:count], reference[:count], distance[:count]


@inner_kernel
def _clipped_count(distance: Floats) -> int:
    """How many distances are left after all those two standard deviations above the mean are cut, again and again."""
    limit, last = math.inf, -1
    for _ in range(_CLIP_PASSES):
        count, total, square = 0, 0.0, 0.0
        for value in distance:
            if value <= limit:
                count, total, square = count + 1, total + value, square + value * value
        if count == 0 or count == last:
            break
        mean = total / count
        limit, last = mean + 2.0 * math.sqrt(max(square / count - mean * mean, 0.0)), count
    return count


@inner_kernel
def _agreeing(places: Floats, count: int, max_distance: float) -> int:
    """How many earlier pinwheels send the test points to where the last one sends them."""
    agreeing = 0
    for k in range(count - 1):
        same = True
        for n in range(places.shape[1]):
            dx, dy = places[k, n, 0] - places[count - 1, n, 0], places[k, n, 1] - places[count - 1, n, 1]
            same = same and dx * dx + dy * dy <= max_distance**2
        agreeing += same
    return agreeing


@inner_kernel
def _test_points(sx: Floats, sy: Floats) -> Floats:
    """Corners and middles of two sides of the sources' extent, shape [6, 2]."""
    points = np.empty((_N_TEST, 2))
    for n in range(_N_TEST):
        points[n, 0] = sx.min() if n in (0, 3, 4) else sx.max()
        points[n, 1] = sy.min() if n < 2 else (sy.max() if n < 4 else sy.mean())
    return points


@njit(cache=True, nogil=True)
def _search(
    sx: Floats, sy: Floats, sources: PointGrid, table: PinwheelTable, n_bright: int, n_match: int, n_check: int,
    n_agree: int, max_shift: float, max_rotation: float, max_distance: float, max_stretch: float, min_matches: int,
    skipped: NDArray[np.bool_], max_tried: int,
) -> tuple[Floats, Integers, Integers, Floats, int, int]:  # fmt: skip
    """The first pinwheel that agrees with enough others and with the lists as a whole."""
    grid, tried, kept = table.grid, 0, 0
    members = np.empty((2, n_match), np.int64)
    points = _test_points(sx, sy)
    places = np.empty((1024, _N_TEST, 2))
    for pattern in range(min(n_bright, len(sx) - n_check + 1)):
        if skipped[pattern]:
            continue
        hub = complex(sx[pattern], sy[pattern])
        spoke = complex(sx[pattern + 1], sy[pattern + 1]) - hub
        if abs(spoke) <= 2.0 * max_distance:
            continue
        start = np.searchsorted(table.length, np.float32(abs(spoke) - max_distance))
        stop = np.searchsorted(table.length, np.float32(abs(spoke) + max_distance))
        middle = (start + stop) // 2
        # From the middle of the range outwards: the best lengths first.
        for step in range(2 * (stop - start)):
            place = middle + (step // 2 + 1) // 2 * (1 if (step // 2) % 2 == 0 else -1)
            if place < start or place >= stop:
                continue
            r0, r1 = table.first[place], table.second[place]
            if step % 2:
                r0, r1 = r1, r0
            centre = complex(grid.x[r0], grid.y[r0])
            if abs(centre - hub) > max_shift:
                continue
            turn = (complex(grid.x[r1], grid.y[r1]) - centre) / spoke
            if abs(math.atan2(turn.imag, turn.real)) > max_rotation:
                continue
            tried += 1
            if tried > max_tried:
                break
            if not _pinwheel(sx, sy, pattern, n_match, n_check, grid, r0, r1, max_distance, members):
                continue
            matrix = _fit_members(sx, sy, grid, members[0], members[1])
            if _stretch(matrix) > max_stretch or not _holds(matrix, sx, sy, grid, members, max_distance):
                continue
            if kept == len(places):
                continue
            for n in range(_N_TEST):
                places[kept, n, 0], places[kept, n, 1] = _apply(matrix, points[n, 0], points[n, 1])
            kept += 1
            if _agreeing(places, kept, max_distance) < n_agree - 1:
                continue
            good = True
            for _ in range(2):
                source, reference, distance = _handshake(matrix, sx, sy, sources, grid, max_distance)
                good = good and len(source) >= max(min_matches, 3) and _clipped_count(distance) >= min_matches
                if not good:
                    break
                matrix = _fit_members(sx, sy, grid, source, reference)
            if good:
                source, reference, distance = _handshake(matrix, sx, sy, sources, grid, max_distance)
                if len(source) >= min_matches:
                    return matrix, source, reference, distance, pattern, tried
        if tried > max_tried:
            break
    none = np.empty(0, np.int64)
    return np.zeros((2, 3)), none, none, np.empty(0), -1, tried


def find_pinwheels(
    x: Floats,
    y: Floats,
    table: PinwheelTable,
    *,
    max_shift: float,
    max_rotation: float,
    max_distance: float,
    max_stretch: float,
    min_matches: int,
    n_bright: int = 150,
    n_match: int = 6,
    n_check: int = 6,
    n_agree: int = 3,
    skipped: tuple[int, ...] = (),
    max_tried: int = 5_000_000,
) -> PinwheelMatch:
    """Match sources to references by pinwheels: a hub and its spokes to the sources next in brightness.

    The first spoke of a source's pinwheel picks pairs of references of its length; the others must find references
    at their length and angle.  A pinwheel counts only when ``n_agree`` of them give the same map, and when this map
    makes ``min_matches`` mutual pairs of the whole lists (the pessimism of Morrison, DMTN-031, added to Tabur 2007,
    PASA 24, 189).

    Parameters
    ----------
    x, y
        Sources, brightest first, in the frame and unit of the references; shape [n].
    table
        The references.
    max_shift, max_rotation
        Largest displacement of a hub; largest rotation, radian.
    max_distance
        Largest error of a position.
    max_stretch
        Largest relative departure of the map's scale from 1, in any direction.
    min_matches
        Mutual pairs that a map must make.
    n_bright
        Hubs are taken from so many brightest sources.
    n_match, n_check
        Points of a pinwheel that must be found, of so many that are looked for.
    n_agree
        Pinwheels that must give the same map.
    skipped
        Hubs that are not tried.
    max_tried
        Number of pinwheels of references after which the search ends.
    """
    if n_check < n_match or n_match < 3:
        raise ValueError(f"n_check ({n_check}) must be at least n_match ({n_match}), and that at least 3.")
    x, y = np.ascontiguousarray(x, np.float64), np.ascontiguousarray(y, np.float64)
    if len(x) < n_check:
        none = np.zeros(0, np.int64)
        return PinwheelMatch(np.zeros((2, 3)), none, none, np.zeros(0), -1, 0)
    found = _search(
        x, y, point_grid(x, y, max_distance), table, n_bright, n_match, n_check, n_agree, max_shift, max_rotation,
        max_distance, max_stretch, min_matches, np.isin(np.arange(len(x)), skipped), max_tried,
    )  # fmt: skip
    return PinwheelMatch(*found)
