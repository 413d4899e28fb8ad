"""Flags that the mask planes raise, in the footprint and at the centre of each source."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.components import or_boxes, or_spans

from .frame import Frame, Peaks

__all__ = ["set_pixel_flags"]

_ANYWHERE = {
    "flag_edge": "EDGE",
    "flag_saturated": "SAT",
    "flag_interpolated": "INTRP",
    "flag_bad": "BAD",
    "flag_no_data": "NO_DATA",
    "flag_cosmic_ray": "CR",
}
_CENTER = {"flag_saturated_center": "SAT", "flag_interpolated_center": "INTRP"}


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
    center = or_boxes(frame.bits, np.rint(x).astype(np.int64), np.rint(y).astype(np.int64), 1)
    table["footprint_area"] = area[peaks.footprint]
    for name, plane in _ANYWHERE.items():
        table[name] = (anywhere[peaks.footprint] & bitmask(plane)) != 0
    for name, plane in _CENTER.items():
        table[name] = (center & bitmask(plane)) != 0
    table["flag_edge"] |= _touches_border(frame, peaks)[peaks.footprint]


def _touches_border(frame: Frame, peaks: Peaks) -> np.ndarray:
    """Bool a footprint: it holds a pixel of the outermost rows or columns."""
    height, width = frame.image.shape
    touches = (peaks.span_y == 0) | (peaks.span_y == height - 1) | (peaks.span_x0 == 0) | (peaks.span_x1 == width)
    footprint = np.repeat(np.arange(peaks.span_start.size - 1), np.diff(peaks.span_start))
    result = np.zeros(peaks.span_start.size - 1, bool)
    result[footprint[touches]] = True
    return result
