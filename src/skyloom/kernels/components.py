"""Connected pixels: components as row spans, growth by a disk, and peaks with their prominence."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = [
    "component_peaks",
    "component_spans",
    "dilate_disk",
    "or_spans",
    "paint_spans",
    "peak_prominences",
    "span_maxima",
]


@inner_kernel
def _root(parent: np.ndarray, i: int) -> int:
    """The representative of ``i``, with the path to it halved."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@inner_kernel
def _row_spans(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spans (y, x0, x1) of consecutive set pixels, x1 exclusive, in row-major order."""
    height, width = mask.shape
    n = 0
    for y in range(height):
        for x in range(width):
            if mask[y, x] and (x == 0 or not mask[y, x - 1]):
                n += 1
    ys, starts, stops = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    n = 0
    for y in range(height):
        x = 0
        while x < width:
            if not mask[y, x]:
                x += 1
                continue
            start = x
            while x < width and mask[y, x]:
                x += 1
            ys[n], starts[n], stops[n] = y, start, x
            n += 1
    return ys, starts, stops


@njit(cache=True, nogil=True)
def component_spans(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """The 8-connected components of a mask, as spans found and joined in one pass over the rows.

    Parameters
    ----------
    mask
        ``[y, x]`` bool.

    Returns
    -------
    y, x0, x1, label
        One entry a span, x1 exclusive, in row-major order; labels count components from 0 in the order of their
        first span.
    n_components
        Their number.
    """
    ys, starts, stops = _row_spans(mask)
    parent = np.arange(ys.size)
    above = 0  # first span of the row above that can still touch
    for i in range(ys.size):
        while above < i and (ys[above] < ys[i] - 1 or (ys[above] == ys[i] - 1 and stops[above] < starts[i])):
            above += 1
        j = above
        while j < i and ys[j] == ys[i] - 1 and starts[j] <= stops[i]:
            a, b = _root(parent, i), _root(parent, j)
            parent[max(a, b)] = min(a, b)
            j += 1
    label = np.empty(ys.size, np.int32)
    n = 0
    for i in range(ys.size):  # a root is the first span of its component, so it is met before the others
        root = _root(parent, i)
        if root == i:
            label[i] = n
            n += 1
        else:
            label[i] = label[root]
    return ys, starts, stops, label, n


@njit(cache=True, nogil=True)
def dilate_disk(mask: np.ndarray, radius: int) -> np.ndarray:
    """The pixels within ``radius`` (Euclidean, between centres) of a set pixel; ``[y, x]`` bool."""
    height, width = mask.shape
    grown = np.zeros((height, width), np.bool_)
    reach = np.array([int(math.sqrt(radius * radius - d * d)) for d in range(radius + 1)])
    ys, starts, stops = _row_spans(mask)
    for i in range(ys.size):
        for d in range(-radius, radius + 1):
            y = ys[i] + d
            if 0 <= y < height:
                half = reach[abs(d)]
                grown[y, max(0, starts[i] - half) : min(width, stops[i] + half)] = True
    return grown


@njit(cache=True, nogil=True)
def span_maxima(
    image: np.ndarray, y: np.ndarray, x0: np.ndarray, x1: np.ndarray, label: np.ndarray, n_components: int
) -> tuple[np.ndarray, np.ndarray]:
    """Highest value of ``image`` in each component of `component_spans`, and its number of pixels."""
    best = np.full(n_components, -np.inf)
    area = np.zeros(n_components, np.int64)
    for i in range(y.size):
        for x in range(x0[i], x1[i]):
            best[label[i]] = max(best[label[i]], image[y[i], x])
        area[label[i]] += x1[i] - x0[i]
    return best, area


@njit(cache=True, nogil=True)
def peak_prominences(
    value: np.ndarray, order: np.ndarray, x: np.ndarray, y: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """How far each local maximum of the listed pixels rises above the pass to a higher one.

    The pixels are flooded from the highest down; a pixel without a flooded neighbour is a peak, and where two floods
    meet the lower peak has found its pass.  A plateau makes one peak.

    Parameters
    ----------
    value
        Height of each pixel.
    order
        Indices of the pixels from the highest to the lowest.
    x, y
        Position of each pixel.
    shape
        Rows and columns of the image.

    Returns
    -------
    numpy.ndarray
        Of each pixel: NaN when it is no peak, +inf for the highest of an 8-connected component, else the height
        above the pass.
    """
    flooded = np.full(shape, -1, np.int32)
    rank = np.empty(value.size, np.int64)
    parent = np.arange(value.size)
    prominence = np.full(value.size, np.nan)
    for position in range(value.size):
        pixel = order[position]
        rank[pixel] = position
        highest = -1
        for yy in range(max(0, y[pixel] - 1), min(shape[0], y[pixel] + 2)):
            for xx in range(max(0, x[pixel] - 1), min(shape[1], x[pixel] + 2)):
                if flooded[yy, xx] < 0:
                    continue
                root = _root(parent, flooded[yy, xx])
                if highest < 0 or root == highest:
                    highest = root
                    continue
                low, high = (root, highest) if rank[root] > rank[highest] else (highest, root)
                prominence[low] = value[low] - value[pixel]
                parent[low] = high
                highest = high
        if highest < 0:
            prominence[pixel] = np.inf
        else:
            parent[pixel] = highest
        flooded[y[pixel], x[pixel]] = pixel
    return prominence


@inner_kernel
def _highest_pixel(
    value: np.ndarray, noise: np.ndarray, region: np.ndarray, spans: tuple[np.ndarray, ...], threshold: float
) -> tuple[int, int, int]:
    """Row and column of the highest pixel of a component, and how many maxima above the threshold there may be."""
    height, width = value.shape
    y, x0, x1 = spans
    best, best_y, best_x, candidates = -math.inf, y[0], x0[0], 0
    for i in range(y.size):
        for x in range(x0[i], x1[i]):
            here = value[y[i], x] if noise[y[i], x] < math.inf else 0.0
            if here > best:
                best, best_y, best_x = here, y[i], x
            if not here >= threshold * noise[y[i], x]:
                continue
            is_maximum = True
            for yy in range(max(0, y[i] - 1), min(height, y[i] + 2)):
                for xx in range(max(0, x - 1), min(width, x + 2)):
                    if region[yy, xx] and noise[yy, xx] < math.inf and value[yy, xx] > here:
                        is_maximum = False
            candidates += is_maximum
    return best_y, best_x, candidates


@inner_kernel
def _flooded_peaks(
    value: np.ndarray,
    noise: np.ndarray,
    spans: tuple[np.ndarray, ...],
    limits: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the peaks of a component that stand out, from the highest down."""
    y, x0, x1 = spans
    n = (x1 - x0).sum()
    rows, columns, height, sigma = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n), np.empty(n)
    at = 0
    for i in range(y.size):
        for x in range(x0[i], x1[i]):
            rows[at], columns[at], sigma[at] = y[i], x, noise[y[i], x]
            height[at] = value[y[i], x] if sigma[at] < math.inf else 0.0
            at += 1
    order = np.argsort(-height, kind="mergesort")
    top, left = rows.min(), columns.min()
    shape = (rows.max() - top + 1, columns.max() - left + 1)
    prominence = peak_prominences(height, order, columns - left, rows - top, shape)
    kept = np.zeros(n, np.bool_)
    for i in range(n):
        stands_out = height[i] >= limits[0] * sigma[i] and prominence[i] >= limits[1] * sigma[i]
        kept[i] = prominence[i] == math.inf or stands_out
    chosen = order[kept[order]]
    return rows[chosen], columns[chosen]


