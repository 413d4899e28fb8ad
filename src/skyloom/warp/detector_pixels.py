"""`detector_pixels`: which pixels of a tract a detector covers."""

from __future__ import annotations

from typing import Any

import numpy as np
from lsst.images import Box, SkyProjection

from skyloom.kernels.polygon import inside_polygon
from skyloom.psf import Region

from .mapping import map_positions, overlap_box

__all__ = ["detector_pixels"]

_POINTS_A_SIDE = 129
_ROWS_AT_ONCE = 128


def detector_pixels(
    source: SkyProjection[Any],
    destination: SkyProjection[Any],
    source_box: Box,
    destination_box: Box,
    valid: Region | None = None,
) -> tuple[Box, np.ndarray] | None:
    """The pixels of a destination box whose centres fall on a source box, and there on its valid part.

    Parameters
    ----------
    source, destination
        Sky projections of the two grids.
    source_box, destination_box
        Pixels of a detector; pixels that are asked about.
    valid
        Part of ``source_box``; None for all of it.

    Returns
    -------
    box
        The part of the destination box that can hold such pixels.
    covered
        Bool ``[y, x]`` over it.  None in place of both if there is no such part.
    """
    box = overlap_box(source, destination, source_box, destination_box, 1)
    if box is None:
        return None
    x, y = map_positions(destination, source, *_outline(source_box))
    known = np.isfinite(x) & np.isfinite(y)
    covered: np.ndarray = inside_polygon(x[known], y[known], (box.y.size, box.x.size), box.x.start, box.y.start)
    if valid is not None:
        for start in range(0, box.y.size, _ROWS_AT_ONCE):
            part = covered[start : start + _ROWS_AT_ONCE]
            rows, columns = np.nonzero(part)
            u, v = map_positions(source, destination, columns + float(box.x.start), rows + float(box.y.start + start))
            part[rows, columns] = valid.contains(x=u, y=v)
    return box, covered


def _outline(box: Box) -> tuple[np.ndarray, np.ndarray]:
    """Positions (x, y) around a box, along the outer edges of its pixels."""
    edge = np.linspace(0.0, 1.0, _POINTS_A_SIDE)[:-1]
    left, bottom = box.x.start - 0.5, box.y.start - 0.5
    right, top = box.x.stop - 0.5, box.y.stop - 0.5
    across, along = left + edge * (right - left), bottom + edge * (top - bottom)
    ones = np.ones_like(edge)
    x = np.concatenate([across, right * ones, across[::-1] + edge[1] * (right - left), left * ones])
    y = np.concatenate([bottom * ones, along, top * ones, along[::-1] + edge[1] * (top - bottom)])
    return x, y
