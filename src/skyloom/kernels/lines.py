"""Order statistics of the lines of a small region, line by line."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["line_quartiles", "line_values"]


@inner_kernel
def _sorted_line(line: np.ndarray, buffer: np.ndarray) -> int:
    """Sort the finite values of a line into a buffer, and return their number; for a few dozen values."""
    number = 0
    for value in line:
        if not math.isfinite(value):
            continue
        at = number
        while at > 0 and buffer[at - 1] > value:
            buffer[at] = buffer[at - 1]
            at -= 1
        buffer[at] = value
        number += 1
    return number


@inner_kernel
def _quantile(ordered: np.ndarray, number: int, fraction: float) -> float:
    """Linear between the nearest ranks."""
    place = fraction * (number - 1)
    low = int(place)
    high = min(low + 1, number - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (place - low))


@njit(cache=True, nogil=True)
def line_quartiles(lines: np.ndarray) -> np.ndarray:
    """Lower quartile, median and upper quartile ``[line, 3]`` of the finite values of each line ``[line, place]``.

    NaN where a line has none.
    """
    quartiles = np.full((lines.shape[0], 3), math.nan)
    buffer = np.empty(lines.shape[1])
    for line in range(lines.shape[0]):
        number = _sorted_line(lines[line], buffer)
        if number > 0:
            for k in range(3):
                quartiles[line, k] = _quantile(buffer, number, 0.25 * (k + 1))
    return quartiles


@njit(cache=True, nogil=True)
def line_values(lines: np.ndarray, centres: np.ndarray, limits: np.ndarray, median: bool, integer: bool) -> np.ndarray:
    """Median or mean ``[line]`` of the finite values within a limit of the centre of their line; NaN without any.

    Whole counts are a continuous level that was rounded: with ``integer`` a median is interpolated inside its bin, by
    how many values share it.

    Parameters
    ----------
    lines
        float64 ``[line, place]``.
    centres, limits
        ``[line]``; NaN for a line without values.
    median
        Whether medians are wanted, not means.
    integer
        Whether the values are whole counts.
    """
    result = np.full(lines.shape[0], math.nan)
    kept, buffer = np.empty(lines.shape[1]), np.empty(lines.shape[1])
    for line in range(lines.shape[0]):
        number, total = 0, 0.0
        for value in lines[line]:
            if abs(value - centres[line]) <= limits[line]:
                kept[number] = value
                number += 1
                total += value
        if number == 0:
            continue
        if not median:
            result[line] = total / number
            continue
        _sorted_line(kept[:number], buffer)
        low, high = buffer[(number - 1) // 2], buffer[number // 2]
        result[line] = 0.5 * (low + high)
        # With an even number the two middle values may lie in different bins: the level is between them.
        if integer and low == high:
            below, equal = 0, 0
            for value in kept[:number]:
                below += value < low
                equal += value == low
            result[line] = low - 0.5 + (0.5 * number - below) / equal
    return result
