"""The level of saturation from the counts themselves: saturated pixels pile up just below it."""

from __future__ import annotations

import numpy as np

__all__ = ["pile_up_level"]

_BINS = 100


def pile_up_level(counts: np.ndarray, lowest: float, safety: float) -> int | None:
    """A level that saturated pixels are sure to reach, or None where no pixel is above ``lowest``.

    It is ``safety`` times the lower edge of the fullest of 100 equal bins between ``lowest`` and the largest count.

    Parameters
    ----------
    counts
        Raw counts in ADU, of any shape, overscan among them.
    lowest
        No well is full below this (ADU).
    safety
        Part of the level from which on pixels count as saturated.
    """
    largest = float(np.max(counts))
    if not largest > lowest:
        return None
    number, edges = np.histogram(counts[counts >= lowest], bins=_BINS, range=(lowest, largest + 1.0))
    return int(safety * edges[int(np.argmax(number))])
