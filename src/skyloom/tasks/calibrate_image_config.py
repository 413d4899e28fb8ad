"""Configuration of `CalibrateImageTask`: the settings of the stages, under the names that they have there."""

from __future__ import annotations

import dataclasses
from typing import Any

from lsst.pex.config import Config, ConfigField, Field, ListField, RangeField

from skyloom.astrometry import AstrometrySettings
from skyloom.background import BackgroundSettings
from skyloom.calibrate import CalibrateSettings
from skyloom.detection import DetectionSettings
from skyloom.measurement import MeasurementSettings
from skyloom.photometry import ApertureCorrectionSettings, ZeroPointSettings
from skyloom.psffit import PsfFitSettings, SelectionSettings

__all__ = [
    "ApertureCorrectionConfig",
    "AstrometryConfig",
    "BackgroundConfig",
    "DetectionConfig",
    "MeasurementConfig",
    "PhotometryConfig",
    "PsfConfig",
    "PsfStarsConfig",
    "StagesConfig",
    "set_defaults",
    "to_settings",
]

_BACKGROUND, _BRIGHT, _DETECTION = BackgroundSettings(), CalibrateSettings().bright_detection, DetectionSettings()
_MEASUREMENT, _STARS, _PSF = MeasurementSettings(), SelectionSettings(), PsfFitSettings()
_APERTURES, _ASTROMETRY, _PHOTOMETRY = ApertureCorrectionSettings(), AstrometrySettings(), ZeroPointSettings()
_RECIPE = CalibrateSettings()


class BackgroundConfig(Config):
    """Sky background."""

    bin_size: Any = RangeField(dtype=int, min=8, default=_BACKGROUND.bin_size, doc="Side of a mesh cell, pixels.")
    clip_sigma: Any = Field(dtype=float, default=_BACKGROUND.clip_sigma, doc="Clipping within a cell, sigma.")
    min_cell_fraction: Any = Field(
        dtype=float, default=_BACKGROUND.min_cell_fraction, doc="Share of usable pixels that a cell must have."
    )
    median_size: Any = Field(
        dtype=int, default=_BACKGROUND.median_size, doc="Side of the median filter over cells, odd; 1 for none."
    )


class DetectionConfig(Config):
    """Detection of sources."""

    threshold: Any = Field(dtype=float, default=_DETECTION.threshold, doc="Threshold through the filter, sigma.")
    min_pixels: Any = Field(dtype=int, default=_DETECTION.min_pixels, doc="Pixels above it that a source must have.")
    grow_sigmas: Any = Field(
        dtype=float, default=_DETECTION.grow_sigmas, doc="Growth of the footprints, in PSF sigmas."
    )
    min_prominence: Any = Field(
        dtype=float, default=_DETECTION.min_prominence, doc="Rise of a second peak over the pass to a higher, sigma."
    )
    min_separation: Any = Field(
        dtype=float, default=_DETECTION.min_separation, doc="Least distance of two peaks, pixels."
    )


class MeasurementConfig(Config):
    """Measurement of sources."""

    aperture_radii: Any = ListField(
        dtype=float, default=list(_MEASUREMENT.aperture_radii), doc="Radii of the apertures, pixels."
    )
    min_psf_coverage: Any = Field(
        dtype=float, default=_MEASUREMENT.min_psf_coverage, doc="Share of the PSF that must lie on usable pixels."
    )


class PsfStarsConfig(Config):
    """Selection of PSF stars."""

    signal_to_noise_min: Any = Field(
        dtype=float, default=_STARS.signal_to_noise_min, doc="Cut on signal-to-noise, where enough stars pass it."
    )
    signal_to_noise_floor: Any = Field(
        dtype=float, default=_STARS.signal_to_noise_floor, doc="How far the cut is lowered where they do not."
    )
    n_wanted: Any = Field(dtype=int, default=_STARS.n_wanted, doc="Stars for which the cut is lowered.")
    n_min: Any = Field(dtype=int, default=_STARS.n_min, doc="Stars without which the frame fails.")
    n_max: Any = Field(dtype=int, default=_STARS.n_max, doc="Of more stars, the brightest are taken.")
    width_min: Any = Field(dtype=float, default=_STARS.width_min, doc="Smallest width, pixels (moment, not FWHM).")
    width_max: Any = Field(dtype=float, default=_STARS.width_max, doc="Largest width, pixels.")
    peak_fraction_max: Any = Field(
        dtype=float, default=_STARS.peak_fraction_max, doc="Share of the flux that a star may have in one pixel."
    )
    neighbour_flux_fraction: Any = Field(
        dtype=float, default=_STARS.neighbour_flux_fraction, doc="Relative flux of a neighbour that spoils a star."
    )


