"""Weighted means down a stack of images, with or without clipping.

One pass along the rows gives every pixel its plain mean and tells which pixels cannot have an outlier; only the others
are looked at sample by sample.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["STRUCTURE_RADIUS", "combine_stack"]

MIN_CLIP = 3
"""With fewer samples nobody can tell which one is wrong."""
MIN_SCATTER = 5
"""From this number of samples on their own scatter counts beside their variances."""
IQR_TO_SIGMA = 0.741301109252802
"""Standard deviation of a Gaussian by its interquartile range."""
MEDIAN_NOISE = 1.2533141373155003
"""Standard error of a median by that of a mean: sqrt(pi / 2)."""
STRUCTURE_RADIUS = 2
"""Pixels in x and y over which the range of the median image is taken."""
NOISE_RANGE = 4.0
"""Range of the noise among the 25 pixels within that radius, in standard deviations."""


@inner_kernel
def _quantile(values: np.ndarray, count: int, fraction: float) -> float:
    """Quantile of the first ``count`` ascending values, linear between ranks."""
    rank = fraction * (count - 1)
    low = int(rank)
    high = min(low + 1, count - 1)
    return float(values[low] + (rank - low) * (values[high] - values[low]))


@inner_kernel
def _robust_pixel(
    stack: tuple[np.ndarray, np.ndarray, np.ndarray], bad: int, r: int, c: int, values: np.ndarray
) -> tuple[float, float, float]:
    """Median (NaN without usable samples), scatter (0 with fewer than 5), and noise of the median, of a pixel."""
    image, variance, bits = stack
    count = 0
    spread = 0.0
    for i in range(image.shape[0]):
        value, var = image[i, r, c], variance[i, r, c]
        if bits[i, r, c] & bad == 0 and np.isfinite(value) and np.isfinite(var):
            k = count
            while k > 0 and values[k - 1] > value:
                values[k] = values[k - 1]
                k -= 1
            values[k] = value
            count += 1
            spread += var
    if count == 0:
        return np.nan, 0.0, 0.0
    scatter = 0.0
    if count >= MIN_SCATTER:
        scatter = IQR_TO_SIGMA * (_quantile(values, count, 0.75) - _quantile(values, count, 0.25))
    return _quantile(values, count, 0.5), scatter, MEDIAN_NOISE * np.sqrt(spread) / count


@inner_kernel
def _local_range(
    stack: tuple[np.ndarray, np.ndarray, np.ndarray],
    bad: int,
    r: int,
    c: int,
    values: np.ndarray,
    medians: np.ndarray,
    known: np.ndarray,
) -> float:
    """Largest minus smallest median around a pixel; medians are computed once and kept in ``medians``."""
    smallest, largest = np.inf, -np.inf
    ny, nx = medians.shape
    for j in range(max(0, r - STRUCTURE_RADIUS), min(ny, r + STRUCTURE_RADIUS + 1)):
        for i in range(max(0, c - STRUCTURE_RADIUS), min(nx, c + STRUCTURE_RADIUS + 1)):
            if not known[j, i]:
                medians[j, i] = _robust_pixel(stack, bad, j, i, values)[0]
                known[j, i] = True
            if medians[j, i] < smallest:
                smallest = medians[j, i]
            if medians[j, i] > largest:
                largest = medians[j, i]
    return largest - smallest if largest >= smallest else 0.0


@inner_kernel
def _clip_pixel(
    samples: tuple[np.ndarray, np.ndarray, np.ndarray],
    kept: np.ndarray,
    count: int,
    start: tuple[float, float, float, float],
    n_sigma: float,
    iterations: int,
) -> int:
    """Mark which samples of a pixel stay, and count them; if none would, all do."""
    values, variances, weights = samples
    centre, scatter, noise, slack = start
    stay = count
    for _ in range(iterations):
        stay = 0
        total = weight = error = 0.0
        for k in range(count):
            sigma = np.sqrt(max(variances[k], scatter * scatter) + noise * noise)
            kept[k] = abs(values[k] - centre) <= n_sigma * sigma + slack
            if kept[k]:
                stay += 1
                total += weights[k] * values[k]
                weight += weights[k]
                error += weights[k] * weights[k] * variances[k]
        if stay == 0 or stay == count:
            break
        centre, noise = total / weight, np.sqrt(error) / weight
    if stay == 0:
        kept[:count] = True
        return count
    return stay


@inner_kernel
def _unmeasured_pixel(
    image: np.ndarray, bits: np.ndarray, weights: np.ndarray, row: int, column: int, no_data: int
) -> tuple[float, int]:
    """Weighted mean and bits of what samples hold a value though none is usable; NaN and ``no_data`` without any."""
    total = weight = 0.0
    found = 0
    for i in range(image.shape[0]):
        if np.isfinite(image[i, row, column]) and bits[i, row, column] & no_data == 0:
            total += weights[i] * image[i, row, column]
            weight += weights[i]
            found |= bits[i, row, column]
    if weight == 0.0:
        return np.nan, no_data
    return total / weight, found


@inner_kernel
def _bits_of_losses(
    stack: tuple[np.ndarray, np.ndarray, np.ndarray],
    weights: np.ndarray,
    bad: int,
    at: tuple[int, int],
    thresholds: np.ndarray,
    lost: np.ndarray,
) -> int:
    """Bits that unusable samples carry with more than their threshold of the weight."""
    image, variance, bits = stack
    r, c = at
    lost[:] = 0.0
    usable = 0.0
    for i in range(weights.size):
        here = bits[i, r, c]
        if here & bad == 0 and np.isfinite(image[i, r, c]) and np.isfinite(variance[i, r, c]):
            usable += weights[i]
            continue
        for b in range(lost.size):
            if here >> b & 1:
                lost[b] += weights[i]
    found = 0
    for b in range(lost.size):
        if lost[b] > thresholds[b] * (usable + lost[b]):
            found |= 1 << b
    return found


@inner_kernel
def _mean_row(
    stack: tuple[np.ndarray, np.ndarray, np.ndarray],
    weights: np.ndarray,
    bad: int,
    no_data: int,
    r: int,
    sums: np.ndarray,
    counts: np.ndarray,
    found: np.ndarray,
    odd: np.ndarray,
) -> None:
    """Sums over the usable samples of each pixel of a row.

    ``sums`` float64 ``[8, x]``: weight, weighted value, weighted variance, value, squared value, smallest and largest
    value, smallest variance; ``odd`` where a sample is unusable and not simply missing.
    """
    image, variance, bits = stack
    n, _, nx = image.shape
    sums[:] = 0.0
    sums[5], sums[6], sums[7] = np.inf, -np.inf, np.inf
    counts[:] = 0
    found[:] = 0
    odd[:] = False
    for i in range(n):
        w = weights[i]
        for c in range(nx):
            here, value, var = bits[i, r, c], np.float64(image[i, r, c]), np.float64(variance[i, r, c])
            if here & bad == 0 and np.isfinite(value) and np.isfinite(var):
                sums[0, c] += w
                sums[1, c] += w * value
                sums[2, c] += w * w * var
                sums[3, c] += value
                sums[4, c] += value * value
                sums[5, c] = min(sums[5, c], value)
                sums[6, c] = max(sums[6, c], value)
                sums[7, c] = min(sums[7, c], var)
                counts[c] += 1
                found[c] |= here
            elif here != no_data:
                odd[c] = True


@inner_kernel
def _cannot_clip(sums: np.ndarray, count: int, c: int, n_sigma: float) -> bool:
    """Whether no sample can lie far from the median: a median is within one standard deviation of the mean."""
    mean = sums[3, c] / count
    deviation = np.sqrt(max(sums[4, c] / count - mean * mean, 0.0))
    farthest = max(sums[6, c] - mean, mean - sums[5, c])
    return bool(farthest + deviation <= n_sigma * np.sqrt(sums[7, c]))


@njit(cache=True, nogil=True)
def combine_stack(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    weights: np.ndarray,
    bad: int,
    flags: tuple[int, int, int, int, int],
    thresholds: np.ndarray,
    clip: tuple[float, int, float],
    rows: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weighted mean of each pixel's usable samples, with or without clipping.

    A sample is usable where it has a value and a finite variance and none of the ``bad`` bits.  With three samples or
    more, one is clipped that lies further from the centre than ``n_sigma * sigma + structure * range``.  The centre is
    the median, then the mean of what stayed; sigma^2 is the sample's variance (with five samples or more, that of their
    interquartile range where it is larger) plus that of the centre; the range is that of the medians within two pixels,
    less four times their noise.

    Parameters
    ----------
    image, variance, bits
        float32, float32, int32 ``[n, y, x]``.
    weights
        float64 ``[n]``: one weight a plane.
    bad
        Mask bits that exclude a sample.
    flags
        The bits NO_DATA, EDGE, REJECTED, CLIPPED, SENSOR_EDGE.
    thresholds
        float64 ``[bit]``, for every bit of the mask: it is also set where the unusable samples that have it carry
        more than this share of their own weight and that of the usable ones together.
    clip
        ``n_sigma``, how often to look (0 clips nothing), and ``structure``.
    rows
        First row to combine, and the one after the last; the results hold these rows only.

    Returns
    -------
    image, variance
        float32 ``[y, x]``: mean, and its variance by the inputs' variances.  Where no sample is usable: the mean of the
        values there are, with variance +inf; NaN without any.
    bits
        int32 ``[y, x]``: the bits of the samples used; REJECTED where a sample with a value was left out; SENSOR_EDGE
        where one was left out at the edge of a detector; CLIPPED; NO_DATA alone without any value.
    n_used
        int32 ``[y, x]``: number of samples in the mean.
    """
    stack = (image, variance, bits)
    n, ny, nx = image.shape
    lines = rows[1] - rows[0]
    n_sigma, iterations, _ = clip
    out, spread = np.empty((lines, nx), np.float32), np.empty((lines, nx), np.float32)
    mask, used = np.empty((lines, nx), np.int32), np.empty((lines, nx), np.int32)
    sums, counts = np.empty((8, nx)), np.empty(nx, np.int32)
    found, odd = np.empty(nx, np.int32), np.empty(nx, np.bool_)
    medians, known = np.empty((ny, nx), np.float32), np.zeros((ny, nx), np.bool_)
    work = np.empty((4, n))
    planes, kept, lost = np.empty(n, np.int32), np.empty(n, np.bool_), np.empty(thresholds.size)
    for line in range(lines):
        r = rows[0] + line
        _mean_row(stack, weights, bad, flags[0], r, sums, counts, found, odd)
        for c in range(nx):
            if counts[c] == 0 and not odd[c]:
                out[line, c], spread[line, c], mask[line, c], used[line, c] = np.nan, np.inf, flags[0], 0
                continue
            clipping = iterations > 0 and counts[c] >= MIN_CLIP and not _cannot_clip(sums, counts[c], c, n_sigma)
            if not odd[c] and not clipping:
                weight = sums[0, c]
                out[line, c], spread[line, c] = sums[1, c] / weight, sums[2, c] / (weight * weight)
                mask[line, c], used[line, c] = found[c], counts[c]
                continue
            out[line, c], spread[line, c], mask[line, c], used[line, c] = _careful_pixel(
                stack,
                weights,
                bad,
                flags,
                thresholds,
                clip if clipping else (n_sigma, 0, 0.0),
                (r, c),
                work,
                (planes, kept, lost),
                (medians, known),
            )
    return out, spread, mask, used


