"""Text headers of frames (``.head``), as SCAMP writes and SWarp reads them, from tables of WCSs and flux scales."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.io.fits import Header
from astropy.table import Row, Table
from lsst.images import Box, GeneralFrame

from skyloom.files import write_beside
from skyloom.images import WcsForm, fits_header
from skyloom.images.photo_calib import AB_ZERO_POINT_NJY
from skyloom.jointcal import photo_calib_of, row_box, row_projection

__all__ = ["HAS_HEAD_CARDS", "PixelUnit", "frame_head", "why_no_head", "write_head"]

type PixelUnit = Literal["electron", "nJy"]

HAS_HEAD_CARDS = ("wcs", "calibration_mean")
"""Columns of a table, one of which it needs to say anything in a header."""
_GRID = 16
"""Positions a side at which the flux scale of a detector is looked at."""


def why_no_head(tables: Mapping[str, Table], detector: int) -> str:
    """Why a detector gets no header from the tables of its visit, by their dataset types; empty where it gets one."""
    for name, table in tables.items():
        rows = table[np.asarray(table["detector"]) == detector]
        if not len(rows):
            return f"{name} has no row of it"
        if "refused" in table.colnames and rows[0]["refused"]:
            return f"{name} refuses it: {rows[0]['reason']}"
    return ""


def frame_head(tables: Mapping[str, Table], detector: int, wcs: WcsForm, pixels: PixelUnit) -> Header:
    """The cards that the tables of a visit hold for a detector.

    Parameters
    ----------
    tables
        By their dataset types, each with ``detector``, the box, and ``wcs`` or the columns of a flux scale or both.
    detector
        One that `why_no_head` says nothing of.
    wcs
        How a distortion is written.
    pixels
        What the image is in: the flux scale brings it to nJy.
    """
    header = Header()
    for table in tables.values():
        row = table[int(np.flatnonzero(np.asarray(table["detector"]) == detector)[0])]
        if "wcs" in table.colnames:
            header.update(_sky_cards(row, wcs))
        if "calibration_mean" in table.colnames:
            header.update(_flux_cards(table, row, pixels))
    return header


def write_head(header: Header, path: Path) -> Path:
    """Write cards of 80 columns, a line each, END behind them."""
    text = header.tostring(sep="\n", endcard=True, padding=False)
    return write_beside(path, lambda part: part.write_text(text + "\n", encoding="ascii"))


def _sky_cards(row: Row, form: WcsForm) -> Header:
    """The WCS of a frame, with its error: that of the table's header, and of the change of its form."""
    known = float(row["wcs_residual"])
    header, residual = Header.fromstring(str(row["wcs"]), sep="\n"), 0.0
    if form == "tpv":
        header, residual = fits_header(row_projection(row, GeneralFrame(unit=u.pix)), row_box(row), form)
    header["WCSRESID"] = (known + residual, "[pix] largest error of this WCS")
    return header


def _flux_cards(table: Table, row: Row, pixels: PixelUnit) -> Header:
    """The mean flux scale of a frame, and by how much it differs over the detector."""
    calib = photo_calib_of(table, int(row["detector"]))
    assert calib is not None
    # Pixels in nJy are on the scale of the frame alone: what is left is by how much the joint fit moved that.
    factor = calib.calibration_mean if pixels == "electron" else 10.0 ** (0.4 * float(row["moved"]))
    relative = calib.scale(*_positions(row_box(row))) / calib.calibration_mean
    header = Header()
    header["FLXSCALE"] = (factor, f"nJy of one {pixels} in a pixel")
    header["FLXVARY"] = (float(np.ptp(relative)), "its range over the image, relative")
    header["MAGZERO"] = (AB_ZERO_POINT_NJY - 2.5 * math.log10(factor), f"[mag] AB, of one {pixels} in a pixel")
    return header


def _positions(box: Box) -> tuple[Any, Any]:
    x, y = np.meshgrid(
        np.linspace(box.x.start - 0.5, box.x.stop - 0.5, _GRID), np.linspace(box.y.start - 0.5, box.y.stop - 0.5, _GRID)
    )
    return x.ravel(), y.ravel()
