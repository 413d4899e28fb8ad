"""Fill runs of missing pixels along rows from the good ones at their ends."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel
from .interpolate import kriging_weights

__all__ = ["interpolate_rows"]

LONG_RUN = 11
"""From this length on the far side of a run counts as infinitely far."""
NEAR = 6
"""Pixels at a good end of a long run that depend on their distance from it."""
_FAR = 1000.0


@inner_kernel
def _predict(row: np.ndarray, places: np.ndarray, offsets: np.ndarray, n: int) -> float:
    """Value at 0 from the pixels at ``offsets``, the nearest first; from the nearest ones where one is NaN."""
    weights = kriging_weights(offsets[:n])
    total = 0.0
    for k in range(n):
        total += weights[k] * row[places[k]]
    if math.isfinite(total):
        return total
    nearest = math.inf
    for k in range(n):
        if math.isfinite(row[places[k]]):
            nearest = min(nearest, abs(offsets[k]))
    total, count = 0.0, 0
    for k in range(n):
        if math.isfinite(row[places[k]]) and abs(offsets[k]) == nearest:
            total += row[places[k]]
            count += 1
    return total / count if count else math.nan


@inner_kernel
def _fill_run(row: np.ndarray, out: np.ndarray, first: int, last: int, n_left: int, n_right: int) -> None:
    """Fill the pixels ``first`` to ``last`` from ``n_left`` pixels before and ``n_right`` after."""
    offsets, places = np.empty(4), np.empty(4, np.int64)
    length = last - first + 1
    far = length >= LONG_RUN and n_left > 0 and n_right > 0
    for t in range(first, last + 1):
        n = 0
        for k in range(1, max(n_left, n_right) + 1):
            if k <= n_left:
                places[n] = first - k
                offsets[n] = first - k - t
                if far and t - first >= NEAR:
                    offsets[n] -= _FAR
                n += 1
            if k <= n_right:
                places[n] = last + k
                offsets[n] = last + k - t
                if far and last - t >= NEAR:
                    offsets[n] += _FAR
                n += 1
        out[t] = _predict(row, places, offsets, n)


@njit(cache=True, nogil=True)
def interpolate_rows(image: np.ndarray, missing: np.ndarray, fallback: float, at_edges: bool) -> np.ndarray:
    """Fill runs of missing pixels along rows, in place, from up to two good pixels on each side.

    The prediction is that of `skyloom.kernels.interpolate.kriging_weights`, a Gaussian source of 1 pixel sigma without
    noise; in runs of 11 pixels or more the outer 6 on a side are those of an infinite run, and what is between them is
    a mean of both sides.  Where it is not a number the nearest good pixels are taken.

    Parameters
    ----------
    image
        float32 ``[y, x]``.
    missing
        bool ``[y, x]``: pixels to fill; no other pixel changes, and no filled one is used for another.
    fallback
        Value for rows without a good pixel and, if ``at_edges``, for runs of more than 6 pixels that reach the end of
        their row, but for the 6 next to the good pixels: those lead from these to the fallback.
    at_edges
        Whether it is used there; else those are extrapolated from the one side.

    Returns
    -------
    filled
        bool ``[y, x]``: missing pixels that now have a value; one without keeps what it had.
    """
    ny, nx = image.shape
    filled = np.zeros((ny, nx), np.bool_)
    row, out = np.empty(nx), np.empty(nx)
    for y in range(ny):
        if not missing[y].any():
            continue
        x = 0
        while x < nx:
            if not missing[y, x]:
                x += 1
                continue
            first = x
            while x < nx and missing[y, x]:
                x += 1
            last = x - 1
            low, high = max(first - 2, 0), min(last + 3, nx)
            for k in range(low, high):
                row[k] = image[y, k]
            n_left = 0 if first == 0 else (1 if first == 1 or missing[y, first - 2] else 2)
            n_right = 0 if last == nx - 1 else (1 if last == nx - 2 or missing[y, last + 2] else 2)
            length = last - first + 1
            if n_left == 0 and n_right == 0:
                out[first : last + 1] = fallback
            elif at_edges and length > NEAR and n_left == 0:
                split = last - NEAR + 1
                row[first:split], out[first:split] = fallback, fallback
                _fill_run(row, out, split, last, min(2, split - first), n_right)
            elif at_edges and length > NEAR and n_right == 0:
                split = first + NEAR - 1
                row[split + 1 : last + 1], out[split + 1 : last + 1] = fallback, fallback
                _fill_run(row, out, first, split, n_left, min(2, last - split))
            else:
                _fill_run(row, out, first, last, n_left, n_right)
            for k in range(first, last + 1):
                if math.isfinite(out[k]):
                    image[y, k] = out[k]
                    filled[y, k] = True
    return filled
