"""Mask bits of the 3 x 3 pixels around positions."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["centre_bits"]


@njit(cache=True, nogil=True)
def centre_bits(bits: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bits that any, and those that all, of the 3 x 3 pixels around each pixel (x, y) have, inside the image.

    Parameters
    ----------
    bits
        ``[y, x]`` integers.
    x, y
        Middle pixels; around one off the image no pixel may be left, which has no bits.
    """
    some, every = np.zeros(x.size, np.int64), np.zeros(x.size, np.int64)
    for i in range(x.size):
        either, both, count = 0, -1, 0
        for iy in range(max(0, y[i] - 1), min(bits.shape[0], y[i] + 2)):
            for ix in range(max(0, x[i] - 1), min(bits.shape[1], x[i] + 2)):
                either |= bits[iy, ix]
                both &= bits[iy, ix]
                count += 1
        some[i], every[i] = either, both if count else 0
    return some, every
