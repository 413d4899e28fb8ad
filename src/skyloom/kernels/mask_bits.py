"""Passes over mask bits ``[y, x]`` that touch the few marked pixels alone."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["mark_not_finite", "marked_places", "spread_bit"]


@njit(cache=True, nogil=True)
def marked_places(bits: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, in reading order, of the pixels that have any of the wanted bits."""
    per_row = np.zeros(bits.shape[0] + 1, np.int64)
    for y in range(bits.shape[0]):
        count = 0
        for x in range(bits.shape[1]):
            if bits[y, x] & wanted != 0:
                count += 1
        per_row[y + 1] = per_row[y] + count
    rows, columns = np.empty(per_row[-1], np.int64), np.empty(per_row[-1], np.int64)
    for y in range(bits.shape[0]):
        at = per_row[y]
        if at == per_row[y + 1]:
            continue
        for x in range(bits.shape[1]):
            if bits[y, x] & wanted != 0:
                rows[at], columns[at] = y, x
                at += 1
    return rows, columns


@njit(cache=True, nogil=True)
def spread_bit(bits: np.ndarray, rows: np.ndarray, columns: np.ndarray, bit: int, radius: int) -> None:
    """Set ``bit`` within ``radius`` pixels of city-block distance of the places."""
    height, width = bits.shape
    for place in range(rows.size):
        for y in range(max(rows[place] - radius, 0), min(rows[place] + radius + 1, height)):
            reach = radius - abs(y - rows[place])
            for x in range(max(columns[place] - reach, 0), min(columns[place] + reach + 1, width)):
                bits[y, x] |= bit


@njit(cache=True, nogil=True)
def mark_not_finite(image: np.ndarray, variance: np.ndarray, bits: np.ndarray, bit: int, allowed: int) -> int:
    """Set ``bit`` where image or variance is not finite and none of the ``allowed`` bits is set; return the count."""
    marked = 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if not (math.isfinite(image[y, x]) and math.isfinite(variance[y, x])) and bits[y, x] & allowed == 0:
                bits[y, x] |= bit
                marked += 1
    return marked
