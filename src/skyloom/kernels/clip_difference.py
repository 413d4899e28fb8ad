"""The weighted mean of the samples of each pixel less their clipped mean; what of that seeing can explain."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel
from .stack_statistics import _COLUMNS, _FIRST, _INPUTS, _WEIGHT, _buffers, _clip, _load, _planes, _sum

__all__ = ["clip_difference", "excess_in_spans"]

_REACH = 2
"""Pixels in x and y over which the range of the clipped mean is taken."""
_NOISE_RANGE = 4.0
"""Range of the noise among the 25 pixels within that reach, in standard deviations."""


@njit(cache=True, nogil=True)
def clip_difference(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    weights: np.ndarray,
    bad: int,
    clip: tuple[float, int],
    no_data: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """As `skyloom.kernels.stack_statistics.difference_of_means`, with the clipped mean itself.

    Returns
    -------
    difference, variance, clipped
        float32 ``[y, x]``: mean less clipped mean, the sum of the variances of both, and the clipped mean; NaN, +inf
        and NaN without a usable sample.
    bits
        int32 ``[y, x]``: the bits of the usable samples.
    """
    stack = (image, variance, bits)
    n, ny, nx = image.shape
    value, error = np.full((ny, nx), np.nan, np.float32), np.full((ny, nx), np.inf, np.float32)
    kept, mask = np.full((ny, nx), np.nan, np.float32), np.full((ny, nx), no_data, np.int32)
    samples = (np.empty((n, _COLUMNS)), np.empty((n, _COLUMNS)), np.empty((n, _COLUMNS)))
    planes = _planes()
    counts, found = planes[0], planes[1]
    buffers, everything = _buffers(n), np.empty((7, _COLUMNS))
    _, pivot, centre, limit, _, _, sums = buffers
    for r in range(ny):
        for first in range(0, nx, _COLUMNS):
            size = min(first + _COLUMNS, nx) - first
            _load(stack, weights, (False, bad), r, (first, first + size), samples, planes)
            _clip(samples, size, counts, clip, buffers)
            limit[:] = np.inf
            _sum(samples, size, pivot, (centre, limit), everything)
            for k in range(size):
                if counts[k] == 0:
                    continue
                whole, part = everything[_WEIGHT, k], sums[_WEIGHT, k]
                clipped = sums[_FIRST, k] / part
                value[r, first + k] = everything[_FIRST, k] / whole - clipped
                error[r, first + k] = everything[_INPUTS, k] / (whole * whole) + sums[_INPUTS, k] / (part * part)
                kept[r, first + k] = pivot[k] + clipped
                mask[r, first + k] = found[k]
    return value, error, kept, mask


@inner_kernel
def _range_about(image: np.ndarray, row: int, column: int) -> float:
    """Largest less smallest value within two pixels; 0 without a value."""
    height, width = image.shape
    low, high = math.inf, -math.inf
    for y in range(max(0, row - _REACH), min(height, row + _REACH + 1)):
        for x in range(max(0, column - _REACH), min(width, column + _REACH + 1)):
            here = image[y, x]
            if here < low:
                low = here
            if here > high:
                high = here
    return high - low if high >= low else 0.0


@njit(cache=True, nogil=True)
def excess_in_spans(
    planes: tuple[np.ndarray, np.ndarray, np.ndarray],
    corner: tuple[int, int],
    reference: tuple[np.ndarray, np.ndarray],
    reference_corner: tuple[int, int],
    spans: tuple[np.ndarray, np.ndarray, np.ndarray],
    limits: tuple[int, float, float],
) -> tuple[int, float, float]:
    """How far a warp differs from a reference within a region, beyond what another seeing would do.

    Parameters
    ----------
    planes
        Image, variance and mask bits ``[y, x]`` of the warp.
    corner
        y and x of their first pixel.
    reference
        The clipped mean ``[y, x]`` and its variance.
    reference_corner
        y and x of their first pixel; the region lies inside.
    spans
        y, x0, x1 (exclusive) of the region.
    limits
        Bits of bad pixels; sigma from which a pixel is an outlier; slack, as a part of the reference's range within two
        pixels.

    Returns
    -------
    outliers
        Number of pixels that differ by more than the limit and the slack.
    strongest
        By how many sigma a pixel differs beyond the slack at most.
    significance
        Of the sum of what differs beyond the slack, in either direction, over the pixels whose slack is less than
        their noise; in sigma.
    """
    image, variance, bits = planes
    mean, mean_variance = reference
    bad, n_sigma, structure = limits
    height, width = image.shape
    outliers, strongest, above, below, noise = 0, 0.0, 0.0, 0.0, 0.0
    ys, starts, stops = spans
    for i in range(ys.size):
        y, row = ys[i] - corner[0], ys[i] - reference_corner[0]
        if y < 0 or y >= height:
            continue
        for x in range(max(starts[i] - corner[1], 0), min(stops[i] - corner[1], width)):
            column = x + corner[1] - reference_corner[1]
            excess = np.float64(image[y, x]) - mean[row, column]
            own, other = np.float64(variance[y, x]), np.float64(mean_variance[row, column])
            if bits[y, x] & bad != 0 or not (abs(excess) < math.inf and own + other < math.inf):
                continue
            sigma = math.sqrt(own + other)
            slack = structure * max(_range_about(mean, row, column) - _NOISE_RANGE * math.sqrt(other), 0.0)
            outliers += abs(excess) > n_sigma * sigma + slack
            if sigma > 0.0:
                strongest = max(strongest, (abs(excess) - slack) / sigma)
            if slack < sigma:
                above += excess - slack
                below -= excess + slack
                noise += own + other
    return outliers, strongest, max(above, below) / math.sqrt(noise) if noise > 0.0 else 0.0
