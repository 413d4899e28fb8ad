"""Reference stars from files, and matches of catalogues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from skyloom.catalog import match_sky, propagate, select_circle
from skyloom.repo.refcat import RefcatImport, read_refcat

__all__ = ["match", "read_references", "stars_around"]


def read_references(*files: str | Path, system: str = "AB", **columns: Any) -> Table:
    """Read reference stars from CSV, FITS or Parquet files.

    Parameters
    ----------
    *files
        With the same columns.
    system
        Magnitude system: "AB" or "Vega".
    **columns
        Fields of `skyloom.repo.refcat.RefcatImport`, where the columns are not to be guessed from their names:
        ``stated={"ra": "RAJ2000"}``, ``magnitudes={"g": "gmag"}``, ``epoch_year=2016.0``.

    Returns
    -------
    astropy.table.Table
        ``id``, ``ra``, ``dec`` (degree, ICRS, at ``epoch``), ``flux_<filter>`` in nJy and what else the files tell.

    Raises
    ------
    skyloom.errors.RefcatError
        If a file cannot be understood, or holds no usable row.
    """
    return read_refcat([Path(file) for file in files], RefcatImport(name="references", system=system, **columns))


def match(one: Table, other: Table, radius_arcsec: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match two catalogues on the sky by their columns ``ra`` and ``dec``, degree.

    Returns
    -------
    rows, other_rows, distance
        Rows of both, each the other's nearest, and their distances in arcsec.
    """
    return match_sky(one["ra"], one["dec"], other["ra"], other["dec"], radius_arcsec)


def stars_around(references: Table) -> Any:
    """What gives the references of a circle at an epoch, as the single-frame recipe asks for them."""

    def load(ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float | None) -> Table:
        near = select_circle(references, ra_deg, dec_deg, radius_deg)
        return near if epoch_year is None else propagate(near, epoch_year)

    return load
