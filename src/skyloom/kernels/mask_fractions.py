"""How much of a frame each mask plane covers."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["bit_counts"]


@njit(cache=True, nogil=True)
def bit_counts(bits: np.ndarray) -> np.ndarray:
    """Pixels of ``bits[y, x]`` (int32) that have each bit, ``[32]``, the lowest first."""
    counts = np.zeros(32, np.int64)
    for y in range(bits.shape[0]):
        for x in range(bits.shape[1]):
            value = bits[y, x]
            bit = 0
            while value != 0 and bit < 32:
                counts[bit] += value & 1
                value >>= 1
                bit += 1
    return counts