class PsfConfig(Config):
    """Fit of the PSF."""

    size: Any = Field(dtype=int, default=None, optional=True, doc="Side of the grid, odd; None: from the stars' width.")
    order_max: Any = RangeField(dtype=int, min=0, max=3, default=_PSF.order_max, doc="Highest order of the variation.")
    reserve_fraction: Any = Field(
        dtype=float, default=_PSF.reserve_fraction, doc="Share of the stars kept out of the fit to test it."
    )
    n_iterations: Any = RangeField(dtype=int, min=1, default=_PSF.n_iterations, doc="Rounds of fitting and rejecting.")
    model_error: Any = Field(dtype=float, default=_PSF.model_error, doc="Relative error of the model.")
    reject_sigma: Any = Field(dtype=float, default=_PSF.reject_sigma, doc="Rejection of stars, robust sigma of chi2.")
    refit_centres: Any = Field(dtype=bool, default=_PSF.refit_centres, doc="Whether the stars' centres are fitted.")


class ApertureCorrectionConfig(Config):
    """Aperture corrections."""

    reference_radius: Any = Field(
        dtype=float,
        default=None,
        optional=True,
        doc="Radius of the aperture that defines the total flux, pixels; None: from the width of the PSF.",
    )
    reference_radius_sigma: Any = Field(
        dtype=float, default=_APERTURES.reference_radius_sigma, doc="Its least radius in PSF sigmas."
    )
    signal_to_noise_min: Any = Field(
        dtype=float, default=_APERTURES.signal_to_noise_min, doc="Cut on the reference flux of the stars."
    )
    order: Any = RangeField(dtype=int, min=0, default=_APERTURES.order, doc="Highest order of the field.")


class AstrometryConfig(Config):
    """Astrometric solution; errors of the first guess are the camera's where they are None here."""

    pointing_error_deg: Any = Field(dtype=float, default=None, optional=True, doc="Error of the pointing, degrees.")
    scale_error: Any = Field(dtype=float, default=None, optional=True, doc="Relative error of the pixel scale.")
    rotation_error_deg: Any = Field(dtype=float, default=None, optional=True, doc="Error of the rotation, degrees.")
    match_tolerance_px: Any = Field(
        dtype=float, default=_ASTROMETRY.match_tolerance_px, doc="First matching distance, pixels."
    )
    sip_order: Any = RangeField(dtype=int, min=1, default=_ASTROMETRY.sip_order, doc="Highest order of the distortion.")
    min_matches: Any = Field(dtype=int, default=_ASTROMETRY.min_matches, doc="Fewest matches of a solution.")
    max_rms_px: Any = Field(dtype=float, default=_ASTROMETRY.max_rms_px, doc="Largest residual a coordinate, pixels.")
    max_rms_arcsec: Any = Field(
        dtype=float, default=_ASTROMETRY.max_rms_arcsec, doc="Largest residual a coordinate, arcsec."
    )


class PhotometryConfig(Config):
    """Zero point."""

    match_radius_arcsec: Any = Field(
        dtype=float, default=_PHOTOMETRY.match_radius_arcsec, doc="Largest distance of a match, arcsec."
    )
    n_min: Any = Field(dtype=int, default=_PHOTOMETRY.n_min, doc="Fewest stars of a zero point.")
    n_sigma: Any = Field(dtype=float, default=_PHOTOMETRY.n_sigma, doc="Clipping of the stars, sigma.")
    signal_to_noise_min: Any = Field(
        dtype=float, default=_PHOTOMETRY.signal_to_noise_min, doc="Cut on the stars' signal-to-noise."
    )
    error_floor_mag: Any = Field(
        dtype=float, default=_PHOTOMETRY.error_floor_mag, doc="Error added to every star's in quadrature, mag."
    )


