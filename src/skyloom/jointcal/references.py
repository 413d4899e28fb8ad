"""The reference stars of a joint fit, and which of its stars they are."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from skyloom.catalog.columns import float_column
from skyloom.catalog.htm import unit_vectors
from skyloom.catalog.matching import match_sky
from skyloom.catalog.proper_motion import propagate

from .associate import Stars, as_bright
from .directions import local_axes, project

__all__ = ["MatchedReferences", "match_references"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int32]

_LOG = logging.getLogger(__name__)
_ENOUGH = 10
"""References from which on their scatter tells their error."""
_LEAST_ERROR = 1e-3
"""Arcsec: however well they agree."""
_LARGE_ERROR = 0.1
"""Arcsec: where nothing tells it."""


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
    """The references that are the nearest of a star, and it theirs, within a radius, and about as bright.

    Parameters
    ----------
    stars
        The stars of the fit.
    table
        A reference table; its stars are moved from the epoch of their rows to that of the fit.
    radius_arcsec
        Largest distance.
    flux
        Name of the filter whose fluxes are read; None reads none.
    position_error_mas
        Error of both coordinates instead of the catalogue's.
    unknown_error_mas
        That of positions whose error the catalogue does not tell; None takes it from how the references scatter about
        the stars.
    """
    if np.isfinite(stars.epoch_year):
        table = propagate(table, stars.epoch_year)
    first, second, _ = match_sky(stars.ra, stars.dec, table["ra"], table["dec"], radius_arcsec)
    same = as_bright(stars.flux[first], _column(table, f"flux_{flux}")[second], np.zeros(len(first), np.int32))
    star, row = first[same].astype(np.int32), second[same].astype(np.int32)
    fluxes = [_column(table, f"flux_{flux}{suffix}")[row] for suffix in ("", "_err")]
    motion = np.stack([_column(table, name)[row] for name in ("pm_ra", "pm_dec")], axis=1)
    ra, dec = float_column(table, "ra")[row], float_column(table, "dec")[row]
    errors = np.stack([_column(table, name)[row] for name in ("ra_err", "dec_err")], axis=1) / 1e3
    if position_error_mas is not None:
        errors[:] = position_error_mas / 1e3
    known = (np.isfinite(errors) & (errors > 0.0)).all(axis=1)
    if unknown_error_mas is not None:
        errors[~known] = unknown_error_mas / 1e3
    elif not known.all():
        errors[~known] = _scatter((stars.ra[star], stars.dec[star]), (ra, dec))
    return MatchedReferences(
        star=star,
        row=row,
        ra=ra,
        dec=dec,
        position_err=errors,
        proper_motion=np.nan_to_num(motion, nan=0.0) / 1e3,
        flux=fluxes[0],
        flux_err=fluxes[1],
    )


def _column(table: Table, name: str) -> Floats:
    return float_column(table, name) if name in table.colnames else np.full(len(table), np.nan)


def _scatter(stars: tuple[Floats, Floats], references: tuple[Floats, Floats]) -> float:
    """How references scatter about their stars, a coordinate, arcsec.

    Neighbours are compared, so that what the WCSs of the frames have wrong over longer distances drops out.  The noise
    of the stars is in it: errors that are too small would make outliers of good references, those that are somewhat too
    large do no harm.

    Parameters
    ----------
    stars, references
        Right ascension and declination, degree, ``[r]``, pairwise.
    """
    place = unit_vectors(*stars)
    if len(place) < _ENOUGH:
        _LOG.info("%d references are too few to tell their error", len(place))
        return _LARGE_ERROR
    axes = local_axes(place)
    offset, _ = project(unit_vectors(*references), axes, axes)
    _, nearest = cKDTree(place).query(place, k=2)
    scatter = 1.4826 * float(np.median(np.abs(offset - offset[nearest[:, 1]]))) / float(np.sqrt(2.0))
    return max(scatter, _LEAST_ERROR)
