"""Counts of marked pixels in regions that are given as spans, and growth by diamonds."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["any_bit", "count_in_spans", "count_overlap", "count_within", "dilate_diamond", "sum_in_spans"]


@njit(cache=True, nogil=True)
def any_bit(bits: np.ndarray, wanted: int) -> bool:
    """Whether any pixel ``[y, x]`` has any of the wanted bits."""
    for y in range(bits.shape[0]):
        found = 0
        for x in range(bits.shape[1]):
            found |= bits[y, x]
        if found & wanted != 0:
            return True
    return False


@njit(cache=True, nogil=True)
def count_in_spans(
    bits: np.ndarray,
    corner: tuple[int, int],
    spans: tuple[np.ndarray, np.ndarray, np.ndarray],
    start: np.ndarray,
    bad: int,
    wanted: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of each region that are bad, and those that are wanted and not bad.

    Parameters
    ----------
    bits
        Mask bits ``[y, x]``; pixels of regions outside of them count as bad.
    corner
        y and x of their first pixel.
    spans
        y, x0, x1 (exclusive), those of a region together.
    start
        First span of each region, and one past the last span.
    bad, wanted
        Bits: any of them counts.

    Returns
    -------
    n_bad, n_wanted
        int64, one entry a region.
    """
    height, width = bits.shape
    ys, starts, stops = spans
    n_bad, n_wanted = np.zeros(start.size - 1, np.int64), np.zeros(start.size - 1, np.int64)
    for region in range(start.size - 1):
        lost, found = 0, 0
        for i in range(start[region], start[region + 1]):
            y = ys[i] - corner[0]
            first, last = max(starts[i] - corner[1], 0), min(stops[i] - corner[1], width)
            length = stops[i] - starts[i]
            if y < 0 or y >= height or last <= first:
                lost += length
                continue
            lost += length - (last - first)
            for x in range(first, last):
                here = bits[y, x]
                lost += here & bad != 0
                found += (here & bad == 0) & (here & wanted != 0)
        n_bad[region], n_wanted[region] = lost, found
    return n_bad, n_wanted


@njit(cache=True, nogil=True)
def count_overlap(
    mask: np.ndarray, ys: np.ndarray, starts: np.ndarray, stops: np.ndarray, label: np.ndarray, n_labels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of each label, and those of them where ``mask``, bool ``[y, x]``, is set; int64."""
    area, inside = np.zeros(n_labels, np.int64), np.zeros(n_labels, np.int64)
    for i in range(ys.size):
        area[label[i]] += stops[i] - starts[i]
        for x in range(starts[i], stops[i]):
            inside[label[i]] += mask[ys[i], x]
    return area, inside


@njit(cache=True, nogil=True)
def count_within(
    count: np.ndarray,
    corner: tuple[int, int],
    spans: tuple[np.ndarray, np.ndarray, np.ndarray],
    start: np.ndarray,
    limits: np.ndarray,
) -> np.ndarray:
    """Pixels of each region, int64, whose ``count`` ``[y, x]`` is from 1 to its limit; all spans lie inside."""
    ys, starts, stops = spans
    number = np.zeros(start.size - 1, np.int64)
    for region in range(start.size - 1):
        for i in range(start[region], start[region + 1]):
            y = ys[i] - corner[0]
            for x in range(starts[i] - corner[1], stops[i] - corner[1]):
                number[region] += (count[y, x] > 0) & (count[y, x] <= limits[region])
    return number


@njit(cache=True, nogil=True)
def sum_in_spans(
    values: np.ndarray, corner: tuple[int, int], spans: tuple[np.ndarray, np.ndarray, np.ndarray], start: np.ndarray
) -> np.ndarray:
    """Sum, float64, of ``values`` ``[y, x]`` over each region; all spans lie inside."""
    ys, starts, stops = spans
    total = np.zeros(start.size - 1)
    for region in range(start.size - 1):
        for i in range(start[region], start[region + 1]):
            y = ys[i] - corner[0]
            for x in range(starts[i] - corner[1], stops[i] - corner[1]):
                total[region] += values[y, x]
    return total


@njit(cache=True, nogil=True)
def dilate_diamond(mask: np.ndarray, radius: int) -> np.ndarray:
    """The pixels within ``radius`` in city-block distance of a set pixel; ``[y, x]`` bool."""
    height, width = mask.shape
    grown = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            if not mask[y, x]:
                continue
            for d in range(-radius, radius + 1):
                if 0 <= y + d < height:
                    reach = radius - abs(d)
                    grown[y + d, max(0, x - reach) : min(width, x + reach + 1)] = True
    return grown
