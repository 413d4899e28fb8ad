"""Statistics of the samples of each pixel of a stack of images: means, clipped means, medians and their errors.

All loops run along a row with the samples outside: the machine treats several pixels at once.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .inner import inner_kernel
from .sorting_network import column_quantile, sort_columns

__all__ = ["stack_statistics"]

MEAN, MEANCLIP, MEDIAN, VARIANCE, VARIANCECLIP, MEANSQUARE, IQRANGE, MIN, MAX, SUM, NPOINT = range(11)
"""What a pixel of the result can be."""
FROM_INPUTS, MOSAIC, FROM_SCATTER = range(3)
"""Where the variance of a mean comes from: the inputs' variances, their weighted mean, or the samples' scatter."""
IQR_TO_SIGMA = 0.741301109252802
"""Standard deviation of a Gaussian by its interquartile range."""
_COLUMNS = 256
"""Pixels of a row that are treated at a time: their samples stay in the cache."""
_WEIGHT, _SQUARE, _FIRST, _SECOND, _INPUTS, _MOSAIC, _STAY = range(7)
"""Sums over the kept samples of a pixel: weight w, w^2, w d, w d^2, w^2 variance, w variance, 1; d from the pivot."""


@inner_kernel
def _load(
    stack: tuple[np.ndarray, np.ndarray, np.ndarray],
    weights: np.ndarray,
    weighting: tuple[bool, int],
    row: int,
    span: tuple[int, int],
    samples: tuple[np.ndarray, np.ndarray, np.ndarray],
    planes: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Read the samples of some pixels of a row; unusable ones get no weight.

    ``samples`` ``[n, x]``: values and variances, float32, and weights, float64.  ``planes`` int32 ``[x]``: number of
    usable samples, their bits, the bits of the others, and the bits of all.
    """
    image, variance, bits = stack
    values, variances, shares = samples
    counts, found, lost, whole = planes
    by_variance, bad = weighting
    first, last = span
    counts[:] = 0
    found[:] = 0
    lost[:] = 0
    whole[:] = 0
    for i in range(image.shape[0]):
        weight = weights[i]
        plane, errors, flags = image[i, row, first:last], variance[i, row, first:last], bits[i, row, first:last]
        row_values, row_variances, row_shares = values[i], variances[i], shares[i]
        for k in range(last - first):
            here = flags[k]
            value, var = np.float64(plane[k]), np.float64(errors[k])
            usable = (here & bad == 0) & (abs(value) < np.inf) & (abs(var) < np.inf) & ((var > 0.0) | (not by_variance))
            row_values[k] = plane[k] if usable else np.float32(0.0)
            row_variances[k] = errors[k] if usable else np.float32(0.0)
            share = 1.0 / (var if var > 0.0 else 1.0) if by_variance else weight
            row_shares[k] = share if usable else 0.0
            counts[k] += np.int32(1) if usable else np.int32(0)
            found[k] |= here if usable else np.int32(0)
            lost[k] |= np.int32(0) if usable else here
            whole[k] |= here


@inner_kernel
def _order(values: np.ndarray, shares: np.ndarray, size: int, ordered: np.ndarray) -> None:
    """Sort the usable samples of each pixel upwards; the others go to the end."""
    for i in range(values.shape[0]):
        for k in range(size):
            ordered[i, k] = values[i, k] if shares[i, k] > 0.0 else np.float32(np.inf)
    sort_columns(ordered, size)


@inner_kernel
def _sum(
    samples: tuple[np.ndarray, np.ndarray, np.ndarray],
    size: int,
    pivot: np.ndarray,
    cut: tuple[np.ndarray, np.ndarray],
    sums: np.ndarray,
) -> None:
    """Sums over the samples of each pixel within a limit of a centre; see ``_WEIGHT`` and its fellows."""
    values, variances, shares = samples
    centre, limit = cut
    sums[:] = 0.0
    for i in range(values.shape[0]):
        for k in range(size):
            value, var = np.float64(values[i, k]), np.float64(variances[i, k])
            w = shares[i, k] if abs(value - centre[k]) <= limit[k] else 0.0
            d = value - pivot[k]
            sums[_WEIGHT, k] += w
            sums[_SQUARE, k] += w * w
            sums[_FIRST, k] += w * d
            sums[_SECOND, k] += w * d * d
            sums[_INPUTS, k] += w * w * var
            sums[_MOSAIC, k] += w * var
            sums[_STAY, k] += 1.0 if w > 0.0 else 0.0


@inner_kernel
def _spread(sums: np.ndarray, k: int) -> float:
    """Variance of the kept samples of a pixel without bias; NaN for one."""
    weight = sums[_WEIGHT, k]
    if sums[_STAY, k] < 2.0:
        return np.nan
    first = sums[_FIRST, k] / weight
    scatter = max(sums[_SECOND, k] / weight - first * first, 0.0)
    return float(scatter * weight * weight / (weight * weight - sums[_SQUARE, k]))


