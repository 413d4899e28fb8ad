"""Outlines on the sky for other programs: DS9 regions, and coverage maps (MOC) of HEALPix cells."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from lsst.sphgeom import ConvexPolygon, HealpixPixelization, RangeSet

from .polygons import positions_of

__all__ = ["coverage_cells", "ds9_polygons"]


def ds9_polygons(outlines: Iterable[tuple[str, ConvexPolygon]]) -> str:
    """A region file of DS9 with one labelled polygon a line, in degrees (ICRS)."""
    lines = ["# Region file format: DS9 version 4.1", "icrs"]
    for label, polygon in outlines:
        ra, dec = positions_of(np.array([(v.x(), v.y(), v.z()) for v in polygon.getVertices()]))
        numbers = ",".join(f"{angle:.7f}" for pair in zip(ra, dec, strict=True) for angle in pair)
        lines.append(f"polygon({numbers}) # text={{{label}}}")
    return "\n".join(lines) + "\n"


def coverage_cells(polygons: Iterable[ConvexPolygon], order: int) -> dict[int, list[int]]:
    """The cells of HEALPix that cover polygons: for each order the nested numbers, as in the JSON form of a MOC.

    Cells of the given order at the edges reach beyond the polygons; four cells that are all covered are one of the
    order before (IVOA Recommendation MOC 2.0, 2022).
    """
    pixelization, covered = HealpixPixelization(order), RangeSet()
    for polygon in polygons:
        covered |= pixelization.envelope(polygon)
    cells: dict[int, list[int]] = {level: [] for level in range(order + 1)}
    for begin, end in covered:
        while begin < end:
            level = order
            while level > 0 and begin % 4 ** (order - level + 1) == 0 and begin + 4 ** (order - level + 1) <= end:
                level -= 1
            cells[level].append(begin // 4 ** (order - level))
            begin += 4 ** (order - level)
    return {level: numbers for level, numbers in cells.items() if numbers}
