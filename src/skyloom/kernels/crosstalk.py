"""Crosstalk signals of amplifiers that are read together."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["crosstalk_signals"]


@njit(cache=True, nogil=True)
def crosstalk_signals(
    counts: np.ndarray, backgrounds: np.ndarray, linear: np.ndarray, quadratic: np.ndarray, orders: int
) -> np.ndarray:
    """What each target picks up, ``[target, y, x]`` float64.

    Parameters
    ----------
    counts
        Sources ``[source, y, x]``; those that are not finite disturb no target.
    backgrounds
        ``[source]``, taken off the sources.
    linear, quadratic
        Coefficients ``[source, target]`` of the source and of its square.
    orders
        How often the signal is found: from the second time on of the sources without the signal of the time before,
        sources and targets being the same amplifiers then.
    """
    sources, targets = linear.shape
    width = counts.shape[2]
    signals = np.zeros((targets, counts.shape[1], width))
    clean, light = np.empty((sources, width)), np.empty(width)
    for y in range(counts.shape[1]):
        for source in range(sources):
            for x in range(width):
                value = counts[source, y, x] - backgrounds[source]
                clean[source, x] = value if math.isfinite(value) else 0.0
        for _ in range(orders):
            last = signals[:, y].copy()
            signals[:, y] = 0.0
            for source in range(sources):
                for x in range(width):
                    light[x] = clean[source, x]
                if orders > 1:
                    for x in range(width):
                        light[x] -= last[source, x] if math.isfinite(counts[source, y, x]) else 0.0
                for target in range(targets):
                    first, second = linear[source, target], quadratic[source, target]
                    if first == 0.0 and second == 0.0:
                        continue
                    for x in range(width):
                        signals[target, y, x] += light[x] * (first + second * light[x])
    return signals
