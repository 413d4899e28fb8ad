"""Samples of a coadd that cannot be used, and what they leave behind in its mask."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["forget_variances", "mark_left_out"]


@njit(cache=True, nogil=True)
def forget_variances(variance: np.ndarray) -> None:
    """Set variances ``[y, x]``, float32, that are not positive to +inf, in place: nothing was measured there."""
    for y in range(variance.shape[0]):
        row = variance[y]
        for x in range(row.size):
            row[x] = row[x] if row[x] > np.float32(0.0) else np.float32(np.inf)


@njit(cache=True, nogil=True)
def mark_left_out(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    bad: int,
    removed: int,
    flags: tuple[int, int, int],
) -> None:
    """Mark the samples of one image that cannot be used, and take planes off all, in place.

    A sample is usable where image and variance are finite and none of the bad bits is set that is not taken off.

    Parameters
    ----------
    image, variance, bits
        float32, float32, int32 ``[y, x]``.
    bad
        Bits that make a sample unusable.
    removed
        Bits to be taken off.
    flags
        The bits REJECTED, EDGE and SENSOR_EDGE: an unusable sample gets the first where it has no bad bit, and the last
        where it has the second.
    """
    rejected, edge, sensor_edge = flags
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            here = bits[y, x]
            known = math.isfinite(image[y, x]) and math.isfinite(variance[y, x])
            found = here
            if not known and here & bad == 0:
                found |= rejected
            if here & edge != 0 and (not known or here & bad & ~removed != 0):
                found |= sensor_edge
            bits[y, x] = found & ~removed
