"""Mark pixels at which the well or the converter was full, in the counts of the raw image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["grow", "mark_above"]


def mark_above(counts: np.ndarray, level: float, bits: np.ndarray, bit: int) -> int:
    """Set ``bit`` in ``bits`` where the raw counts reach ``level`` (ADU, overscan still in).

    Parameters
    ----------
    counts, bits
        Raw pixels and mask bits ``[y, x]`` of one amplifier; the bits change in place.
    level
        From here on; +inf marks nothing.
    bit
        The integer of the mask plane.

    Returns
    -------
    count
        Pixels marked.
    """
    above = counts >= level
    bits[above] |= bit
    return int(np.count_nonzero(above))


def grow(bits: np.ndarray, bit: int, radius: int) -> None:
    """Extend a mask plane in place by ``radius`` pixels of city-block distance: charge spills into neighbours."""
    if radius <= 0:
        return
    marked = (bits & bit) != 0
    if marked.any():
        bits[ndimage.binary_dilation(marked, iterations=radius)] |= bit
