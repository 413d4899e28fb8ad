"""Sorting of many short columns at once."""

from __future__ import annotations

import numpy as np

from .inner import inner_kernel

__all__ = ["column_quantile", "sort_columns"]


@inner_kernel
def sort_columns(ordered: np.ndarray, size: int) -> None:
    """Sort each of the first ``size`` columns of an array ``[n, x]`` upwards, in place.

    The exchanges are those of Batcher's merging network (1968, AFIPS 32, 307): they do not depend on the values, so
    that the machine makes one for several columns at a time.  There is no NaN among the values.
    """
    n = ordered.shape[0]
    p = 1
    while p < n:
        step = p
        while step >= 1:
            for start in range(step % p, n - step, 2 * step):
                for low in range(start, min(start + step, n - step)):
                    if low // (2 * p) == (low + step) // (2 * p):
                        _exchange(ordered[low], ordered[low + step], size)
            step //= 2
        p *= 2


@inner_kernel
def _exchange(one: np.ndarray, other: np.ndarray, size: int) -> None:
    for k in range(size):
        a, b = one[k], other[k]
        one[k] = min(a, b)
        other[k] = max(a, b)


@inner_kernel
def column_quantile(ordered: np.ndarray, k: int, count: int, fraction: float) -> float:
    """Quantile of the first ``count`` values of column ``k``, which are sorted; linear between ranks."""
    rank = fraction * (count - 1)
    low = int(rank)
    high = min(low + 1, count - 1)
    below, above = np.float64(ordered[low, k]), np.float64(ordered[high, k])
    return float(below + (rank - low) * (above - below))
