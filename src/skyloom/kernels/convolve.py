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
def _accumulate(total: np.ndarray, row: np.ndarray, weight: float) -> None:
    """Add ``weight`` times a row; on slices, so that the compiler sees no index that could be negative."""
    for x in range(total.size):
        total[x] += weight * row[x]


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
    padded = np.zeros(width + 2 * half)
    total = np.empty(width)
    for y in range(height + half):
        row = ring[y % size]
        row[:] = 0.0
        if y < height:
            padded[half : half + width] = image[y]
            for k in range(size):
                _accumulate(row, padded[k : k + width], kernel[k])
        if y < half:
            continue
        total[:] = 0.0
        for k in range(size):
            _accumulate(total, ring[(y + 1 + k) % size], kernel[k])
        out[y - half] = total
    return out
