"""Defects as boxes: from a map of pixels to a short table."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.table import Table

__all__ = ["boxes_from_map", "map_from_boxes"]

_NAMES = ("x0", "y0", "width", "height")


def boxes_from_map(defective: np.ndarray) -> Table:
    """Cover the true pixels of a map ``[y, x]``, and no others, with boxes.

    Runs along a column that begin and end on the same rows in neighbouring columns share a box.

    Returns
    -------
    table
        ``x0``, ``y0``, ``width``, ``height`` (int32, pixels of the trimmed detector, the first being (0, 0)), sorted by
        ``x0`` and ``y0``.
    """
    padded = np.zeros((defective.shape[0] + 2, defective.shape[1]), dtype=np.int8)
    padded[1:-1] = defective
    steps = np.diff(padded, axis=0).T  # [x, y]: +1 where a run starts, -1 where it has ended
    x, first = np.nonzero(steps == 1)
    last = np.nonzero(steps == -1)[1]
    open_boxes: dict[tuple[int, int], tuple[int, int]] = {}
    rows = []
    for column, start, stop in zip(x.tolist(), first.tolist(), last.tolist(), strict=True):
        x0, x1 = open_boxes.get((start, stop), (column, column))
        if x1 != column:
            if x1 > x0:
                rows.append((x0, start, x1 - x0, stop - start))
            x0 = column
        open_boxes[start, stop] = (x0, column + 1)
    rows += [(x0, start, x1 - x0, stop - start) for (start, stop), (x0, x1) in open_boxes.items()]
    values = np.array(sorted(rows), dtype=np.int32).reshape(-1, 4)
    table = Table(values, names=_NAMES)
    for name in _NAMES:
        table[name].unit = u.pix
    return table


def map_from_boxes(boxes: Table, shape: tuple[int, int]) -> np.ndarray:
    """The bool map ``[y, x]`` that a table of boxes covers; boxes are clipped to the shape."""
    defective = np.zeros(shape, dtype=bool)
    for x0, y0, width, height in zip(*(np.asarray(boxes[name]) for name in _NAMES), strict=True):
        defective[max(y0, 0) : max(y0 + height, 0), max(x0, 0) : max(x0 + width, 0)] = True
    return defective
