"""The median of a square around each pixel."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["median_filter"]

_LANES = 256
"""Pixels of a row that go through the network together: 25 values each still fit the first cache."""


def median_filter(image: np.ndarray, window: int) -> np.ndarray:
    """Median of the square around each pixel; beyond the border the image is mirrored about its outermost pixels.

    Each square goes through the part of Batcher's odd-even merge sort (Batcher 1968, AFIPS Spring Joint Computer
    Conference 32, 307) that its middle value depends on.  Which values meet there is known beforehand, so that many
    pixels take each step together.

    Parameters
    ----------
    image
        float32 ``[y, x]``, all of it numbers.
    window
        Side of the square, px, odd.
    """
    if window % 2 != 1:
        raise ValueError(f"The window is {window} pixels; it has to be odd.")
    padded = np.pad(np.asarray(image, np.float32), window // 2, mode="reflect")
    return np.asarray(_filtered(padded, window, _network(window * window)))


@functools.cache
def _network(count: int) -> np.ndarray:
    """Pairs of places ``[step, 2]``, the smaller value to go to the first, that bring the median to the middle."""
    needed, kept = {count // 2}, []
    for pair in reversed(list(_sorting_network(count))):
        if needed.intersection(pair):
            needed.update(pair)
            kept.append(pair)
    return np.array(kept[::-1], np.int64).reshape(-1, 2)


def _sorting_network(count: int) -> Iterator[tuple[int, int]]:
    """The pairs of Batcher's sort in their order; runs of ``merged`` values are in order when they are merged."""
    merged = 1
    while merged < count:
        apart = merged
        while apart >= 1:
            for first in range(apart % merged, count - apart, 2 * apart):
                for place in range(first, first + min(apart, count - apart - first)):
                    if place // (2 * merged) == (place + apart) // (2 * merged):
                        yield place, place + apart
            apart //= 2
        merged *= 2


@njit(cache=True, nogil=True)
def _filtered(padded: np.ndarray, window: int, network: np.ndarray) -> np.ndarray:
    """Medians of the squares of an image that is padded by half a window on all sides."""
    ny, nx = padded.shape[0] - window + 1, padded.shape[1] - window + 1
    result = np.empty((ny, nx), np.float32)
    lanes = np.zeros((window * window, _LANES), np.float32)
    for y in range(ny):
        for x0 in range(0, nx, _LANES):
            width = min(_LANES, nx - x0)
            for j in range(window):
                for i in range(window):
                    lanes[j * window + i, :width] = padded[y + j, x0 + i : x0 + i + width]
            for step in range(network.shape[0]):
                _exchange(lanes[network[step, 0]], lanes[network[step, 1]])
            result[y, x0 : x0 + width] = lanes[window * window // 2, :width]
    return result


@inner_kernel
def _exchange(low: np.ndarray, high: np.ndarray) -> None:
    """Bring the smaller of each pair of values to ``low``."""
    for lane in range(_LANES):
        a, b = low[lane], high[lane]
        low[lane] = a if a < b else b
        high[lane] = b if a < b else a
