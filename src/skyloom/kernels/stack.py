"""Statistics down a stack of images: robust centre and scatter, clipped and plain weighted means."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["combine_stack", "local_range", "robust_stack"]

MIN_CLIP = 3
"""With fewer samples nobody can tell which one is wrong."""
MIN_SCATTER = 5
"""From this number of samples on their own scatter counts beside their variances."""
IQR_TO_SIGMA = 0.741301109252802
"""Standard deviation of a Gaussian by its interquartile range."""
MEDIAN_NOISE = 1.2533141373155003
"""Standard error of a median by that of a mean: sqrt(pi / 2)."""


@njit(cache=True, nogil=True)
def _insert(values: np.ndarray, count: int, value: float) -> None:
    """Put a value in its place among the first ``count``, which ascend."""
    k = count
    while k > 0 and values[k - 1] > value:
        values[k] = values[k - 1]
        k -= 1
    values[k] = value


@njit(cache=True, nogil=True)
def _quantile(values: np.ndarray, count: int, fraction: float) -> float:
    """Quantile of the first ``count`` ascending values, linear between ranks."""
    rank = fraction * (count - 1)
    low = int(rank)
    high = min(low + 1, count - 1)
    return float(values[low] + (rank - low) * (values[high] - values[low]))


@njit(cache=True, nogil=True)
def robust_stack(
    image: np.ndarray, variance: np.ndarray, bits: np.ndarray, bad: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median, scatter, and noise of the median, of the usable samples of each pixel.

    Parameters
    ----------
    image, variance
        float32 ``[n, y, x]``; a sample counts where both are finite.
    bits
        int32 ``[n, y, x]``; a sample with any of the ``bad`` bits does not count.
    bad
        Mask bits.

    Returns
    -------
    median, scatter, noise
        float32 ``[y, x]``: median (NaN without samples); standard deviation by the interquartile range (0 with fewer
        than 5 samples); standard error of the median by the variances.
    """
    n, ny, nx = image.shape
    median = np.empty((ny, nx), np.float32)
    scatter = np.zeros((ny, nx), np.float32)
    noise = np.zeros((ny, nx), np.float32)
    values = np.empty(n)
    for r in range(ny):
        for c in range(nx):
            count = 0
            spread = 0.0
            for i in range(n):
                value, var = image[i, r, c], variance[i, r, c]
                if bits[i, r, c] & bad == 0 and np.isfinite(value) and np.isfinite(var):
                    _insert(values, count, value)
                    count += 1
                    spread += var
            if count == 0:
                median[r, c] = np.nan
                continue
            median[r, c] = _quantile(values, count, 0.5)
            noise[r, c] = MEDIAN_NOISE * np.sqrt(spread) / count
            if count >= MIN_SCATTER:
                scatter[r, c] = IQR_TO_SIGMA * (_quantile(values, count, 0.75) - _quantile(values, count, 0.25))
    return median, scatter, noise


@njit(cache=True, nogil=True)
def local_range(image: np.ndarray, radius: int) -> np.ndarray:
    """Largest minus smallest value within ``radius`` pixels in x and y, float32 ``[y, x]``; NaN pixels do not count.

    0 where there is no value at all.
    """
    ny, nx = image.shape
    low, high = np.empty((ny, nx), np.float32), np.empty((ny, nx), np.float32)
    for r in range(ny):
        for c in range(nx):
            smallest, largest = np.inf, -np.inf
            for k in range(max(0, c - radius), min(nx, c + radius + 1)):
                if image[r, k] < smallest:
                    smallest = image[r, k]
                if image[r, k] > largest:
                    largest = image[r, k]
            low[r, c], high[r, c] = smallest, largest
    out = np.empty((ny, nx), np.float32)
    for r in range(ny):
        for c in range(nx):
            smallest, largest = np.inf, -np.inf
            for k in range(max(0, r - radius), min(ny, r + radius + 1)):
                smallest, largest = min(smallest, low[k, c]), max(largest, high[k, c])
            out[r, c] = largest - smallest if largest >= smallest else 0.0
    return out


@njit(cache=True, nogil=True)
def _clip_pixel(
    values: np.ndarray,
    variances: np.ndarray,
    weights: np.ndarray,
    kept: np.ndarray,
    count: int,
    start: tuple[float, float, float, float],
    n_sigma: float,
    iterations: int,
) -> int:
    """Mark which samples of a pixel stay, and count them; if none would, all do."""
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def combine_stack(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    weights: np.ndarray,
    bad: int,
    flags: tuple[int, int, int, int, int],
    thresholds: np.ndarray,
    clip: tuple[float, int],
    start: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    rows: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weighted mean of each pixel's usable samples, with or without clipping.

    A sample is usable where it has a value and a finite variance and none of the ``bad`` bits.

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
        How many sigma a sample may lie from the centre, and how often to look; 0 iterations clip nothing.
    start
        First centre, scatter, noise of the centre, and the slack beyond ``n_sigma`` sigma, float32 ``[y, x]`` each;
        not read where nothing is clipped.
    rows
        First row to combine, and the one after the last; the results hold these rows only.

    Returns
    -------
    image, variance
        float32 ``[y, x]``: mean, and its variance by the inputs' variances.  Where no sample is usable: the mean of the
        values there are, with variance +inf; NaN without any.
    bits
        int32 ``[y, x]``: the bits of the samples used; REJECTED where a sample with a value was left out; SENSOR_EDGE
        where one was left out at the edge of a detector; CLIPPED; NO_DATA without any value.
    n_used
        int32 ``[y, x]``: number of samples in the mean.
    """
    n, _, nx = image.shape
    ny = rows[1] - rows[0]
    no_data, edge, rejected, clipped, sensor_edge = flags
    n_sigma, iterations = clip
    out, spread = np.empty((ny, nx), np.float32), np.empty((ny, nx), np.float32)
    mask, used = np.empty((ny, nx), np.int32), np.empty((ny, nx), np.int32)
    values, variances, shares = np.empty(n), np.empty(n), np.empty(n)
    planes, kept = np.empty(n, np.int32), np.empty(n, np.bool_)
    lost = np.zeros(thresholds.size)
    for line in range(ny):
        r = rows[0] + line
        for c in range(nx):
            count = found = losses = 0
            for i in range(n):
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
                out[line, c], spread[line, c], mask[line, c], used[line, c] = value, np.inf, held | found, 0
                continue
            stay = count
            if iterations > 0 and count >= MIN_CLIP:
                first = (float(start[0][r, c]), float(start[1][r, c]), float(start[2][r, c]), float(start[3][r, c]))
                stay = _clip_pixel(values, variances, shares, kept, count, first, n_sigma, iterations)
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
                found |= _bits_of_losses(bits, weights, variance, image, bad, (r, c), thresholds, lost)
            out[line, c], spread[line, c] = total / weight, error / (weight * weight)
            mask[line, c], used[line, c] = found, stay
    return out, spread, mask, used


@njit(cache=True, nogil=True)
def _bits_of_losses(
    bits: np.ndarray,
    weights: np.ndarray,
    variance: np.ndarray,
    image: np.ndarray,
    bad: int,
    at: tuple[int, int],
    thresholds: np.ndarray,
    lost: np.ndarray,
) -> int:
    """Bits that that unusable samples carry with more than their threshold of the weight."""
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
