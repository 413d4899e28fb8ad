"""Templates of stars: the PSF, and a power law beyond its stamp."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["fill_star", "star_reach"]

WING_LIMIT = 0.2  # sigma of a pixel below which the wings of a star are not followed


@inner_kernel
def _wing(stamp: np.ndarray) -> tuple[float, float]:
    """Mean of a stamp at the distance of half its side, and the power with which it falls there."""
    half = stamp.shape[0] // 2
    inner_radius = max(0.7 * half, half - 4.0)
    outer, inner, n_outer, n_inner = 0.0, 0.0, 0, 0
    for row in range(stamp.shape[0]):
        for column in range(stamp.shape[1]):
            radius = math.hypot(row - half, column - half)
            if abs(radius - (half - 0.5)) <= 0.75:
                outer += stamp[row, column]
                n_outer += 1
            elif abs(radius - inner_radius) <= 0.75:
                inner += stamp[row, column]
                n_inner += 1
    if n_outer == 0 or n_inner == 0 or not (outer > 0.0 and inner > 0.0):
        return 0.0, 3.0
    outer, inner = outer / n_outer, inner / n_inner
    power = math.log(inner / outer) / math.log((half - 0.5) / inner_radius)
    return outer, min(max(power, 2.5), 8.0)


@njit(cache=True, nogil=True)
def star_reach(stamp: np.ndarray, flux: float, noise: float) -> tuple[int, float, float]:
    """How far the template of a star reaches, px, and the level and power of its wings beyond the stamp."""
    half = stamp.shape[0] // 2
    level, power = _wing(stamp)
    if not flux * level > WING_LIMIT * noise:
        return half, 0.0, power
    radius = (half - 0.5) * (flux * level / (WING_LIMIT * noise)) ** (1.0 / power)
    return max(half, int(min(radius, 20.0 * half))), level, power


@njit(cache=True, nogil=True)
def fill_star(
    stamp: np.ndarray, flux: float, x: int, y: int, level: float, power: float, x0: int, y0: int, template: np.ndarray
) -> None:
    """The model of a star whose stamp is centred on the pixel (x, y) of the box; 0 where that is negative."""
    half = stamp.shape[0] // 2
    for j in range(template.shape[0]):
        for i in range(template.shape[1]):
            row, column = y0 + j - y, x0 + i - x
            if abs(row) <= half and abs(column) <= half:
                value = stamp[row + half, column + half]
            else:
                value = level * (math.hypot(row, column) / (half - 0.5)) ** -power
            template[j, i] = max(flux * value, 0.0)
