"""Weighted mean of a stack of images that is never held: one image at a time is added to sums.

The results are those of `skyloom.kernels.stack_statistics` for a mean, to rounding.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .stack_statistics import FROM_INPUTS, FROM_SCATTER, MOSAIC

__all__ = ["add_to_mean", "finish_mean"]

_WEIGHT, _MEAN, _ERROR, _SQUARE = range(4)
"""Sums of a pixel: weight w; the mean so far; w^2 variance, w variance, or w (value - mean)^2; w^2."""


@njit(cache=True, nogil=True)
def add_to_mean(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    weight: float,
    measure: tuple[int, int],
    watched: np.ndarray,
    sums: np.ndarray,
    planes: np.ndarray,
    lost: np.ndarray,
) -> None:
    """Add an image to the sums, in place; a sample is usable as `stack_statistics` says.

    The mean and the scatter are updated as West (1979, CACM 22, 532) does, which loses no digits on a bright sky.

    Parameters
    ----------
    image, variance, bits
        float32, float32, int32 ``[y, x]``.
    weight
        Positive weight of the image.
    measure
        The bad bits, and where the variance of the mean comes from: ``FROM_INPUTS``, ``MOSAIC`` or ``FROM_SCATTER``.
    watched
        Numbers of the bits (int64) whose left-out weight is summed.
    sums
        float64 ``[4, y, x]``, or 3 unless ``FROM_SCATTER``; zeros to begin with.
    planes
        int32 ``[3, y, x]``: number of usable samples, their bits, and the bits of all; zeros to begin with.
    lost
        float64 ``[watched, y, x]``: weight of unusable samples with the bit; zeros to begin with.
    """
    bad, source = measure
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            here, value, var = bits[r, c], np.float64(image[r, c]), np.float64(variance[r, c])
            planes[2, r, c] |= here
            if here & bad != 0 or not (np.isfinite(value) and np.isfinite(var)):
                for k in range(watched.size):
                    if here >> watched[k] & 1:
                        lost[k, r, c] += weight
                continue
            planes[0, r, c] += 1
            planes[1, r, c] |= here
            sums[_WEIGHT, r, c] += weight
            offset = value - sums[_MEAN, r, c]
            sums[_MEAN, r, c] += weight / sums[_WEIGHT, r, c] * offset
            if source == FROM_INPUTS:
                sums[_ERROR, r, c] += weight * weight * var
            elif source == MOSAIC:
                sums[_ERROR, r, c] += weight * var
            else:
                sums[_ERROR, r, c] += weight * offset * (value - sums[_MEAN, r, c])
                sums[_SQUARE, r, c] += weight * weight


@njit(cache=True, nogil=True)
def finish_mean(
    n: int,
    source: int,
    watched: np.ndarray,
    thresholds: np.ndarray,
    no_data: int,
    mask_map: np.ndarray,
    sums: np.ndarray,
    planes: np.ndarray,
    lost: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean, its variance and its mask bits from the sums of ``n`` images.

    Parameters
    ----------
    n
        Number of images that were added.
    source, watched, sums, planes, lost
        As for `add_to_mean`.
    thresholds
        float64 ``[watched]``: the bit is also set where its lost weight is more than this share of all.
    no_data
        Bits for pixels without a usable sample.
    mask_map
        int32 ``[k, 2]``: where a sample is unusable and any sample has one of the first bits, the second are set.

    Returns
    -------
    image, variance
        float32 ``[y, x]``; NaN and +inf without a usable sample.
    bits
        int32 ``[y, x]``.
    """
    ny, nx = planes.shape[1:]
    value, error = np.full((ny, nx), np.nan, np.float32), np.full((ny, nx), np.inf, np.float32)
    mask = np.full((ny, nx), no_data, np.int32)
    for r in range(ny):
        for c in range(nx):
            count, weight = planes[0, r, c], sums[_WEIGHT, r, c]
            if count == 0:
                continue
            value[r, c] = sums[_MEAN, r, c]
            if source == FROM_INPUTS:
                error[r, c] = sums[_ERROR, r, c] / (weight * weight)
            elif source == MOSAIC:
                error[r, c] = sums[_ERROR, r, c] / weight
            elif source == FROM_SCATTER:
                square = sums[_SQUARE, r, c]
                scatter = sums[_ERROR, r, c] * weight / (weight * weight - square) if count > 1 else np.nan
                error[r, c] = scatter * square / (weight * weight)
            mask[r, c] = planes[1, r, c]
            if count == n:
                continue
            for m in range(mask_map.shape[0]):
                if planes[2, r, c] & mask_map[m, 0]:
                    mask[r, c] |= mask_map[m, 1]
            for k in range(watched.size):
                if lost[k, r, c] > thresholds[k] * (weight + lost[k, r, c]):
                    mask[r, c] |= 1 << watched[k]
    return value, error, mask
