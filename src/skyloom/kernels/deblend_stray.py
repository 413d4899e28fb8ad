"""Light that no template claims, and the peaks that get it."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["STRAY_RULES", "by_peak", "share_stray", "unclaimed"]

STRAY_RULES = ("wings", "r_to_peak", "r_to_footprint", "nearest", "trim")
"""Names of the rules; their places are what the kernels take."""
WINGS, R_TO_PEAK, R_TO_FOOTPRINT, NEAREST, TRIM = range(5)
MAX_HEIRS = 8  # peaks that share one pixel of stray light, ...
MAX_CANDIDATES = 32  # ... of so many with the strongest claims on the middle ...
BLOCK = 32  # ... of a block of so many pixels square


@inner_kernel
def _weight(rule: int, flux: float, distance: float, disk: float) -> float:
    """Claim of a peak of that flux and disk radius on stray light at a distance."""
    if rule == WINGS:
        square = 1.0 + distance * distance
        return float(max(flux, 1e-20) / (square * math.sqrt(square)))
    if rule == R_TO_PEAK:
        return float(1.0 / (1.0 + distance * distance))
    gap = max(distance - disk, 0.0)
    return float(1.0 / (1.0 + gap * gap))


@inner_kernel
def _candidates(
    rule: int,
    x: np.ndarray,
    y: np.ndarray,
    flux: np.ndarray,
    disk: np.ndarray,
    among: np.ndarray,
    at: tuple[float, float],
    found: np.ndarray,
    weight: np.ndarray,
) -> int:
    """The peaks among some with the strongest claims at a place, as many as ``found`` holds; returns their number."""
    count = 0
    for k in among:
        own = _weight(rule, flux[k], math.hypot(at[0] - x[k], at[1] - y[k]), disk[k])
        if count == found.size and own <= weight[count - 1]:
            continue
        count = min(count + 1, found.size)
        place = count - 1
        while place > 0 and weight[place - 1] < own:
            weight[place], found[place] = weight[place - 1], found[place - 1]
            place -= 1
        weight[place], found[place] = own, k
    return count


@inner_kernel
def _shares(
    rule: int,
    x: np.ndarray,
    y: np.ndarray,
    flux: np.ndarray,
    disk: np.ndarray,
    at: tuple[float, float],
    candidates: np.ndarray,
    min_share: float,
    heirs: np.ndarray,
    share: np.ndarray,
) -> int:
    """The heirs of a pixel of stray light among the candidates and their shares; their number is returned."""
    count: int = _candidates(rule, x, y, flux, disk, candidates, at, heirs, share)
    if rule == NEAREST:
        count = 1
    total = 0.0
    for k in range(count):
        total += share[k]
    kept = 0.0
    for k in range(count):
        if share[k] < min_share * total:
            count = k
            break
        kept += share[k]
    for k in range(count):
        share[k] /= kept
    return count


@njit(cache=True, nogil=True)
def share_stray(
    stray: np.ndarray, x: np.ndarray, y: np.ndarray, flux: np.ndarray, area: np.ndarray, rule: int, min_share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Stray pixels and their heirs, in row-major order of the box.

    Returns
    -------
    start
        Where those of each peak will begin when sorted by peak.
    owner, place, part
        Heir, place in the box and share of each.
    """
    height, width = stray.shape
    n = x.size
    most, some = min(MAX_HEIRS, n), min(MAX_CANDIDATES, n)
    count = 0
    for row in range(height):
        for column in range(width):
            count += stray[row, column]
    room = count * most if rule != TRIM else 0
    owner, place, part = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.float64)
    heirs, share = np.empty(most, np.int64), np.empty(most)
    disk, start = np.empty(n), np.zeros(n + 1, np.int64)
    for k in range(n):
        disk[k] = math.sqrt(area[k] / math.pi)
    everyone, blocks = np.arange(n), (width + BLOCK - 1) // BLOCK
    near, weight = np.empty((blocks, some), np.int64), np.empty(some)
    looked = np.zeros(blocks, np.bool_)
    used = 0
    for row in range(height if rule != TRIM else 0):
        if row % BLOCK == 0:
            looked[:] = False
        for column in range(width):
            if not stray[row, column]:
                continue
            block = column // BLOCK
            if not looked[block]:
                middle = ((block + 0.5) * BLOCK, (row // BLOCK + 0.5) * BLOCK)
                _candidates(rule, x, y, flux, disk, everyone, middle, near[block], weight)
                looked[block] = True
            at = (float(column), float(row))
            count = _shares(rule, x, y, flux, disk, at, near[block], min_share, heirs, share)
            for i in range(count):
                owner[used], place[used], part[used] = heirs[i], row * width + column, share[i]
                start[heirs[i] + 1] += 1
                used += 1
    for k in range(n):
        start[k + 1] += start[k]
    return start, owner[:used], place[:used], part[:used]


@njit(cache=True, nogil=True)
def by_peak(start: np.ndarray, owner: np.ndarray, place: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places and shares sorted by peak, those of each in their order."""
    own_place, own_part, at = np.empty(place.size, np.int64), np.empty(place.size, np.float64), start.copy()
    for i in range(place.size):
        k = owner[i]
        own_place[at[k]], own_part[at[k]] = place[i], part[i]
        at[k] += 1
    return own_place, own_part


@njit(cache=True, nogil=True)
def unclaimed(inside: np.ndarray, finite: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Finite pixels of a footprint that no template claims, ``[y, x]`` bool."""
    stray = np.zeros(inside.shape, np.bool_)
    for j in range(inside.shape[0]):
        for i in range(inside.shape[1]):
            stray[j, i] = inside[j, i] and finite[j, i] and not total[j, i] > 0.0
    return stray
