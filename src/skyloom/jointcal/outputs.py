"""The tables of a joint fit: the WCS and the flux scale of each detector of a visit, and how they are read."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.io.fits import Header
from astropy.table import Row, Table
from lsst.images import Box, SkyProjection
from lsst.images.fields import ChebyshevField

from skyloom.images import PhotoCalib, projection_from_header

__all__ = [
    "PHOTO_CALIB_COLUMNS",
    "WCS_COLUMNS",
    "is_refused",
    "photo_calib_of",
    "projection_of",
    "row_box",
    "row_projection",
    "table_of",
]

type Columns = dict[str, tuple[type, str | None, str]]

_FRAME: Columns = {
    "detector": (np.int64, None, "detector id"),
    "x0": (np.int64, "pix", "first column of the box"),
    "y0": (np.int64, "pix", "first row of the box"),
    "x1": (np.int64, "pix", "column behind the last of the box"),
    "y1": (np.int64, "pix", "row behind the last of the box"),
    "n_stars": (np.int64, None, "measurements of the detector that the fit used"),
    "n_outliers": (np.int64, None, "measurements that it left out"),
    "refused": (np.bool_, None, "whether the fit does not describe the detector"),
    "reason": (str, None, "why it was refused"),
}
WCS_COLUMNS: Columns = _FRAME | {
    "wcs": (str, None, "FITS header of the WCS (TAN-SIP) of the box, its cards joined by line ends"),
    "wcs_residual": (np.float64, "pix", "largest distance of that header from the fitted map"),
    "scatter": (np.float64, "arcsec", "root mean square distance of the measurements from their stars, a coordinate"),
    "moved": (np.float64, "arcsec", "mean distance from the WCS that the fit began with"),
}
PHOTO_CALIB_COLUMNS: Columns = _FRAME | {
    "calibration_mean": (np.float64, "nJy / electron", "mean flux scale of the detector"),
    "calibration_err": (np.float64, "nJy / electron", "its error, common to all visits, as before the fit"),
    "chebyshev": (np.ndarray, None, "coefficients [y, x] of the scale over its mean, Chebyshev polynomials of the box"),
    "scatter": (np.float64, "mag", "root mean square difference of the measurements from their stars"),
    "moved": (np.float64, "mag", "zero point less that of the scale that the fit began with"),
}
"""Name of a column: its type, unit and description."""


def table_of(rows: list[dict[str, Any]], columns: Columns) -> Table:
    """A table with units and descriptions, ordered by detector."""
    rows = sorted(rows, key=lambda row: int(row["detector"]))
    table = Table()
    for name, (kind, unit, description) in columns.items():
        values = [row[name] for row in rows]
        table[name] = np.array(values, dtype=np.float64 if kind is np.ndarray else kind)
        table[name].unit, table[name].description = unit, description
    return table


def is_refused(table: Table, detector: int) -> str:
    """Why a detector has no solution in a table: an empty string where it has one."""
    row = _row(table, detector)
    if row is None:
        return "the joint fit has no stars of it"
    return str(row["reason"]) or "refused" if row["refused"] else ""


def projection_of(table: Table, detector: int, pixel_frame: Any) -> SkyProjection[Any] | None:
    """The fitted WCS of a detector; None where there is none.

    Parameters
    ----------
    table
        With `WCS_COLUMNS`.
    detector
        Detector id.
    pixel_frame
        Frame of the detector's pixels, as in `lsst.images.SkyProjection`.
    """
    row = _row(table, detector)
    if row is None or row["refused"]:
        return None
    return row_projection(row, pixel_frame)


def row_box(row: Row) -> Box:
    """Box of a frame from its row in a table, also in a visit summary."""
    return Box.factory[int(row["y0"]) : int(row["y1"]), int(row["x0"]) : int(row["x1"])]


def row_projection(row: Row, pixel_frame: Any) -> SkyProjection[Any]:
    """WCS of a frame from its row in a table, also in a visit summary."""
    header = Header.fromstring(str(row["wcs"]), sep="\n")
    return projection_from_header(header, pixel_frame, x0=int(row["x0"]), y0=int(row["y0"]))


def photo_calib_of(table: Table, detector: int) -> PhotoCalib | None:
    """The fitted flux scale of a detector; None where there is none.

    Parameters
    ----------
    table
        With `PHOTO_CALIB_COLUMNS`.
    detector
        Detector id.
    """
    row = _row(table, detector)
    if row is None or row["refused"]:
        return None
    mean, error = float(row["calibration_mean"]), float(row["calibration_err"])
    coefficients = np.asarray(row["chebyshev"], np.float64)
    side = int(np.sqrt(coefficients.size))
    if side == 1:
        return PhotoCalib(mean, error)
    return PhotoCalib(mean, error, ChebyshevField(row_box(row), coefficients.reshape(side, side)))


def _row(table: Table, detector: int) -> Row | None:
    rows = np.flatnonzero(np.asarray(table["detector"]) == detector)
    return table[int(rows[0])] if len(rows) else None
