"""The photometric stage: zero point, calibrated fluxes, and pixels in nJy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import Column, Table
from lsst.images import BackgroundMap, Image

from skyloom.catalog.columns import flag_column, float_column
from skyloom.catalog.matching import match_sky
from skyloom.catalog.refcat import select_circle
from skyloom.errors import PhotometryError
from skyloom.images.photo_calib import njy_to_ab_magnitude
from skyloom.images.projection import pixel_scale, pixel_to_radec
from skyloom.photometry import ZeroPoint, fit_zero_point, reference_fluxes
from skyloom.psffit import single_pixel_sources

from .positions import reference_filter
from .references import ReferenceLoader, load_references
from .sizes import model_widths

if TYPE_CHECKING:
    from .frame import CalibratedFrame
    from .settings import CalibrateSettings

__all__ = ["calibrate_fluxes", "calibrate_pixels", "fit_photometry"]

_UNTRUSTED = ("flag_sky_source", "flag_saturated_center", "flag_interpolated_center", "flag_centroid", "flag_psf_flux")
_UNTRUSTED_ALONE = ("flag_edge", "flag_saturated", "flag_bad", "flag_no_data", "flag_cosmic_ray")
"""Flags of a footprint: in a blend they may speak of another source."""


def fit_photometry(frame: CalibratedFrame, loader: ReferenceLoader, settings: CalibrateSettings) -> None:
    """Fit the zero point to the corrected PSF fluxes of matched stars.

    Raises
    ------
    PhotometryError
        If the frame has no filter, or too few stars match.
    """
    table = frame.sources
    assert table is not None
    name = reference_filter(frame, settings)
    if name is None:
        raise PhotometryError(
            "The frame has no band, and no reference filter is set.",
            cure="Give the camera's filter a band or a reference.",
            keyword="reference_filter",
        )
    margin = settings.photometry.match_radius_arcsec / 3600.0
    reference = load_references(frame, loader, margin)
    flux, error = reference_fluxes(reference, name, settings.photometry)
    rows = np.flatnonzero(_stars(frame, table, settings))
    first, second, distance = match_sky(
        float_column(table, "ra")[rows],
        float_column(table, "dec")[rows],
        float_column(reference, "ra"),
        float_column(reference, "dec"),
        settings.photometry.match_radius_arcsec,
    )
    rows = rows[first]
    zero_point = fit_zero_point(
        float_column(table, "psf_flux")[rows],
        float_column(table, "psf_flux_err")[rows],
        flux[second],
        error[second],
        settings.photometry,
        x=float_column(table, "x")[rows],
        y=float_column(table, "y")[rows],
        box=frame.exposure.bbox,
        seed=_seed(frame),
    )
    frame.zero_point, frame.photo_calib = zero_point, zero_point.photo_calib
    frame.exposure.photo_calib = zero_point.photo_calib
    for column, stars, text in (
        ("calib_photometry_used", zero_point.used, "Fitted by the zero point."),
        ("calib_photometry_reserved", zero_point.reserved, "Kept out of the zero point to test it."),
    ):
        table[column] = Column(np.isin(np.arange(len(table)), rows[stars]), description=text)
    frame.photometry_matches = _matches(table, rows, reference, second, distance, flux, zero_point)
    frame.metadata |= _figures(zero_point) | {
        "n_photometry_matches": len(rows),
        "reference_filter": name,
        "reference_density_per_deg2": _density(frame, reference),
    }


def calibrate_fluxes(frame: CalibratedFrame) -> None:
    """Add to every flux of the sources its value in nJy, ``_njy``, and the AB magnitude of the PSF flux."""
    assert frame.photo_calib is not None
    for table in (frame.sources, frame.psf_stars):
        if table is not None:
            _add_calibrated(table, frame)


def calibrate_pixels(frame: CalibratedFrame) -> None:
    """Turn the pixels of the frame, its variance and its subtracted sky into nJy, in place."""
    exposure, calib = frame.exposure, frame.photo_calib
    assert calib is not None
    scale = calib.scale_pixels(exposure.bbox)
    exposure.image = Image(exposure.image.array * scale, bbox=exposure.bbox)
    exposure.variance = Image(exposure.variance.array * scale * scale, bbox=exposure.bbox)
    if frame.background is not None:
        scaled = BackgroundMap()
        subtracted = None if frame.background.subtracted is None else frame.background.subtracted.name
        for name, entry in frame.background.items():
            field = calib.calibrate_field(entry.field, exposure.unit)
            scaled.add(name, field, entry.description, is_subtracted=name == subtracted)
        frame.background = exposure.backgrounds = scaled
    exposure.unit = u.nJy


def _stars(frame: CalibratedFrame, table: Table, settings: CalibrateSettings) -> np.ndarray:
    """Clean sources as wide as the PSF at their places, ``bool[n]``."""
    assert frame.exposure.psf is not None
    clean = ~single_pixel_sources(table)
    for flag in _UNTRUSTED:
        clean &= ~flag_column(table, flag)
    alone = ~flag_column(table, "flag_blended")
    for flag in _UNTRUSTED_ALONE:
        clean &= ~(flag_column(table, flag) & alone)
    width, expected = model_widths(table, frame.exposure.psf)
    with np.errstate(invalid="ignore"):
        alike = np.abs(width / expected - 1) < settings.photometry_size_tolerance
    # Where the PSF is too narrow for moments, sizes tell nothing.
    return np.asarray(clean & (alike | ~np.isfinite(expected)))


def _seed(frame: CalibratedFrame) -> int:
    """A number that differs between frames and is the same in every run: of the visit and the detector."""
    exposure = frame.exposure
    visit = None if exposure.obs_info is None else exposure.obs_info.visit_id
    return 4096 * int(visit or 0) + (0 if exposure.detector is None else int(exposure.detector.id))


def _figures(zero_point: ZeroPoint) -> dict[str, float | int]:
    """What the metadata say of a zero point."""
    figures: dict[str, float | int] = {
        "zero_point_mag": zero_point.zero_point_mag,
        "zero_point_err_mag": zero_point.zero_point_mag_err,
        "zero_point_scatter_mag": zero_point.scatter_mag,
        "zero_point_order": zero_point.spatial_order,
        "n_photometry_stars": zero_point.n_stars,
    }
    n_reserved = int(zero_point.reserved.sum())
    if n_reserved:
        figures |= {
            "n_photometry_reserved": n_reserved,
            "zero_point_reserved_offset_mag": zero_point.reserved_offset_mag,
            "zero_point_reserved_scatter_mag": zero_point.reserved_scatter_mag,
        }
    return figures


def _density(frame: CalibratedFrame, reference: Table) -> float:
    """Reference stars a square degree, in the circle through the corners of the frame."""
    box, projection = frame.exposure.bbox, frame.exposure.projection
    assert projection is not None
    x, y = 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)
    ra, dec = (float(angle) for angle in pixel_to_radec(projection, x, y))
    radius_deg = float(0.5 * np.hypot(*box.shape) * pixel_scale(projection, x, y) / 3600.0)
    return len(select_circle(reference, ra, dec, radius_deg)) / (np.pi * radius_deg**2)


def _matches(
    table: Table,
    rows: np.ndarray,
    reference: Table,
    second: np.ndarray,
    distance: np.ndarray,
    flux: np.ndarray,
    zero_point: ZeroPoint,
) -> Table:
    """One row a matched star: who, where, both fluxes, and the residual of its magnitude."""
    own = float_column(table, "psf_flux")[rows]
    matches = Table()
    matches["source_id"] = np.asarray(table["source_id"])[rows]
    matches["reference_id"] = np.asarray(reference["id"])[second]
    for name in ("x", "y", "ra", "dec"):
        matches[name] = table[name][rows]
    matches["separation"] = distance * u.arcsec
    matches["psf_flux"] = own * u.electron
    matches["reference_flux"] = flux[second] * u.nJy
    x, y = float_column(matches, "x"), float_column(matches, "y")
    calibrated = zero_point.photo_calib.to_magnitude(own, x, y)
    matches["magnitude_residual"] = (calibrated - njy_to_ab_magnitude(flux[second])) * u.mag
    matches["used"], matches["reserved"] = zero_point.used, zero_point.reserved
    return matches


def _add_calibrated(table: Table, frame: CalibratedFrame) -> None:
    """Add the calibrated columns to one table; fluxes in electrons stay as they are."""
    calib = frame.photo_calib
    assert calib is not None
    x, y = float_column(table, "x"), float_column(table, "y")
    names = [name for name in table.colnames if "_flux" in name and f"{name}_err" in table.colnames]
    for name in names:
        value, error = float_column(table, name), float_column(table, f"{name}_err")
        # The error of the zero point is common to all sources, and stays out.
        spread = calib.to_njy_err(value, error, x, y, with_calibration_error=False)
        table[f"{name}_njy"] = Column(calib.to_njy(value, x, y), unit=u.nJy, description=f"{name}, calibrated.")
        table[f"{name}_njy_err"] = Column(spread, unit=u.nJy, description=f"Error of {name}_njy.")
    table["psf_mag"] = Column(
        njy_to_ab_magnitude(table["psf_flux_njy"]), unit=u.mag, description="AB magnitude of psf_flux_njy."
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = float_column(table, "psf_flux_err") / float_column(table, "psf_flux")
    error_mag = np.where(np.isfinite(table["psf_mag"]), 2.5 / np.log(10.0) * relative, np.nan)
    table["psf_mag_err"] = Column(error_mag, unit=u.mag, description="Error of psf_mag.")
