"""Flags that the mask planes raise, in the footprint and at the centre of each source."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from skyloom.catalog.sources import PIXEL_FLAGS
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.centre_bits import centre_bits
from skyloom.kernels.components import or_spans

from .frame import Frame, Peaks

__all__ = ["set_pixel_flags"]


def set_pixel_flags(table: Table, frame: Frame, peaks: Peaks, x: np.ndarray, y: np.ndarray) -> None:
    """Fill the columns of mask flags and the area of the footprint.

    Parameters
    ----------
    table
        The source table, modified in place.
    frame, peaks
        The pixels and the footprints.
    x, y
        Centroids in array coordinates, px.
    """
    anywhere, area = or_spans(frame.bits, peaks.span_start, peaks.span_y, peaks.span_x0, peaks.span_x1)
    column, row = np.floor(x + 0.5).astype(np.int64), np.floor(y + 0.5).astype(np.int64)
    some, every = centre_bits(frame.bits, column, row)
    height, width = frame.shape
    outside = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    table["footprint_area"][:] = area[peaks.footprint]
    table["flag_off_image"][:] = outside
    for name, plane in PIXEL_FLAGS.items():
        bit = bitmask(plane)
        table[f"flag_{name}"][:] = (anywhere[peaks.footprint] & bit) != 0
        table[f"flag_{name}_center"][:] = (some & bit) != 0
        table[f"flag_{name}_center_all"][:] = (every & bit) != 0
    table["flag_edge"] |= _touches_border(frame, peaks)[peaks.footprint]
    for name in ("flag_edge", "flag_edge_center", "flag_edge_center_all"):
        table[name] |= outside


def _touches_border(frame: Frame, peaks: Peaks) -> np.ndarray:
    """Bool a footprint: it holds a pixel of the outermost rows or columns."""
    height, width = frame.shape
    touches = (peaks.span_y == 0) | (peaks.span_y == height - 1) | (peaks.span_x0 == 0) | (peaks.span_x1 == width)
    footprint = np.repeat(np.arange(peaks.span_start.size - 1), np.diff(peaks.span_start))
    result = np.zeros(peaks.span_start.size - 1, bool)
    result[footprint[touches]] = True
    return result