@inner_kernel
def _careful_pixel(
    stack: tuple[np.ndarray, np.ndarray, np.ndarray],
    weights: np.ndarray,
    bad: int,
    flags: tuple[int, int, int, int, int],
    thresholds: np.ndarray,
    clip: tuple[float, int, float],
    at: tuple[int, int],
    work: np.ndarray,
    buffers: tuple[np.ndarray, np.ndarray, np.ndarray],
    median_plane: tuple[np.ndarray, np.ndarray],
) -> tuple[float, float, int, int]:
    """One pixel, sample by sample."""
    image, variance, bits = stack
    r, c = at
    no_data, edge, rejected, clipped, sensor_edge = flags
    values, variances, shares, scratch = work[0], work[1], work[2], work[3]
    planes, kept, lost = buffers
    count = found = losses = 0
    for i in range(weights.size):
        here = bits[i, r, c]
        if here & bad == 0 and np.isfinite(image[i, r, c]) and np.isfinite(variance[i, r, c]):
            values[count], variances[count] = image[i, r, c], variance[i, r, c]
            shares[count], planes[count], kept[count] = weights[i], here, True
            count += 1
            continue
        losses |= here
        if here & edge:
            found |= sensor_edge
        if here & no_data == 0 or here & bad & ~(no_data | edge):
            found |= rejected
    if count == 0:
        value, held = _unmeasured_pixel(image, bits, weights, r, c, no_data)
        return value, np.inf, held if np.isnan(value) else held | found, 0
    stay = count
    n_sigma, iterations, structure = clip
    if iterations > 0:
        samples = (values, variances, shares)
        centre, scatter, noise = _robust_pixel(stack, bad, r, c, scratch)
        stay = _clip_pixel(samples, kept, count, (centre, scatter, noise, 0.0), n_sigma, iterations)
        if stay < count and structure > 0.0:
            extent = _local_range(stack, bad, r, c, scratch, median_plane[0], median_plane[1])
            slack = structure * max(extent - NOISE_RANGE * noise, 0.0)
            stay = _clip_pixel(samples, kept, count, (centre, scatter, noise, slack), n_sigma, iterations)
        if stay < count:
            found |= clipped
    total = weight = error = 0.0
    for k in range(count):
        if kept[k]:
            total += shares[k] * values[k]
            weight += shares[k]
            error += shares[k] * shares[k] * variances[k]
            found |= planes[k]
    if losses:
        found |= _bits_of_losses(stack, weights, bad, at, thresholds, lost)
    return total / weight, error / (weight * weight), found, stay
