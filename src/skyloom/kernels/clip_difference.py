"""The weighted mean of the samples of each pixel less their clipped mean; what of that seeing can explain."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel
from .sorting_network import column_quantile, sort_columns

__all__ = ["clip_difference", "excess_in_spans"]

IQR_TO_SIGMA = 0.741301109252802
"""Standard deviation of a Gaussian by its interquartile range."""
_COLUMNS = 256
"""Pixels of a row that are treated at a time: their samples stay in the cache."""
_WEIGHT, _FIRST, _INPUTS, _SQUARE, _SECOND, _STAY = range(6)
"""Sums over samples of a pixel: weight w, w d, w^2 variance, w^2, w d^2, 1; d from the median."""
_ALL = 3
"""Where the first three of these stand for all samples, beside those that stay."""
_REACH = 2
"""Pixels in x and y over which the range of the clipped mean is taken."""
_NOISE_RANGE = 4.0
"""Range of the noise among the 25 pixels within that reach, in standard deviations."""


@inner_kernel
def _load(
    stack: tuple[np.ndarray, np.ndarray, np.ndarray],
    bad: int,
    row: int,
    span: tuple[int, int],
    samples: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    planes: tuple[np.ndarray, np.ndarray],
) -> None:
    """Read the samples of some pixels of a row: values, variances, ones, and values to be sorted; unusable ones are 0
    or, among those to be sorted, infinite.  ``planes``: number of usable samples of each pixel, and their bits.
    """
    image, variance, bits = stack
    counts, found = planes
    first, last = span
    counts[:] = 0
    found[:] = 0
    for i in range(image.shape[0]):
        plane, errors, flags = image[i, row, first:last], variance[i, row, first:last], bits[i, row, first:last]
        values, variances, ones, ordered = samples[0][i], samples[1][i], samples[2][i], samples[3][i]
        for k in range(last - first):
            here, value, var = flags[k], plane[k], errors[k]
            usable = (here & bad == 0) & (abs(value) < np.inf) & (abs(var) < np.inf)
            values[k] = value if usable else np.float32(0.0)
            variances[k] = var if usable else np.float32(0.0)
            ones[k] = np.float32(1.0) if usable else np.float32(0.0)
            ordered[k] = value if usable else np.float32(np.inf)
            counts[k] += np.int32(1) if usable else np.int32(0)
            found[k] |= here if usable else np.int32(0)


@inner_kernel
def _sum_near(
    samples: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    weights: np.ndarray,
    size: int,
    pivot: np.ndarray,
    cut: tuple[np.ndarray, np.ndarray],
    sums: np.ndarray,
) -> None:
    """Sums over the samples of each pixel within a limit of a centre, but for that of variances."""
    centre, limit = cut
    whole, first, square, second, stay = sums[_WEIGHT], sums[_FIRST], sums[_SQUARE], sums[_SECOND], sums[_STAY]
    sums[:, :size] = 0.0
    for i in range(weights.size):
        values, ones, weight = samples[0][i], samples[2][i], weights[i]
        for k in range(size):
            value = np.float64(values[k])
            one = np.float64(ones[k]) if abs(value - centre[k]) <= limit[k] else 0.0
            w, d = weight * one, value - pivot[k]
            whole[k] += w
            first[k] += w * d
            square[k] += w * w
            second[k] += w * d * d
            stay[k] += one


@inner_kernel
def _sum_both(
    samples: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    weights: np.ndarray,
    size: int,
    pivot: np.ndarray,
    cut: tuple[np.ndarray, np.ndarray],
    sums: np.ndarray,
) -> None:
    """Weights, values and variances summed over the samples of each pixel within a limit of a centre, and over all."""
    centre, limit = cut
    sums[:, :size] = 0.0
    for i in range(weights.size):
        values, variances, ones, weight = samples[0][i], samples[1][i], samples[2][i], weights[i]
        for k in range(size):
            value, var = np.float64(values[k]), np.float64(variances[k])
            w, d = weight * np.float64(ones[k]), value - pivot[k]
            inside = w if abs(value - centre[k]) <= limit[k] else 0.0
            sums[_WEIGHT, k] += inside
            sums[_FIRST, k] += inside * d
            sums[_INPUTS, k] += inside * inside * var
            sums[_ALL + _WEIGHT, k] += w
            sums[_ALL + _FIRST, k] += w * d
            sums[_ALL + _INPUTS, k] += w * w * var


@inner_kernel
def _find_cut(
    samples: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    weights: np.ndarray,
    size: int,
    counts: np.ndarray,
    clip: tuple[float, int],
    lines: tuple[np.ndarray, np.ndarray, np.ndarray],
    sums: np.ndarray,
) -> None:
    """The median of each pixel, and the centre and limit of those that stay: first by its quartiles, then by the mean
    and the scatter of those that stayed.
    """
    n_sigma, iterations = clip
    pivot, centre, limit = lines
    ordered = samples[3]
    for k in range(size):
        pivot[k], centre[k], limit[k] = 0.0, 0.0, np.inf
        if counts[k] > 0:
            pivot[k] = centre[k] = column_quantile(ordered, k, counts[k], 0.5)
            low, high = column_quantile(ordered, k, counts[k], 0.25), column_quantile(ordered, k, counts[k], 0.75)
            limit[k] = n_sigma * IQR_TO_SIGMA * (high - low)
    for _ in range(iterations - 1):
        _sum_near(samples, weights, size, pivot, (centre, limit), sums)
        for k in range(size):
            if sums[_STAY, k] < 1.0:
                continue
            weight = sums[_WEIGHT, k]
            mean = sums[_FIRST, k] / weight
            centre[k] = pivot[k] + mean
            if sums[_STAY, k] > 1.0:
                scatter = max(sums[_SECOND, k] / weight - mean * mean, 0.0)
                spread = scatter * weight * weight / (weight * weight - sums[_SQUARE, k])
                limit[k] = n_sigma * np.sqrt(spread)


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
    """The weighted mean of each pixel less its clipped mean, with the latter, in one pass.

    A sample is usable where it has a value, a finite variance and none of the bad bits.

    Parameters
    ----------
    image, variance, bits
        float32, float32, int32 ``[n, y, x]``.
    weights
        float64 ``[n]``: one positive weight a plane.
    bad
        Bits that make a sample unusable.
    clip
        Limit of clipping in standard deviations, and how often to clip: first about the median by the interquartile
        range, then about the weighted mean of those that stayed, always from all samples.  If none would stay, all do.
    no_data
        Bits for pixels without a usable sample.

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
    room = (n, _COLUMNS)
    samples = (
        np.empty(room, np.float32),
        np.empty(room, np.float32),
        np.empty(room, np.float32),
        np.empty(room, np.float32),
    )
    counts, found = np.empty(_COLUMNS, np.int32), np.empty(_COLUMNS, np.int32)
    pivot, centre, limit, sums = np.empty(_COLUMNS), np.empty(_COLUMNS), np.empty(_COLUMNS), np.empty((6, _COLUMNS))
    for r in range(ny):
        for first in range(0, nx, _COLUMNS):
            size = min(first + _COLUMNS, nx) - first
            _load(stack, bad, r, (first, first + size), samples, (counts, found))
            sort_columns(samples[3], size)
            _find_cut(samples, weights, size, counts, clip, (pivot, centre, limit), sums)
            _sum_both(samples, weights, size, pivot, (centre, limit), sums)
            for k in range(size):
                if counts[k] == 0:
                    continue
                own = 0 if sums[_WEIGHT, k] > 0.0 else _ALL
                whole, part = sums[_ALL + _WEIGHT, k], sums[own + _WEIGHT, k]
                clipped = sums[own + _FIRST, k] / part
                value[r, first + k] = sums[_ALL + _FIRST, k] / whole - clipped
                error[r, first + k] = sums[_ALL + _INPUTS, k] / (whole * whole) + sums[own + _INPUTS, k] / (part * part)
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
