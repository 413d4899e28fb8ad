"""Configuration of `CalibrateImageTask`: the settings of the stages, under the names by which the groups are known.

Within a group the fields are those of the stage's settings; the ones that are documented under another name have that.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from lsst.pex.config import ChoiceField, Config, ConfigField, Field, ListField, RangeField

from skyloom.calibrate import CalibrateSettings

from .mirrored_config import MirroredConfig, mirror

__all__ = [
    "GaussianPsfConfig",
    "IdGeneratorConfig",
    "MeasurePsfConfig",
    "SnapCombineConfig",
    "StagesConfig",
    "to_settings",
]

_RECIPE = CalibrateSettings()
_DETECTION = {
    "threshold": "thresholdValue",
    "include_multiplier": "includeThresholdMultiplier",
    "min_pixels": "minPixels",
    "grow_sigmas": "nSigmaToGrow",
}
_BACKGROUND = {"bin_size": "binSize", "ignored_planes": "ignoredPixelMask"}
_OF_THE_CAMERA = ("pointing_error_deg", "scale_error", "rotation_error_deg")
"""Fields that are the camera's where the user does not set them."""


class GaussianPsfConfig(Config):
    """The Gaussian that stands for the PSF before it is known."""

    fwhm: Any = RangeField(
        dtype=float,
        default=_RECIPE.psf_sigma_guess * 2.3548,
        min=0.5,
        doc="Full width at half maximum, pixels; a factor of two off does no harm.",
    )


class IdGeneratorConfig(Config):
    """Ids of the sources."""

    release_id: Any = RangeField(dtype=int, default=0, min=0, doc="Number of the release, which the ids carry.")
    n_releases: Any = RangeField(dtype=int, default=1, min=1, doc="Releases that ids leave room for.")


class SnapCombineConfig(Config):
    """Two snaps made one exposure."""

    bad_mask_planes: Any = ListField(dtype=str, default=[], doc="Pixels of these planes of a snap are left out.")


class MeasurePsfConfig(Config):
    """Which sources are stars, and what is fitted to them."""

    star_selector: Any = ConfigField(dtype=mirror(_RECIPE.psf_stars), doc="Selection of the stars.")
    psf_model: Any = ChoiceField(
        dtype=str,
        default=_RECIPE.psf_model,
        allowed={
            "pixel_grid": "Values on a grid that vary as polynomials over the frame.",
            "piff": "The same kind of model, fitted by Piff.",
        },
        doc="What is fitted.",
    )
    psf_determiner: Any = ConfigField(dtype=mirror(_RECIPE.psf), doc="Fit of the PSF.")
    piff: Any = ConfigField(dtype=mirror(_RECIPE.piff), doc="Fit of the PSF by Piff.")


