"""Widths of sources beside that of the PSF at their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.catalog.columns import float_column
from skyloom.kernels.psf_stamps import stamp_sigmas
from skyloom.psf import psf_stamps

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images.psfs import PointSpreadFunction

__all__ = ["model_widths"]


def model_widths(table: Table, psf: PointSpreadFunction) -> tuple[np.ndarray, np.ndarray]:
    """Determinant radius of each source and of the PSF there, pixels; NaN where it cannot be had.

    The PSF's moments are those of the table, where they were measured.
    """
    width = _determinant_radius(table, "i")
    expected = np.full(len(table), np.nan)
    if "psf_ixx" in table.colnames:
        expected = _determinant_radius(table, "psf_i")
        if np.isfinite(expected).any():
            return width, expected
    x, y = float_column(table, "x"), float_column(table, "y")
    rows = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if rows.size:
        stamps, _, _ = psf_stamps(psf, x[rows], y[rows], centred=True)
        expected[rows] = stamp_sigmas(stamps)
    return width, expected


def _determinant_radius(table: Table, prefix: str) -> np.ndarray:
    """Fourth root of the determinant of the moments in the columns of a prefix; NaN where it is not positive."""
    xx, yy, xy = (float_column(table, f"{prefix}{name}") for name in ("xx", "yy", "xy"))
    determinant = xx * yy - xy**2
    return np.asarray(np.where(determinant > 0, np.abs(determinant) ** 0.25, np.nan))
