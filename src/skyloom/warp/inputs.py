"""The table of a warp's inputs: a row a detector, with what it takes to trace each of its pixels back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy.table import Row, Table
from lsst.images import Box, Polygon

from skyloom.images import Exposure, fits_header

__all__ = ["INPUT_COLUMNS", "input_box", "input_polygon", "input_row", "inputs_table"]

INPUT_COLUMNS: dict[str, tuple[type, str | None, str]] = {
    "visit": (np.int64, None, "visit id"),
    "detector": (np.int32, None, "detector id"),
    "weight": (np.float64, None, "weight of the detector's pixels in the mean"),
    "n_pixels": (np.int64, "pix", "pixels of the warp that the detector fills"),
    "x0": (np.int32, "pix", "first column of the box on the detector that was warped"),
    "y0": (np.int32, "pix", "first row of that box"),
    "x1": (np.int32, "pix", "column behind the last of that box"),
    "y1": (np.int32, "pix", "row behind the last of that box"),
    "calibration_mean": (np.float64, "nJy / electron", "mean flux scale of the detector; NaN without one"),
    "calibration_err": (np.float64, "nJy / electron", "its standard error"),
    "wcs_residual": (np.float64, "pix", "largest distance of the header from the WCS that was used"),
    "wcs": (str, None, "FITS header of the WCS (TAN or TAN-SIP) of the box, its cards joined by line ends"),
    "polygon": (str, None, "vertices [[x, y], ...] on the detector of the part that was warped, as JSON"),
    "aperture_corrections": (str, None, "flux to what multiplies it at the middle of the box, as JSON"),
}
"""Name of a column: its type, unit and description."""


def input_row(visit: int, detector: int, n_pixels: int, exposure: Exposure, margin: int) -> dict[str, Any]:
    """One row of the table.

    Parameters
    ----------
    visit, detector
        Ids.
    n_pixels
        Pixels of the warp that the detector fills.
    exposure
        The frame, or the part of it, as it was warped.
    margin
        Pixels that the kernel loses at its border.
    """
    box = exposure.bbox.padded(-margin)
    header, residual = fits_header(exposure.projection, box) if exposure.projection is not None else ("", np.nan)
    calib = exposure.photo_calib
    middle_x, middle_y = 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)
    corrections = {
        name: float(field(x=np.array([middle_x]), y=np.array([middle_y]))[0])
        for name, field in exposure.aperture_corrections.items()
    }
    return {
        "visit": visit,
        "detector": detector,
        "weight": 1.0,
        "n_pixels": n_pixels,
        "x0": box.x.start,
        "y0": box.y.start,
        "x1": box.x.stop,
        "y1": box.y.stop,
        "calibration_mean": np.nan if calib is None else calib.calibration_mean,
        "calibration_err": np.nan if calib is None else calib.calibration_err,
        "wcs_residual": residual,
        "wcs": header if isinstance(header, str) else header.tostring(sep="\n", endcard=False, padding=False),
        "polygon": json.dumps(_vertices(box, exposure.valid_polygon)),
        "aperture_corrections": json.dumps(corrections),
    }


def inputs_table(rows: Iterable[dict[str, Any]]) -> Table:
    """The rows as a table with units and descriptions, in their order."""
    rows = list(rows)
    table = Table()
    for name, (kind, unit, description) in INPUT_COLUMNS.items():
        table[name] = np.array([row[name] for row in rows], dtype=kind)
        table[name].unit, table[name].description = unit, description
    return table


def input_box(row: Row) -> Box:
    """The pixels of the detector that were warped."""
    return Box.factory[int(row["y0"]) : int(row["y1"]), int(row["x0"]) : int(row["x1"])]


def input_polygon(row: Row) -> Polygon:
    """The part of the detector that was warped, on its pixels."""
    x, y = np.array(json.loads(str(row["polygon"])), float).T
    return Polygon(x_vertices=x, y_vertices=y)


def _vertices(box: Box, valid: Polygon | None) -> list[list[float]]:
    """Vertices [x, y] of a box, or of the part of it that a polygon holds."""
    outline = Polygon.from_box(box)
    if valid is not None:
        part = valid.intersection(outline)
        # A polygon that is not convex may fall into pieces: it is then kept whole.
        outline = part if isinstance(part, Polygon) else valid
    return [[float(x), float(y)] for x, y in zip(outline.x_vertices, outline.y_vertices, strict=True)]
