"""The pixel arithmetic of the signature removal: one pass over image, variance and mask for each correction, in place.

All arrays are ``[y, x]``: float32 pixels and variances, int32 mask bits.  The variances of calibration frames count
where they are finite and positive.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = [
    "add_master",
    "count_electrons",
    "divide_by_response",
    "mark_levels",
    "take_off_levels",
]


@njit(cache=True, nogil=True)
def take_off_levels(counts: np.ndarray, rows: np.ndarray, columns: np.ndarray, image: np.ndarray) -> None:
    """Fill ``image`` with raw counts of any type less the level of their row and that of their column (float64)."""
    for y in range(counts.shape[0]):
        for x in range(counts.shape[1]):
            image[y, x] = counts[y, x] - rows[y] - columns[x]


@njit(cache=True, nogil=True)
def mark_levels(counts: np.ndarray, level: float, bits: np.ndarray, bit: int) -> int:
    """Set ``bit`` where the counts reach ``level``, and return at how many pixels."""
    marked = 0
    for y in range(counts.shape[0]):
        for x in range(counts.shape[1]):
            if counts[y, x] >= level:
                bits[y, x] |= bit
                marked += 1
    return marked


@njit(cache=True, nogil=True)
def add_master(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    pixels: np.ndarray,
    pixel_variance: np.ndarray,
    planes: np.ndarray,
    unusable: int,
    factor: float,
    bit: int,
) -> None:
    """Add ``factor`` times the finite ``pixels`` of a calibration frame to the image, and the variance that they bring.

    Where they are not finite, or the frame's mask ``planes`` have one of the ``unusable`` bits, ``bit`` is set.
    """
    square = factor * factor
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            finite = math.isfinite(pixels[y, x])
            if finite:
                image[y, x] += factor * pixels[y, x]
            if not finite or planes[y, x] & unusable != 0:
                bits[y, x] |= bit
            spread = pixel_variance[y, x]
            if math.isfinite(spread) and spread > 0.0:
                variance[y, x] += square * spread


@njit(cache=True, nogil=True)
def count_electrons(
    image: np.ndarray, variance: np.ndarray, gain: float, read_noise: float, bits: np.ndarray, bit: int
) -> int:
    """Turn counts into electrons, and add the variance of the electrons and of reading them out.

    A pixel of fewer electrons than none counts as empty.  Where the electrons would make the variance negative or zero
    the ``bit`` is set.

    Returns
    -------
    count
        How many pixels those are.
    """
    noise, square, negative = read_noise * read_noise, gain * gain, 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            electrons = gain * image[y, x]
            image[y, x] = electrons
            variance[y, x] = square * variance[y, x] + max(electrons, 0.0) + noise
            if electrons + noise <= 0.0:
                bits[y, x] |= bit
                negative += 1
    return negative


@njit(cache=True, nogil=True)
def divide_by_response(
    image: np.ndarray,
    variance: np.ndarray,
    response: np.ndarray,
    response_variance: np.ndarray,
    planes: np.ndarray,
    unusable: int,
    scale: float,
    minimum: float,
    bits: np.ndarray,
    bit: int,
) -> int:
    """Divide image and variance by ``scale`` times the response.

    The variance of the quotient is (V + (I / f)^2 V_f) / f^2.  Pixels whose scaled response is not a number, not
    positive or below ``minimum`` are left undivided and get ``bit``; those at which the mask ``planes`` of the response
    have one of the ``unusable`` bits get it, too.

    Returns
    -------
    count
        How many pixels were left undivided.
    """
    bad = 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if planes[y, x] & unusable != 0:
                bits[y, x] |= bit
            divisor = scale * response[y, x]
            if not (math.isfinite(divisor) and divisor > 0.0 and divisor >= minimum):
                bits[y, x] |= bit
                bad += 1
                continue
            quotient = image[y, x] / divisor
            image[y, x] = quotient
            spread = scale * scale * response_variance[y, x]
            total = np.float64(variance[y, x])
            if math.isfinite(spread) and spread > 0.0:
                total += quotient * quotient * spread
            variance[y, x] = total / (divisor * divisor)
    return bad
