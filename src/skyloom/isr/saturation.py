"""Mark pixels at which the well or the converter was full, in the counts of the raw image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from skyloom.kernels.mask_bits import marked_places, spread_bit
from skyloom.kernels.signature import mark_levels

if TYPE_CHECKING:
    import numpy as np

__all__ = ["grow", "mark_above"]


def mark_above(counts: np.ndarray, level: float, bits: np.ndarray, bit: int) -> int:
    """Set ``bit`` in ``bits`` where the raw counts reach ``level`` (ADU, overscan still in).

    Parameters
    ----------
    counts, bits
        Raw pixels and mask bits ``[y, x]`` of one amplifier; the bits change in place.
    level
        From here on; +inf, or not a number, marks nothing.
    bit
        The integer of the mask plane.

    Returns
    -------
    count
        Pixels marked.
    """
    return int(mark_levels(counts, level, bits, bit)) if level < math.inf else 0


def grow(bits: np.ndarray, bit: int, radius: int) -> None:
    """Extend a mask plane in place by ``radius`` pixels of city-block distance: charge spills into neighbours."""
    if radius > 0:
        spread_bit(bits, *marked_places(bits, bit), bit, radius)