@njit(cache=True, nogil=True)
def component_peaks(
    value: np.ndarray,
    noise: np.ndarray,
    region: np.ndarray,
    spans: tuple[np.ndarray, np.ndarray, np.ndarray],
    span_start: np.ndarray,
    limits: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The peaks of each component: its highest pixel, and other maxima that stand out, by `peak_prominences`.

    Parameters
    ----------
    value, noise
        ``[y, x]`` heights, and their standard deviation; pixels of infinite noise count as 0.
    region
        Bool ``[y, x]``: all components.
    spans
        y, x0, x1 (exclusive) of the spans, those of a component together and in the order of rows.
    span_start
        First span of each component, and one past the last span.
    limits
        In units of the noise: least height of a peak that is not the highest, and how far it must rise above the pass
        to a higher one.

    Returns
    -------
    y, x
        Of the peaks, component by component, from the highest down.
    peak_start
        First peak of each component, and one past the last.
    """
    count = span_start.size - 1
    ys, xs = np.empty(2 * count + 16, np.int64), np.empty(2 * count + 16, np.int64)
    peak_start = np.zeros(count + 1, np.int64)
    n = 0
    for component in range(count):
        first, last = span_start[component], span_start[component + 1]
        own = (spans[0][first:last], spans[1][first:last], spans[2][first:last])
        y, x, candidates = _highest_pixel(value, noise, region, own, limits[0])
        rows, columns = np.array([np.int64(y)]), np.array([np.int64(x)])
        if candidates > 1:
            rows, columns = _flooded_peaks(value, noise, own, limits)
        if n + rows.size > ys.size:
            ys = np.concatenate((ys, np.empty(ys.size + rows.size, np.int64)))
            xs = np.concatenate((xs, np.empty(xs.size + rows.size, np.int64)))
        ys[n : n + rows.size] = rows
        xs[n : n + rows.size] = columns
        n += rows.size
        peak_start[component + 1] = n
    return ys[:n], xs[:n], peak_start


@njit(cache=True, nogil=True)
def or_spans(
    bits: np.ndarray, group_start: np.ndarray, y: np.ndarray, x0: np.ndarray, x1: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mask bits set anywhere in each group of spans, and the group's number of pixels.

    Parameters
    ----------
    bits
        ``[y, x]`` integers.
    group_start
        Index of the first span of each group, and one past the last span: n + 1 values.
    y, x0, x1
        Spans inside the image, x1 exclusive.
    """
    n = group_start.size - 1
    anywhere = np.zeros(n, np.int64)
    area = np.zeros(n, np.int64)
    for group in range(n):
        for i in range(group_start[group], group_start[group + 1]):
            for x in range(x0[i], x1[i]):
                anywhere[group] |= bits[y[i], x]
            area[group] += x1[i] - x0[i]
    return anywhere, area


@njit(cache=True, nogil=True)
def paint_spans(label_image: np.ndarray, y: np.ndarray, x0: np.ndarray, x1: np.ndarray, label: np.ndarray) -> None:
    """Paint the label of each span into ``label_image`` ``[y, x]``."""
    for i in range(y.size):
        label_image[y[i], x0[i] : x1[i]] = label[i]
