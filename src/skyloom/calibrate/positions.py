"""The astrometric stage: from a first guess to the WCS, and the sky positions of all sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Column, Table

from skyloom.astrometry import AstrometricSolution, solve_astrometry, solve_blind
from skyloom.catalog.columns import flag_column, float_column
from skyloom.catalog.refcat import filter_flux, filter_names
from skyloom.errors import AstrometryError, FrameError, NoReferenceError
from skyloom.images.projection import pixel_to_radec
from skyloom.psffit import single_pixel_sources

from .references import ReferenceLoader, load_references

if TYPE_CHECKING:
    from .frame import CalibratedFrame
    from .settings import CalibrateSettings

__all__ = ["fit_astrometry", "reference_filter"]

_STARS_BELOW = 0.5
"""Extendedness of what looks like a star; knots of nebulae and pieces of trails have 1."""


def fit_astrometry(frame: CalibratedFrame, loader: ReferenceLoader, settings: CalibrateSettings) -> None:
    """Solve for the WCS, attach it, and give every source its sky position."""
    exposure, table = frame.exposure, frame.sources
    assert table is not None
    rows = np.flatnonzero(_usable(table, settings))
    try:
        reference = load_references(frame, loader, settings.astrometry.search_margin_deg)
        solution = _solve(frame, rows, reference, settings)
    except (AstrometryError, NoReferenceError) as error:
        if not settings.blind_fallback or exposure.projection is None:
            raise
        reference, solution = _solve_farther_away(frame, rows, loader, settings, error)
    frame.astrometry = solution
    exposure.projection = solution.projection
    table["ra"][:], table["dec"][:] = _sky(frame, table)
    if frame.psf_stars is not None:
        frame.psf_stars["ra"][:], frame.psf_stars["dec"][:] = _sky(frame, frame.psf_stars)
    used = np.zeros(len(table), dtype=bool)
    used[rows[np.asarray(solution.matches["detection"])[np.asarray(solution.matches["fitted"])]]] = True
    table["calib_astrometry_used"] = Column(used, description="Fitted by the astrometric solution.")
    frame.astrometry_matches = _matches(solution.matches, table, rows, reference)
    frame.metadata |= solution.metadata
    frame.metadata |= {
        "astrometry_rms_arcsec": solution.rms_arcsec,
        "n_astrometry_matches": solution.n_matches,
        "wcs": solution.header.tostring(sep="\n", endcard=False, padding=False),
    }


def _solve(
    frame: CalibratedFrame, rows: np.ndarray, reference: Table, settings: CalibrateSettings, *, blind: bool = False
) -> AstrometricSolution:
    """The solution within the errors of the guess, or anywhere on the references."""
    exposure, table = frame.exposure, frame.sources
    assert table is not None
    assert exposure.projection is not None
    x, y, flux = (float_column(table, name)[rows] for name in ("x", "y", "psf_flux"))
    known = _with_flux(reference, settings.astrometry_filter or reference_filter(frame, settings))
    common: dict[str, Any] = {
        "box": exposure.bbox,
        "frame": None if exposure.detector is None else exposure.detector.frame,
        "settings": settings.astrometry,
        "position_err": np.hypot(float_column(table, "x_err"), float_column(table, "y_err"))[rows] / np.sqrt(2.0),
        "point_like": _point_like(table, rows),
    }
    if blind:
        return solve_blind(x, y, flux, known, exposure.projection, blind=settings.blind, **common)
    return solve_astrometry(x, y, flux, known, exposure.projection, **common)


def _solve_farther_away(
    frame: CalibratedFrame, rows: np.ndarray, loader: ReferenceLoader, settings: CalibrateSettings, first: FrameError
) -> tuple[Table, AstrometricSolution]:
    """References of a wide circle and the solution among them; where there is none, what failed at first counts."""
    try:
        reference = load_references(frame, loader, settings.blind.pointing_error_deg)
        solution = _solve(frame, rows, reference, settings, blind=True)
    except FrameError as error:
        raise first from error
    frame.metadata["astrometry_blind"] = True
    return reference, solution


def reference_filter(frame: CalibratedFrame, settings: CalibrateSettings) -> str | None:
    """Name of the photometric reference filter of a frame."""
    return settings.reference_filter or frame.exposure.band


def _usable(table: Table, settings: CalibrateSettings) -> np.ndarray:
    """Sources whose centroids can be trusted, ``bool[n]``.  Saturated stars stay in: the catalogue has them too."""
    with np.errstate(invalid="ignore", divide="ignore"):
        bright = float_column(table, "psf_flux") > settings.astrometry_signal_to_noise_min * float_column(
            table, "psf_flux_err"
        )
    placed = np.isfinite(float_column(table, "x_err")) & ~flag_column(table, "flag_centroid")
    return np.asarray(bright & placed & ~flag_column(table, "flag_psf_flux") & ~single_pixel_sources(table))


def _point_like(table: Table, rows: np.ndarray) -> np.ndarray | None:
    """Which rows look like stars; None where sizes were not measured."""
    if "extendedness" not in table.colnames:
        return None
    return np.asarray(float_column(table, "extendedness")[rows] < _STARS_BELOW)


def _with_flux(reference: Table, name: str | None) -> Table:
    """The columns that the solver reads, with the flux of a filter, or of the first where that is not there."""
    known = filter_names(reference)
    chosen = name if name in known else None
    flux = filter_flux(reference, chosen) if known else np.full(len(reference), np.nan)
    return Table({"ra": float_column(reference, "ra"), "dec": float_column(reference, "dec"), "flux": flux})


def _sky(frame: CalibratedFrame, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Right ascension and declination of the sources, degrees."""
    assert frame.exposure.projection is not None
    return pixel_to_radec(frame.exposure.projection, float_column(table, "x"), float_column(table, "y"))


def _matches(matches: Table, table: Table, rows: np.ndarray, reference: Table) -> Table:
    """The matches of the solution with the identifiers of source and reference star in place of row numbers."""
    named = matches.copy()
    named["source_id"] = np.asarray(table["source_id"])[rows[np.asarray(matches["detection"])]]
    named["reference_id"] = np.asarray(reference["id"])[np.asarray(matches["reference"])]
    named.remove_columns(["detection", "reference"])
    return named