class StagesConfig(Config):
    """The stages of the single-frame recipe."""

    psf_sigma_guess: Any = RangeField(
        dtype=float, min=0.3, default=_RECIPE.psf_sigma_guess, doc="Width of the PSF before it is known, pixels."
    )
    background: Any = ConfigField(dtype=BackgroundConfig, doc="Sky background.")
    bright_detection: Any = ConfigField(dtype=DetectionConfig, doc="Detection of the first PSF stars.")
    detection: Any = ConfigField(dtype=DetectionConfig, doc="Detection of all sources.")
    measurement: Any = ConfigField(dtype=MeasurementConfig, doc="Measurement.")
    psf_stars: Any = ConfigField(dtype=PsfStarsConfig, doc="Selection of PSF stars.")
    psf: Any = ConfigField(dtype=PsfConfig, doc="PSF.")
    aperture_corrections: Any = ConfigField(dtype=ApertureCorrectionConfig, doc="Aperture corrections.")
    astrometry: Any = ConfigField(dtype=AstrometryConfig, doc="Astrometric solution.")
    astrometry_signal_to_noise_min: Any = Field(
        dtype=float, default=_RECIPE.astrometry_signal_to_noise_min, doc="Cut on the sources that are matched."
    )
    astrometry_filter: Any = Field(
        dtype=str, default=None, optional=True, doc="Reference filter that orders the stars; None: as in photometry."
    )
    photometry: Any = ConfigField(dtype=PhotometryConfig, doc="Zero point.")
    photometry_size_tolerance: Any = Field(
        dtype=float, default=_RECIPE.photometry_size_tolerance, doc="How far a star's width may be off the PSF's."
    )
    reference_filter: Any = Field(
        dtype=str, default=None, optional=True, doc="Filter of the reference catalogue; None: the camera says it."
    )


_SETTINGS: dict[str, Any] = {
    "background": _BACKGROUND,
    "bright_detection": _BRIGHT,
    "detection": _DETECTION,
    "measurement": _MEASUREMENT,
    "psf_stars": _STARS,
    "psf": _PSF,
    "aperture_corrections": _APERTURES,
    "astrometry": _ASTROMETRY,
    "photometry": _PHOTOMETRY,
}
"""Part of the configuration: the settings whose fields it mirrors."""


def set_defaults(config: StagesConfig) -> None:
    """Defaults that differ between two uses of one part."""
    config.bright_detection.threshold = _BRIGHT.threshold


def to_settings(config: StagesConfig, **replacements: Any) -> CalibrateSettings:
    """The settings that a configuration describes.

    Parameters
    ----------
    config
        The configuration.
    **replacements
        Fields of the astrometric settings to be taken where the configuration has None.
    """
    parts = {name: _replaced(settings, getattr(config, name), {}) for name, settings in _SETTINGS.items()}
    parts["astrometry"] = _replaced(_ASTROMETRY, config.astrometry, replacements)
    own = {name: getattr(config, name) for name in _names(config, _RECIPE) if name not in parts}
    return dataclasses.replace(_RECIPE, **parts, **own)


def _replaced(settings: Any, config: Config, instead: dict[str, Any]) -> Any:
    """``settings`` with the values of the fields that the configuration has too."""
    values: dict[str, Any] = {}
    for name in _names(config, settings):
        value = getattr(config, name)
        if value is None:
            value = instead.get(name, getattr(settings, name))
        values[name] = tuple(value) if isinstance(getattr(settings, name), tuple) else value
    return dataclasses.replace(settings, **values)


def _names(config: Config, settings: Any) -> list[str]:
    """Fields that configuration and settings share."""
    return [field.name for field in dataclasses.fields(settings) if field.name in config.keys()]  # noqa: SIM118
