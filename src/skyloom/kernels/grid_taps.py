"""Interpolation of a PSF grid at the pixels of a star, and its transpose: one axis at a time, with Lanczos taps.

A grid has ``oversampling`` points a pixel.  All pixels of a stamp lie at the same fraction of a grid step, so that an
axis of a star has one set of taps.  Axes of the grid are stored in phase order, all points 0, k, 2k, ... first, then
1, k + 1, ...: what one tap multiplies lies side by side.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = [
    "grid_taps",
    "interpolate_grid",
    "lanczos",
    "phase_order",
    "spread_pixels",
]


@njit(cache=True, nogil=True)
def lanczos(x: float, order: int) -> float:
    """``sinc(x) sinc(x / order)`` inside ``|x| < order``."""
    if x == 0.0:
        return 1.0
    if abs(x) >= order:
        return 0.0
    px = math.pi * x
    return order * math.sin(px) * math.sin(px / order) / (px * px)


@njit(cache=True, nogil=True)
def lanczos_slope(x: float, order: int) -> float:
    """Derivative of `lanczos`."""
    if x == 0.0 or abs(x) >= order:
        return 0.0
    px = math.pi * x
    first, second = math.sin(px), math.sin(px / order)
    product = order * math.cos(px) * second + math.cos(px / order) * first
    return math.pi * (product / (px * px) - 2.0 * order * first * second / (px * px * px))


@njit(cache=True, nogil=True)
def grid_taps(offset: float, oversampling: int, order: int, taps: np.ndarray, slopes: np.ndarray) -> int:
    """Taps of one axis for a star ``offset`` pixels from the centre of its stamp's middle pixel.

    Pixel p sees grid point g with ``taps[k]`` where ``oversampling * p - g = first + k``, both counted from the
    middle.  The sum of the taps of such a kernel is not quite 1 and depends on the fraction of a step: it is made 1.

    Parameters
    ----------
    taps
        ``[2 * order]``, overwritten.
    slopes
        Likewise, with the derivatives by ``offset``.

    Returns
    -------
    first
        Difference that belongs to the first tap.
    """
    centre = oversampling * offset
    first = math.floor(centre) - order + 1
    total, total_slope = 0.0, 0.0
    for k in range(2 * order):
        taps[k] = lanczos(first + k - centre, order)
        slopes[k] = -oversampling * lanczos_slope(first + k - centre, order)
        total += taps[k]
        total_slope += slopes[k]
    for k in range(2 * order):
        taps[k] /= total
        slopes[k] = (slopes[k] - taps[k] * total_slope) / total
    return first


@njit(cache=True, nogil=True)
def phase_rows(n: int, oversampling: int) -> int:
    """Places a phase of ``n`` grid points needs; the last may be empty."""
    return (n + oversampling - 1) // oversampling


@njit(cache=True, nogil=True)
def phase_order(n: int, oversampling: int) -> np.ndarray:
    """Grid point at each place of an axis in phase order; -1 where there is none."""
    rows = phase_rows(n, oversampling)
    order = np.full(rows * oversampling, -1, np.int64)
    for g in range(n):
        order[(g % oversampling) * rows + g // oversampling] = g
    return order


@inner_kernel
def _overlap(k: int, first: int, oversampling: int, n: int, rows: int, size: int) -> tuple[int, int, int]:
    """Pixels ``low`` to ``high`` that tap ``k`` gives a grid point, and the place of the point of pixel 0."""
    point = n // 2 - oversampling * (size // 2) - first - k
    phase = point % oversampling
    whole = (point - phase) // oversampling
    low, high = max(0, -whole), min(size, rows - whole)
    return low, high, phase * rows + whole


@njit(cache=True, nogil=True)
def add_gathered(grid: np.ndarray, taps: np.ndarray, first: int, oversampling: int, n: int, out: np.ndarray) -> None:
    """Add the grid interpolated along its first axis, ``[place, column]``, to ``out[pixel, column]``."""
    size, columns = out.shape
    rows = phase_rows(n, oversampling)
    source, target = grid.ravel(), out.ravel()
    for k in range(taps.size):
        low, high, start = _overlap(k, first, oversampling, n, rows, size)
        if high <= low:
            continue
        tap = taps[k]
        part = source[(start + low) * columns : (start + high) * columns]
        pixels = target[low * columns : high * columns]
        for i in range(pixels.size):
            pixels[i] += tap * part[i]


@njit(cache=True, nogil=True)
def add_scattered(pixels: np.ndarray, taps: np.ndarray, first: int, oversampling: int, n: int, out: np.ndarray) -> None:
    """The transpose of `add_gathered`: add ``pixels[pixel, column]`` to the grid ``out[place, column]``."""
    size, columns = pixels.shape
    rows = phase_rows(n, oversampling)
    source, target = pixels.ravel(), out.ravel()
    for k in range(taps.size):
        low, high, start = _overlap(k, first, oversampling, n, rows, size)
        if high <= low:
            continue
        tap = taps[k]
        part = source[low * columns : high * columns]
        points = target[(start + low) * columns : (start + high) * columns]
        for i in range(points.size):
            points[i] += tap * part[i]


@njit(cache=True, nogil=True)
def interpolate_grid(
    grid: np.ndarray,
    taps: tuple[np.ndarray, np.ndarray],
    first: tuple[int, int],
    oversampling: int,
    n: int,
    out: np.ndarray,
) -> None:
    """A grid ``[place, place]`` of ``n`` points a side at the pixels ``out[y, x]``; taps of y, then of x."""
    size = out.shape[0]
    rows = np.zeros((size, grid.shape[1]))
    add_gathered(grid, taps[0], first[0], oversampling, n, rows)
    turned = np.zeros((size, size))
    add_gathered(np.ascontiguousarray(rows.T), taps[1], first[1], oversampling, n, turned)
    out[:, :] = turned.T


@njit(cache=True, nogil=True)
def spread_pixels(
    pixels: np.ndarray,
    taps: tuple[np.ndarray, np.ndarray],
    first: tuple[int, int],
    oversampling: int,
    n: int,
    grid: np.ndarray,
) -> None:
    """The transpose of `interpolate_grid`: the pixels ``[y, x]`` onto ``grid``, which is overwritten."""
    turned = np.zeros((grid.shape[1], pixels.shape[0]))
    add_scattered(np.ascontiguousarray(pixels.T), taps[1], first[1], oversampling, n, turned)
    grid[:, :] = 0.0
    add_scattered(np.ascontiguousarray(turned.T), taps[0], first[0], oversampling, n, grid)
