"""Separable convolution of images."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["convolve_separable", "filter_with_noise", "gaussian_kernel"]


def gaussian_kernel(sigma: float, width: int | None = None) -> np.ndarray:
    """Gaussian of unit sum sampled on an odd number of pixels, by default 7 sigma rounded to odd."""
    width = int(7.0 * sigma + 0.5) // 2 * 2 + 1 if width is None else width
    offset = np.arange(width) - width // 2
    kernel: np.ndarray = np.exp(-0.5 * (offset / sigma) ** 2)
    return kernel / math.fsum(kernel)


@inner_kernel
def _start(total: np.ndarray, row: np.ndarray, weight: float) -> None:
    """``weight`` times a row; on slices, so that the compiler sees no index that could be negative."""
    for x in range(total.size):
        total[x] = weight * row[x]


@inner_kernel
def _add_pair(total: np.ndarray, first: np.ndarray, second: np.ndarray, weight: float) -> None:
    """Add ``weight`` times the sum of two rows."""
    for x in range(total.size):
        total[x] += weight * (first[x] + second[x])


@inner_kernel
def _along_row(padded: np.ndarray, kernel: np.ndarray, out: np.ndarray) -> None:
    """Convolve a row that is padded by half a kernel at both ends."""
    width, half = out.size, kernel.size // 2
    _start(out, padded[half : half + width], kernel[half])
    for k in range(half):
        _add_pair(out, padded[k : k + width], padded[2 * half - k : 2 * half - k + width], kernel[k])


@inner_kernel
def _across_rows(ring: np.ndarray, first: int, kernel: np.ndarray, out: np.ndarray) -> None:
    """Convolve the rows of a ring of as many rows as the kernel has weights, of which ``first`` is the lowest."""
    size, half = kernel.size, kernel.size // 2
    _start(out, ring[(first + half) % size], kernel[half])
    for k in range(half):
        _add_pair(out, ring[(first + k) % size], ring[(first + size - 1 - k) % size], kernel[k])


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
    weights = kernel.astype(np.float32)
    out = np.empty((height, width), np.float32)
    ring = np.zeros((size, width), np.float32)  # the last `size` rows, convolved along x
    padded = np.zeros(width + 2 * half, np.float32)
    for y in range(height + half):
        if y < height:
            padded[half : half + width] = image[y]
            _along_row(padded, weights, ring[y % size])
        else:
            ring[y % size] = 0.0
        if y >= half:
            _across_rows(ring, (y + 1) % size, weights, out[y - half])
    return out


@inner_kernel
def _usable_row(
    image: np.ndarray, variance: np.ndarray, bits: np.ndarray, ignored: int, out: tuple[np.ndarray, ...]
) -> int:
    """Copy value, variance and a one of the usable pixels of a row, zeros of others; the number of usable ones."""
    number = 0
    value, noise, used = out
    for x in range(image.size):
        pixel, spread = image[x], variance[x]
        good = (bits[x] & ignored == 0) & (abs(pixel) < np.inf) & (spread >= 0.0) & (spread < np.inf)
        value[x] = pixel if good else np.float32(0.0)
        noise[x] = spread if good else np.float32(0.0)
        used[x] = np.float32(1.0) if good else np.float32(0.0)
        number += good
    return number


@njit(cache=True, nogil=True)
def filter_with_noise(
    image: np.ndarray, variance: np.ndarray, bits: np.ndarray, ignored: int, kernel: np.ndarray, min_coverage: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Convolve the usable pixels of an image, and their variance with the square of the kernel, in one pass.

    Parameters
    ----------
    image, variance, bits
        ``[y, x]``.
    ignored
        Pixels with one of these bits, and those without a finite value and variance, are not usable: they add nothing
        to either sum.
    kernel
        Odd number of weights, symmetric, of unit sum; its outer product with itself is meant.
    min_coverage
        Where a smaller share of the kernel lies on usable pixels, the noise is +inf.

    Returns
    -------
    value, noise
        ``[y, x]`` float32; the noise is the standard deviation of the value.
    usable
        Number of usable pixels.
    """
    height, width = image.shape
    size, half = kernel.size, kernel.size // 2
    weights, squares = kernel.astype(np.float32), (kernel * kernel).astype(np.float32)
    value, noise = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    rings = np.zeros((3, size, width), np.float32)
    padded = np.zeros((3, width + 2 * half), np.float32)
    share = np.empty(width, np.float32)
    whole = np.empty(width, np.float32)  # share of the kernel inside the image along x
    padded[2, half : half + width] = 1.0
    _along_row(padded[2], weights, whole)
    usable, broken = 0, 0  # rows of the ring from the last one that is not wholly usable
    for y in range(height + half):
        if y < height:
            row = (padded[0, half : half + width], padded[1, half : half + width], padded[2, half : half + width])
            number = _usable_row(image[y], variance[y], bits[y], ignored, row)
            usable += number
            _along_row(padded[0], weights, rings[0, y % size])
            _along_row(padded[1], squares, rings[1, y % size])
            if number == width:
                rings[2, y % size] = whole
                broken -= 1
            else:
                _along_row(padded[2], weights, rings[2, y % size])
                broken = size
        else:
            rings[:, y % size] = 0.0
            broken = size
        if y < half:
            continue
        _across_rows(rings[0], (y + 1) % size, weights, value[y - half])
        _across_rows(rings[1], (y + 1) % size, squares, noise[y - half])
        if broken > 0 or y < size - 1:
            _across_rows(rings[2], (y + 1) % size, weights, share)
        else:
            share[:] = whole
        own = noise[y - half]
        for x in range(width):
            own[x] = math.sqrt(own[x]) if share[x] >= min_coverage and own[x] > 0.0 else np.inf
    return value, noise, usable