@inner_kernel
def _clip(
    samples: tuple[np.ndarray, np.ndarray, np.ndarray],
    size: int,
    counts: np.ndarray,
    clip: tuple[float, int],
    buffers: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Find the centre and the limit within which the samples of each pixel stay, and sum these.

    A pass that would leave no sample is not made.
    """
    n_sigma, iterations = clip
    ordered, pivot, centre, limit, next_centre, next_limit, sums = buffers
    _order(samples[0], samples[2], size, ordered)
    for k in range(size):
        centre[k], limit[k], pivot[k] = 0.0, np.inf, 0.0
        next_centre[k], next_limit[k] = 0.0, np.inf
        if counts[k] > 0:
            pivot[k] = next_centre[k] = column_quantile(ordered, k, counts[k], 0.5)
            low, high = column_quantile(ordered, k, counts[k], 0.25), column_quantile(ordered, k, counts[k], 0.75)
            next_limit[k] = n_sigma * IQR_TO_SIGMA * (high - low)
    for turn in range(iterations):
        _sum(samples, size, pivot, (next_centre, next_limit), sums)
        for k in range(size):
            if sums[_STAY, k] == 0.0:
                next_centre[k], next_limit[k] = centre[k], limit[k]
                continue
            centre[k], limit[k] = next_centre[k], next_limit[k]
            if turn + 1 < iterations:
                next_centre[k] = pivot[k] + sums[_FIRST, k] / sums[_WEIGHT, k]
                if sums[_STAY, k] > 1.0:
                    next_limit[k] = n_sigma * np.sqrt(_spread(sums, k))
    _sum(samples, size, pivot, (centre, limit), sums)


@inner_kernel
def _keep_all(
    samples: tuple[np.ndarray, np.ndarray, np.ndarray],
    size: int,
    counts: np.ndarray,
    buffers: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Sum all samples of each pixel about their plain mean."""
    _, pivot, centre, limit, _, _, sums = buffers
    values = samples[0]
    pivot[:] = 0.0
    centre[:], limit[:] = 0.0, np.inf
    for i in range(values.shape[0]):
        for k in range(size):
            pivot[k] += values[i, k]
    for k in range(size):
        pivot[k] /= max(counts[k], 1)
    _sum(samples, size, pivot, (centre, limit), sums)


@inner_kernel
def _buffers(
    n: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Room for the ordered samples, the pivot, a centre and a limit, the next of both, and the sums of each pixel."""
    return (
        np.empty((n, _COLUMNS), np.float32),
        np.empty(_COLUMNS),
        np.empty(_COLUMNS),
        np.empty(_COLUMNS),
        np.empty(_COLUMNS),
        np.empty(_COLUMNS),
        np.empty((7, _COLUMNS)),
    )


@inner_kernel
def _planes() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Room for the number of usable samples of each pixel, their bits, those of the others, and those of all."""
    return (
        np.empty(_COLUMNS, np.int32),
        np.empty(_COLUMNS, np.int32),
        np.empty(_COLUMNS, np.int32),
        np.empty(_COLUMNS, np.int32),
    )


@inner_kernel
def _finish(
    measure: tuple[int, int], sums: np.ndarray, ordered: np.ndarray, pivot: float, k: int, count: int
) -> tuple[float, float]:
    """The statistic of a pixel and its variance; NaN where that is not known."""
    statistic, source = measure
    weight, stay = sums[_WEIGHT, k], sums[_STAY, k]
    mean, spread = pivot + sums[_FIRST, k] / weight, _spread(sums, k)
    if statistic <= MEANCLIP:
        if source == FROM_INPUTS:
            return mean, sums[_INPUTS, k] / (weight * weight)
        if source == MOSAIC:
            return mean, sums[_MOSAIC, k] / weight
        return mean, spread * sums[_SQUARE, k] / (weight * weight)
    if statistic == MEDIAN:
        return column_quantile(ordered, k, count, 0.5), 0.5 * np.pi * spread / count
    if statistic <= VARIANCECLIP:
        return spread, 2.0 * (stay - 1.0) * spread * spread / (stay * stay)
    if statistic == MEANSQUARE:
        square = (spread * (stay - 1.0) / stay if stay > 1.0 else 0.0) + mean * mean
        return square, 2.0 * square * square / stay
    if statistic == IQRANGE:
        return column_quantile(ordered, k, count, 0.75) - column_quantile(ordered, k, count, 0.25), np.nan
    return ordered[0 if statistic == MIN else count - 1, k], np.nan


@inner_kernel
def _lost_bits(
    stack: tuple[np.ndarray, np.ndarray, np.ndarray],
    weights: np.ndarray,
    weighting: tuple[bool, int],
    at: tuple[int, int],
    usable: float,
    thresholds: np.ndarray,
) -> int:
    """Bits that unusable samples carry with more than their threshold of the weight."""
    image, variance, bits = stack
    by_variance, bad = weighting
    r, c = at
    found = 0
    for b in range(thresholds.size):
        if thresholds[b] >= 1.0:
            continue
        lost = 0.0
        for i in range(weights.size):
            here, var = bits[i, r, c], np.float64(variance[i, r, c])
            known = np.isfinite(var) and (var > 0.0 or not by_variance)
            if here >> b & 1 and not (here & bad == 0 and np.isfinite(image[i, r, c]) and known):
                if not by_variance:
                    lost += weights[i]
                elif known:
                    lost += 1.0 / var
        if lost > thresholds[b] * (usable + lost):
            found |= 1 << b
    return found


@njit(cache=True, nogil=True)
def stack_statistics(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    weights: np.ndarray,
    weighting: tuple[bool, int],
    measure: tuple[int, int],
    clip: tuple[float, int],
    thresholds: np.ndarray,
    flags: tuple[int, int],
    mask_map: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A statistic of the usable samples of each pixel.

    A sample is usable where it has a value, a finite variance and none of the bad bits.

    Parameters
    ----------
    image, variance, bits
        float32, float32, int32 ``[n, y, x]``.
    weights
        float64 ``[n]``: one positive weight a plane.
    weighting
        Whether each sample weighs 1 / variance instead, and the bad bits.
    measure
        The statistic, and where the variance of a mean comes from, as numbered above; ``SUM`` and ``NPOINT`` weigh
        nothing.
    clip
        Limit of clipping in standard deviations, and how often to clip: first about the median by the interquartile
        range, then about the weighted mean of those that stayed, always from all samples.
    thresholds
        float64 ``[bit]``: a bit is also set where the unusable samples that have it carry more than this share of their
        own weight and that of the usable ones; never where it is 1.
    flags
        Bits for pixels without a usable sample, and for pixels with a clipped one.
    mask_map
        int32 ``[k, 2]``: where a sample is unusable and any sample has one of the first bits, the second are set.

    Returns
    -------
    image, variance
        float32 ``[y, x]``: statistic and its variance; NaN and +inf without a usable sample.
    bits
        int32 ``[y, x]``: the bits of the usable samples, clipped ones too, and those said above; without a usable
        sample the first of ``flags`` alone.
    n_used
        int32 ``[y, x]``: number of usable samples that were not clipped.
    """
    stack = (image, variance, bits)
    n, ny, nx = image.shape
    value, error = np.full((ny, nx), np.nan, np.float32), np.full((ny, nx), np.inf, np.float32)
    mask, used = np.full((ny, nx), flags[0], np.int32), np.zeros((ny, nx), np.int32)
    shape = (n, _COLUMNS)
    samples = (np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape))
    planes = _planes()
    counts, found, lost, whole = planes
    buffers = _buffers(n)
    ordered, pivot, sums = buffers[0], buffers[1], buffers[6]
    statistic = measure[0]
    clipped = statistic in (MEANCLIP, VARIANCECLIP)
    ranked = statistic in (MEDIAN, IQRANGE, MIN, MAX)
    for r in range(ny):
        for first in range(0, nx, _COLUMNS):
            size = min(first + _COLUMNS, nx) - first
            _load(stack, weights, weighting, r, (first, first + size), samples, planes)
            if clipped:
                _clip(samples, size, counts, clip, buffers)
            else:
                _keep_all(samples, size, counts, buffers)
                if ranked:
                    _order(samples[0], samples[2], size, ordered)
            for k in range(size):
                c, count = first + k, counts[k]
                if count == 0:
                    continue
                if statistic >= SUM:
                    value[r, c], error[r, c] = (
                        np.float64(samples[0][:, k].astype(np.float64).sum()) if statistic == SUM else float(count),
                        np.nan,
                    )
                else:
                    value[r, c], error[r, c] = _finish(measure, sums, ordered, pivot[k], k, count)
                used[r, c] = int(sums[_STAY, k])
                mask[r, c] = found[k] | (flags[1] if used[r, c] < count else 0)
                if count < n:
                    for m in range(mask_map.shape[0]):
                        if whole[k] & mask_map[m, 0]:
                            mask[r, c] |= mask_map[m, 1]
                    if lost[k]:
                        usable = sums[_WEIGHT, k] if used[r, c] == count else samples[2][:, k].sum()
                        mask[r, c] |= _lost_bits(stack, weights, weighting, (r, c), usable, thresholds)
    return value, error, mask, used
