"""The reference stars of a joint fit, and which of its stars they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from skyloom.catalog.columns import float_column
from skyloom.catalog.matching import match_sky
from skyloom.errors import JointFitError

from .associate import Stars

__all__ = ["MatchedReferences", "match_references"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchedReferences:
    """References that are stars of the fit, one a star."""

    star: Integers
    """Number of the star, ``[r]``."""
    row: Integers
    """Row of the catalogue."""
    ra: Floats
    """Degree, at the epoch of the fit."""
    dec: Floats
    position_err: Floats
    """Standard errors to the east and to the north, arcsec, ``[r, 2]``."""
    proper_motion: Floats
    """To the east and to the north, arcsec a year, ``[r, 2]``; 0 where it is not known."""
    flux: Floats
    """nJy; NaN where it is not known."""
    flux_err: Floats

    def __len__(self) -> int:
        return len(self.star)

    def select(self, rows: NDArray[np.bool_]) -> MatchedReferences:
        """Some of them."""
        return MatchedReferences(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})


def match_references(
    stars: Stars,
    table: Table,
    radius_arcsec: float,
    *,
    flux: str | None = None,
    position_error_mas: float | None = None,
    unknown_error_mas: float | None = None,
) -> MatchedReferences:
    """The references that are the nearest of a star, and it theirs, within a radius.

    Parameters
    ----------
    stars
        The stars of the fit.
    table
        A reference table, its positions at the epoch of the fit.
    radius_arcsec
        Largest distance.
    flux
        Name of the filter whose fluxes are read; None reads none.
    position_error_mas
        Error of both coordinates instead of the catalogue's.
    unknown_error_mas
        That of positions whose error the catalogue does not tell; None takes the median of the others.

    Raises
    ------
    JointFitError
        If neither catalogue nor caller has errors of the positions.
    """
    errors = _position_errors(table, position_error_mas, unknown_error_mas)
    first, second, _ = match_sky(stars.ra, stars.dec, table["ra"], table["dec"], radius_arcsec)
    star, row = first.astype(np.int32), second.astype(np.int32)
    fluxes = [_column(table, f"flux_{flux}{suffix}")[row] for suffix in ("", "_err")]
    motion = np.stack([_column(table, name)[row] for name in ("pm_ra", "pm_dec")], axis=1)
    return MatchedReferences(
        star=star,
        row=row,
        ra=float_column(table, "ra")[row],
        dec=float_column(table, "dec")[row],
        position_err=errors[row],
        proper_motion=np.nan_to_num(motion, nan=0.0) / 1e3,
        flux=fluxes[0],
        flux_err=fluxes[1],
    )


def _column(table: Table, name: str) -> Floats:
    return float_column(table, name) if name in table.colnames else np.full(len(table), np.nan)


def _position_errors(table: Table, override_mas: float | None, unknown_mas: float | None) -> Floats:
    """Errors of all rows, arcsec, ``[n, 2]``."""
    if override_mas is not None:
        return np.full((len(table), 2), override_mas / 1e3)
    errors = np.stack([_column(table, name) for name in ("ra_err", "dec_err")], axis=1) / 1e3
    known = np.isfinite(errors).all(axis=1) & (errors > 0.0).all(axis=1)
    if unknown_mas is None and len(table) and not known.any():
        raise JointFitError(
            "The reference catalogue does not contain errors of its positions.",
            cure="Set the error of the references in the configuration, in mas.",
            keyword="ra_err",
        )
    typical = np.median(errors[known], axis=0) if unknown_mas is None else np.full(2, unknown_mas / 1e3)
    return np.where(known[:, None], errors, typical)
