"""Pixels of footprints cut out of the frame, and light put back into spans."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = [
    "collect_light",
    "copy_spans",
    "cut_out",
    "footprint_box",
    "least_variance",
    "sum_spans",
    "sum_values",
    "with_room",
]


@njit(cache=True, nogil=True)
def copy_spans(image: np.ndarray, y: np.ndarray, x0: np.ndarray, x1: np.ndarray) -> np.ndarray:
    """Values of the pixels of all spans, one after the other, float32."""
    used = 0
    for k in range(y.size):
        used += x1[k] - x0[k]
    values = np.empty(used, np.float32)
    used = 0
    for k in range(y.size):
        for x in range(x0[k], x1[k]):
            values[used] = image[y[k], x]
            used += 1
    return values


@njit(cache=True, nogil=True)
def sum_spans(
    image: np.ndarray, span_start: np.ndarray, y: np.ndarray, x0: np.ndarray, x1: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the finite pixels of each group of spans, and the group's number of pixels."""
    total, area = np.zeros(span_start.size - 1), np.zeros(span_start.size - 1, np.int64)
    for group in range(span_start.size - 1):
        for k in range(span_start[group], span_start[group + 1]):
            for x in range(x0[k], x1[k]):
                if math.isfinite(image[y[k], x]):
                    total[group] += image[y[k], x]
            area[group] += x1[k] - x0[k]
    return total, area


@njit(cache=True, nogil=True)
def sum_values(values: np.ndarray, span_start: np.ndarray, value_start: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Sum of the finite values of each group of spans."""
    total = np.zeros(span_start.size - 1)
    for group in range(span_start.size - 1):
        for k in range(span_start[group], span_start[group + 1]):
            for i in range(value_start[k], value_start[k] + width[k]):
                if math.isfinite(values[i]):
                    total[group] += values[i]
    return total


@njit(cache=True, nogil=True)
def with_room(
    spans: np.ndarray, n_spans: int, values: np.ndarray, n_values: int, more: int
) -> tuple[np.ndarray, np.ndarray]:
    """The buffers, larger ones where there is no room for so many more pixels behind what is used."""
    if n_spans + more > spans.shape[0]:
        larger = np.empty((2 * (n_spans + more), 3), np.int64)
        for k in range(n_spans):
            for i in range(3):
                larger[k, i] = spans[k, i]
        spans = larger
    if n_values + more > values.size:
        longer = np.empty(2 * (n_values + more), np.float32)
        for k in range(n_values):
            longer[k] = values[k]
        values = longer
    return spans, values


@inner_kernel
def _put(row: int, column: int, value: float, used: int, n_spans: int, spans: np.ndarray, values: np.ndarray) -> int:
    """Add a pixel behind those of a source, in row-major order; returns the number of spans."""
    values[used] = value
    if n_spans > 0 and spans[n_spans - 1, 0] == row and spans[n_spans - 1, 2] == column:
        spans[n_spans - 1, 2] += 1
        return n_spans
    spans[n_spans, 0], spans[n_spans, 1], spans[n_spans, 2] = row, column, column + 1
    return n_spans + 1


@njit(cache=True, nogil=True)
def collect_light(
    image: np.ndarray,
    total: np.ndarray,
    template: np.ndarray,
    x0: int,
    y0: int,
    stray_place: np.ndarray,
    stray_part: np.ndarray,
    left: int,
    top: int,
    spans: np.ndarray,
    values: np.ndarray,
    span_count: np.ndarray,
) -> int:
    """The light of one peak, in spans of the frame: its shares by the template, and its stray light.

    Returns the number of pixels; that of the spans goes to ``span_count[0]``.
    """
    width = image.shape[1]
    used, count, stray = 0, 0, 0
    for j in range(template.shape[0] + 1):
        row = y0 + j
        for i in range(template.shape[1] if j < template.shape[0] else 1):
            past = j == template.shape[0]
            if not past and not template[j, i] > 0.0:
                continue
            at = image.size if past else row * width + x0 + i
            while stray < stray_place.size and stray_place[stray] < at:
                y, x = stray_place[stray] // width, stray_place[stray] % width
                count = _put(top + y, left + x, image[y, x] * stray_part[stray], used, count, spans, values)
                used, stray = used + 1, stray + 1
            if not past:
                share = template[j, i] / total[row, x0 + i]
                count = _put(top + row, left + x0 + i, image[row, x0 + i] * share, used, count, spans, values)
                used += 1
    span_count[0] = count
    return used


@njit(cache=True, nogil=True)
def footprint_box(first: int, last: int, y: np.ndarray, x0: np.ndarray, x1: np.ndarray) -> tuple[int, int, np.ndarray]:
    """First column and row of the box of the spans first ... last - 1, and the pixels inside, ``[y, x]`` bool."""
    left, right, top, bottom = x0[first], x1[first], y[first], y[first] + 1
    for k in range(first, last):
        left, right = min(left, x0[k]), max(right, x1[k])
        top, bottom = min(top, y[k]), max(bottom, y[k] + 1)
    inside = np.zeros((bottom - top, right - left), np.bool_)
    for k in range(first, last):
        for x in range(x0[k], x1[k]):
            inside[y[k] - top, x - left] = True
    return left, top, inside


@njit(cache=True, nogil=True)
def cut_out(
    image: np.ndarray, variance: np.ndarray, unusable: np.ndarray, left: int, top: int, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Image and variance over a box with 0 for what is no number, and which pixels were measured and are finite."""
    shape = inside.shape
    pixels, spread = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    known, finite = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    for j in range(shape[0]):
        for i in range(shape[1]):
            value, noise = image[top + j, left + i], variance[top + j, left + i]
            known[j, i] = not unusable[top + j, left + i]
            if math.isfinite(value):
                pixels[j, i], finite[j, i] = value, True
            if noise > 0.0 and math.isfinite(noise):
                spread[j, i] = noise
    return pixels, spread, known, finite


@njit(cache=True, nogil=True)
def least_variance(variance: np.ndarray, inside: np.ndarray) -> float:
    """Least positive variance of the pixels of a footprint, about that of the sky; 1 where there is none."""
    least = np.inf
    for j in range(inside.shape[0]):
        for i in range(inside.shape[1]):
            if inside[j, i] and variance[j, i] > 0.0:
                least = min(least, variance[j, i])
    return least if least < np.inf else 1.0
