"""Separable convolution of images."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["convolve_separable", "gaussian_kernel"]


def gaussian_kernel(sigma: float, width: int | None = None) -> np.ndarray:
    """Gaussian of unit sum sampled on an odd number of pixels, by default 7 sigma rounded to odd."""
    width = int(7.0 * sigma + 0.5) // 2 * 2 + 1 if width is None else width
    offset = np.arange(width) - width // 2
    kernel: np.ndarray = np.exp(-0.5 * (offset / sigma) ** 2)
    return kernel / math.fsum(kernel)


@njit(cache=True, nogil=True)
def _convolve_row(row: np.ndarray, kernel: np.ndarray, out: np.ndarray) -> None:
    """Convolve one row along x, taking what lies beyond its ends as 0."""
    n, half = row.size, kernel.size // 2
    out[:] = 0.0
    for k in range(kernel.size):
        shift = k - half
        weight = kernel[k]
        for x in range(max(0, -shift), min(n, n - shift)):
            out[x] += weight * row[x + shift]


@njit(cache=True, nogil=True)
def convolve_separable(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve an image with the outer product of a symmetric kernel with itself; 0 beyond the edges.

    Parameters
    ----------
    image
        ``[y, x]``, finite everywhere.
    kernel
        Odd number of weights, symmetric.

    Returns
    -------
    numpy.ndarray
        ``[y, x]`` float32, of the shape of ``image``.
    """
    height, width = image.shape
    size, half = kernel.size, kernel.size // 2
    out = np.empty((height, width), np.float32)
    ring = np.zeros((size, width))  # the last `size` rows, convolved along x
    total = np.empty(width)
    for y in range(height + half):
        if y < height:
            _convolve_row(image[y], kernel, ring[y % size])
        else:
            ring[y % size, :] = 0.0
        target = y - half
        if target < 0:
            continue
        total[:] = 0.0
        for k in range(size):
            row = ring[(target - half + k) % size]
            weight = kernel[k]
            for x in range(width):
                total[x] += weight * row[x]
        for x in range(width):
            out[target, x] = total[x]
    return out
