"""Robust statistics of pixel samples: clipped mean and scatter."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["clipped_mean", "truncation_factor"]

START_SAMPLE = 2048  # pixels that the starting median and quartiles are taken from: enough for 2 % in sigma


@njit(cache=True, nogil=True)
def truncation_factor(n_sigma: float) -> float:
    """Standard deviation of a unit Gaussian that is cut off at +-``n_sigma``."""
    density = math.exp(-0.5 * n_sigma * n_sigma) / math.sqrt(2.0 * math.pi)
    inside = math.erf(n_sigma / math.sqrt(2.0))
    return math.sqrt(max(1.0 - 2.0 * n_sigma * density / inside, 1e-6))


@inner_kernel
def _start(values: np.ndarray) -> tuple[float, float]:
    """Median and scatter from the quartiles of at most `START_SAMPLE` evenly strided values."""
    stride = max(1, values.size // START_SAMPLE)
    sample = np.sort(values[::stride])
    n = sample.size
    spread = 0.7413 * (sample[(3 * n) // 4] - sample[n // 4])
    if spread <= 0.0:  # integer data of little noise: most values are the same
        centre, square = np.mean(sample), 0.0
        for value in sample:
            square += (value - centre) ** 2
        spread = math.sqrt(square / n)
    return sample[n // 2], spread


@njit(cache=True, nogil=True)
def clipped_mean(values: np.ndarray, n_sigma: float = 3.0, max_iterations: int = 10) -> tuple[float, float, int]:
    """Mean, scatter and count of the values within ``n_sigma`` of the mean.

    The start is the median and the quartiles, so that stars in the sample do not widen the first cut; the scatter
    is corrected for what the cut takes from a Gaussian.

    Parameters
    ----------
    values
        Finite values, 1-d.
    n_sigma
        Half width of the accepted range, in units of the scatter.
    max_iterations
        Iterations end there, or when the count no longer changes.

    Returns
    -------
    mean, sigma, count
        NaN, NaN and 0 where there are no values.
    """
    if values.size == 0:
        return math.nan, math.nan, 0
    mean, sigma = _start(values)
    factor = truncation_factor(n_sigma)
    count = 0
    for _ in range(max_iterations):
        low, high, centre = mean - n_sigma * sigma, mean + n_sigma * sigma, mean
        kept, total, square = 0, 0.0, 0.0
        for value in values:
            if low <= value <= high:
                kept += 1
                total += value - centre
                square += (value - centre) ** 2
        if kept == 0:
            break
        shift = total / kept
        mean = centre + shift
        sigma = math.sqrt(max(square / kept - shift * shift, 0.0)) / factor
        if kept == count:
            break
        count = kept
    return mean, sigma, count
