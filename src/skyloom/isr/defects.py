"""Mark the known defects of a detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["mark_defects"]


def mark_defects(bits: np.ndarray, defects: Table, bit: int) -> int:
    """Set ``bit`` in ``bits`` (``[y, x]``, in place) inside every box of a table of defects.

    Parameters
    ----------
    defects
        Columns ``x0``, ``y0``, ``width``, ``height`` (pixels of the trimmed detector); boxes are clipped to it.

    Returns
    -------
    count
        Pixels inside the boxes.
    """
    inside = np.zeros(bits.shape, dtype=bool)
    for x0, y0, width, height in zip(*(defects[name] for name in ("x0", "y0", "width", "height")), strict=True):
        inside[max(int(y0), 0) : max(int(y0 + height), 0), max(int(x0), 0) : max(int(x0 + width), 0)] = True
    bits[inside] |= bit
    return int(np.count_nonzero(inside))
