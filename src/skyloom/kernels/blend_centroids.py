"""Centroids of the sources of one blend, each with the PSF models of the others taken off."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel
from .moments import WINDOW_SIGMAS, centroid
from .own_light import COVERED

__all__ = ["centroids_without_neighbours"]


@inner_kernel
def _add_stamp(image: np.ndarray, stamp: np.ndarray, x0: int, y0: int, factor: float) -> None:
    """Add ``factor`` times a stamp whose first pixel is (x0, y0) to the part of an image that it covers."""
    if factor == 0.0:  # the stamp may be of NaN
        return
    for y in range(max(0, y0), min(image.shape[0], y0 + stamp.shape[0])):
        for x in range(max(0, x0), min(image.shape[1], x0 + stamp.shape[1])):
            image[y, x] += factor * stamp[y - y0, x - x0]


@inner_kernel
def _cut_out(
    image: np.ndarray,
    work: np.ndarray,
    state: np.ndarray,
    y: np.ndarray,
    x0: np.ndarray,
    x1: np.ndarray,
    left: int,
    bottom: int,
    out: np.ndarray,
) -> None:
    """The part of the working image from (left, bottom) on, with the blend of the given spans in its place."""
    height, width = out.shape
    out[:, :] = work[bottom : bottom + height, left : left + width]
    for i in range(y.size):
        if not bottom <= y[i] < bottom + height:
            continue
        for x in range(max(x0[i], left), min(x1[i], left + width)):
            if state[y[i], x] == COVERED:
                out[y[i] - bottom, x - left] = image[y[i], x]


@njit(cache=True, nogil=True)
def centroids_without_neighbours(
    planes: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    stamps: np.ndarray,
    x0: np.ndarray,
    y0: np.ndarray,
    flux: np.ndarray,
    group_start: np.ndarray,
    owned: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    sigma: float,
    max_shift: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Centroids as of `skyloom.kernels.moments.centroids`, each without the models of the others of its group.

    Parameters
    ----------
    planes
        Image and variance ``[y, x]``, and the working image and state of `skyloom.kernels.own_light` with all sources
        replaced by noise.
    stamps, x0, y0
        ``[source, y, x]`` PSF of each source, and its first column and row in the image.
    flux
        Flux of each source; one that is not finite or negative counts as 0.
    group_start
        Index of the first source of each group, and one past the last source.
    owned
        First span of each group, one past its last, and y, x0, x1 of all spans: the footprint of the group.
    x, y, sigma, max_shift
        As of `skyloom.kernels.moments.centroids`.
    """
    image, variance, work, state = planes
    first_span, last_span, span_y, span_x0, span_x1 = owned
    light = np.where(np.isfinite(flux) & (flux > 0.0), flux, 0.0)
    position = np.empty((x.size, 4))
    flags = np.zeros(x.size, np.int32)
    margin = math.ceil(WINDOW_SIGMAS * sigma + max_shift) + 1
    for group in range(group_start.size - 1):
        first, last = group_start[group], group_start[group + 1]
        left = max(int(x[first:last].min()) - margin, 0)
        bottom = max(int(y[first:last].min()) - margin, 0)
        right = min(int(x[first:last].max()) + margin + 1, image.shape[1])
        top = min(int(y[first:last].max()) + margin + 1, image.shape[0])
        residual = np.empty((top - bottom, right - left))
        a, b = first_span[group], last_span[group]
        _cut_out(image, work, state, span_y[a:b], span_x0[a:b], span_x1[a:b], left, bottom, residual)
        spread = variance[bottom:top, left:right].astype(np.float64)
        for i in range(first, last):
            _add_stamp(residual, stamps[i], x0[i] - left, y0[i] - bottom, -light[i])
        for i in range(first, last):
            _add_stamp(residual, stamps[i], x0[i] - left, y0[i] - bottom, light[i])
            position[i, 0], position[i, 1], position[i, 2], position[i, 3] = x[i], y[i], np.nan, np.nan
            flags[i] = centroid(residual, spread, x[i] - left, y[i] - bottom, sigma, max_shift, position[i])
            if not math.isnan(position[i, 2]):
                position[i, 0] += left
                position[i, 1] += bottom
            _add_stamp(residual, stamps[i], x0[i] - left, y0[i] - bottom, -light[i])
    return position, flags
