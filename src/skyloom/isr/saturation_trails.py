"""Widen the trails that the charge of saturated pixels leaves along the columns."""

from __future__ import annotations

import numpy as np

from skyloom.kernels.mask_bits import marked_places

__all__ = ["widen_trails"]

_GROWTH = np.array([0, 0, 0, 0, 0, 0, 1, 1, 3, 3, 4])
"""Pixels by which a run of so many masked pixels grows at either end; longer runs grow as the last."""


def widen_trails(bits: np.ndarray, bit: int) -> int:
    """Extend the wide runs of a mask plane along their rows: the brighter the star, the wider what spills over.

    Runs of up to 5 pixels stay as they are; those of 6 or 7 grow by one pixel at either end, of 8 or 9 by three, longer
    ones by four.

    Parameters
    ----------
    bits
        int32 mask bits ``[y, x]``, changed in place.
    bit
        The integer of the mask plane.

    Returns
    -------
    count
        Pixels that were not marked before.
    """
    rows = np.unique(marked_places(bits, bit)[0])
    marked = (bits[rows] & bit) != 0
    row, column = np.nonzero(np.diff(marked, axis=1, prepend=False, append=False))
    row, start, stop = row[::2], column[::2], column[1::2]
    growth = _GROWTH[np.minimum(stop - start, len(_GROWTH) - 1)]
    wider = marked.copy()
    for step in range(1, int(_GROWTH.max()) + 1):
        grows = growth >= step
        for end in (start - step, stop - 1 + step):
            inside = grows & (end >= 0) & (end < bits.shape[1])
            wider[row[inside], end[inside]] = True
    y, x = np.nonzero(wider & ~marked)
    bits[rows[y], x] |= bit
    return len(y)