class StagesConfig(Config):
    """The stages of the single-frame recipe, in their order."""

    id_generator: Any = ConfigField(dtype=IdGeneratorConfig, doc="Ids of the sources.")
    snap_combine: Any = ConfigField(dtype=SnapCombineConfig, doc="Two snaps made one exposure.")
    install_simple_psf: Any = ConfigField(dtype=GaussianPsfConfig, doc="The PSF before it is known.")
    do_illumination_correction: Any = Field(
        dtype=bool,
        default=False,
        doc="Whether the frame is divided by the flat of photometry over that which was applied.",
    )
    psf_subtract_background: Any = ConfigField(dtype=mirror(_RECIPE.background, documented=_BACKGROUND), doc="The sky.")
    psf_detection: Any = ConfigField(
        dtype=mirror(_RECIPE.bright_detection, documented=_DETECTION), doc="Detection of the first PSF stars."
    )
    do_adaptive_threshold_detection: Any = Field(
        dtype=bool, default=_RECIPE.adapt_threshold, doc="Whether that detection seeks its own threshold."
    )
    psf_adaptive_threshold_detection: Any = ConfigField(
        dtype=mirror(_RECIPE.adaptive_detection), doc="How it is sought."
    )
    psf_source_measurement: Any = ConfigField(
        dtype=mirror(_RECIPE.psf_measurement), doc="Measurement of the sources among which PSF stars are sought."
    )
    psf_measure_psf: Any = ConfigField(dtype=MeasurePsfConfig, doc="The PSF.")
    do_repair: Any = Field(dtype=bool, default=_RECIPE.repair, doc="Whether cosmic rays are found and repaired.")
    psf_repair: Any = ConfigField(dtype=mirror(_RECIPE.cosmic_rays), doc="Cosmic rays.")
    star_detection: Any = ConfigField(
        dtype=mirror(_RECIPE.detection, documented=_DETECTION), doc="Detection of all sources."
    )
    star_background_above: Any = RangeField(
        dtype=float,
        default=_RECIPE.settle_sky_above,
        min=0.0,
        max=1.0,
        inclusiveMax=True,
        doc="Share of the frame under sources from which the sky is settled under a generous mask of them.",
    )
    star_background: Any = ConfigField(dtype=mirror(_RECIPE.settling), doc="That settling.")
    star_sky_sources: Any = ConfigField(
        dtype=mirror(_RECIPE.sky_sources, documented={"count": "nSources"}), doc="Places without a source."
    )
    do_deblend: Any = Field(dtype=bool, default=_RECIPE.deblend, doc="Whether blended sources get their own light.")
    star_deblend: Any = ConfigField(dtype=mirror(_RECIPE.deblending), doc="Deblending.")
    star_measurement: Any = ConfigField(dtype=mirror(_RECIPE.measurement), doc="Measurement of all sources.")
    measure_aperture_correction: Any = ConfigField(
        dtype=mirror(_RECIPE.aperture_corrections), doc="Aperture corrections."
    )
    star_selector: Any = ConfigField(dtype=mirror(_RECIPE.star_selection), doc="Which sources are `stars`.")
    astrometry: Any = ConfigField(
        dtype=mirror(_RECIPE.astrometry, unset=_OF_THE_CAMERA),
        doc="Astrometric solution; errors of the first guess are the camera's where they are None here.",
    )
    astrometry_blind: Any = ConfigField(
        dtype=mirror(_RECIPE.blind), doc="The search that follows when nothing is found within those errors."
    )
    do_blind_astrometry: Any = Field(dtype=bool, default=_RECIPE.blind_fallback, doc="Whether it does follow.")
    astrometry_signal_to_noise_min: Any = Field(
        dtype=float, default=_RECIPE.astrometry_signal_to_noise_min, doc="Cut on the sources that are matched."
    )
    astrometry_filter: Any = Field(
        dtype=str, default=None, optional=True, doc="Reference filter that orders the stars; None: as in photometry."
    )
    photometry: Any = ConfigField(dtype=mirror(_RECIPE.photometry), doc="Zero point.")
    apply_colour_terms: Any = Field(
        dtype=bool, default=True, doc="Whether the colour term of the camera's filter, where it has one, is applied."
    )
    photometry_size_tolerance: Any = Field(
        dtype=float, default=_RECIPE.photometry_size_tolerance, doc="How far a star's width may be off the PSF's."
    )
    reference_filter: Any = Field(
        dtype=str, default=None, optional=True, doc="Filter of the reference catalogue; None: the camera says it."
    )
    compute_summary_stats: Any = ConfigField(dtype=mirror(_RECIPE.summary), doc="Summary statistics.")
    do_calibrate_pixels: Any = Field(
        dtype=bool, default=_RECIPE.calibrate_pixels, doc="Whether pixels become nJy, or stay electrons."
    )


_STAGES = {
    "background": "psf_subtract_background",
    "bright_detection": "psf_detection",
    "adaptive_detection": "psf_adaptive_threshold_detection",
    "psf_measurement": "psf_source_measurement",
    "settling": "star_background",
    "cosmic_rays": "psf_repair",
    "detection": "star_detection",
    "sky_sources": "star_sky_sources",
    "deblending": "star_deblend",
    "measurement": "star_measurement",
    "aperture_corrections": "measure_aperture_correction",
    "star_selection": "star_selector",
    "astrometry": "astrometry",
    "blind": "astrometry_blind",
    "photometry": "photometry",
    "summary": "compute_summary_stats",
}
"""Part of the settings: group of the configuration."""
_VALUES = {
    "adapt_threshold": "do_adaptive_threshold_detection",
    "settle_sky_above": "star_background_above",
    "repair": "do_repair",
    "deblend": "do_deblend",
    "blind_fallback": "do_blind_astrometry",
    "calibrate_pixels": "do_calibrate_pixels",
}


def to_settings(config: StagesConfig, **of_the_camera: Any) -> CalibrateSettings:
    """The settings that a configuration describes.

    Parameters
    ----------
    config
        The configuration.
    **of_the_camera
        Fields of the astrometric settings to be taken where the configuration has None.
    """
    groups: dict[str, MirroredConfig] = {part: getattr(config, group) for part, group in _STAGES.items()}
    parts = {part: group.settings(**of_the_camera) for part, group in groups.items()}
    values = {part: getattr(config, name) for part, name in _VALUES.items()}
    known = {field.name for field in dataclasses.fields(CalibrateSettings)} - parts.keys() - values.keys()
    plain = {name: getattr(config, name) for name in known if name in type(config)._fields}
    psf = config.psf_measure_psf
    return dataclasses.replace(
        _RECIPE,
        **parts,
        **values,
        **plain,
        psf_sigma_guess=config.install_simple_psf.fwhm / 2.3548,
        psf_stars=psf.star_selector.settings(),
        psf=psf.psf_determiner.settings(),
        psf_model=psf.psf_model,
        piff=psf.piff.settings(),
    )
