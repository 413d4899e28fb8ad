"""Settings of the single-frame recipe: those of its stages, and what joins them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from skyloom.astrometry import AstrometrySettings, BlindSettings
from skyloom.background import BackgroundSettings, SettleSettings
from skyloom.cosmic_rays import CosmicRaySettings
from skyloom.deblend import DeblendSettings
from skyloom.detection import AdaptiveSettings, DetectionSettings
from skyloom.measurement import PSF_PASS_PLUGINS, MeasurementSettings, SkySourceSettings, StarSelectionSettings
from skyloom.photometry import ApertureCorrectionSettings, ZeroPointSettings
from skyloom.psffit import PsfFitSettings, PsfPiffSettings, SelectionSettings

from .summary_settings import SummarySettings

__all__ = ["CalibrateSettings"]


@dataclass(frozen=True, kw_only=True)
class CalibrateSettings:
    """How one frame is calibrated."""

    psf_sigma_guess: float = 1.5
    """Width of the PSF before it is known, pixels; a factor of two off does no harm."""
    background: BackgroundSettings = field(default_factory=BackgroundSettings)
    bright_detection: DetectionSettings = field(default_factory=lambda: DetectionSettings(threshold=10.0))
    """Detection of the stars that make the first PSF."""
    adapt_threshold: bool = False
    """Whether the threshold of that detection is sought by the number and the crowding of what is found."""
    adaptive_detection: AdaptiveSettings = field(default_factory=AdaptiveSettings)
    psf_measurement: MeasurementSettings = field(default_factory=lambda: MeasurementSettings(plugins=PSF_PASS_PLUGINS))
    """Measurement of the sources among which PSF stars are sought."""
    psf_stars: SelectionSettings = field(default_factory=SelectionSettings)
    psf: PsfFitSettings = field(default_factory=PsfFitSettings)
    psf_model: Literal["pixel_grid", "piff"] = "pixel_grid"
    """What is fitted to the stars; the first PSF is always a pixel grid."""
    piff: PsfPiffSettings = field(default_factory=PsfPiffSettings)
    repair: bool = True
    """Whether cosmic rays are found and repaired."""
    cosmic_rays: CosmicRaySettings = field(default_factory=CosmicRaySettings)
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    """Detection with the PSF."""
    settle_sky_above: float = 1.0
    """Where sources cover more than this share of the frame, the sky is settled under a generous mask of all visible
    light: for nebulae and large galaxies.  1 never does so, 0 always.  On crowded fields it makes stars too bright: it
    leaves the light of the stars that are too faint to be seen, on which all others stand."""
    settling: SettleSettings = field(default_factory=SettleSettings)
    sky_sources: SkySourceSettings = field(default_factory=SkySourceSettings)
    deblend: bool = True
    """Whether blended sources get their own light."""
    deblending: DeblendSettings = field(default_factory=DeblendSettings)
    measurement: MeasurementSettings = field(default_factory=MeasurementSettings)
    aperture_corrections: ApertureCorrectionSettings = field(default_factory=ApertureCorrectionSettings)
    star_selection: StarSelectionSettings = field(default_factory=StarSelectionSettings)
    """Which of the sources are listed as stars."""
    astrometry: AstrometrySettings = field(default_factory=AstrometrySettings)
    blind_fallback: bool = True
    """Whether a frame that fits nowhere within the errors of its guess is sought farther away."""
    blind: BlindSettings = field(default_factory=BlindSettings)
    astrometry_signal_to_noise_min: float = 10.0
    """Fainter sources take no part in the astrometry."""
    astrometry_filter: str | None = None
    """Filter of the astrometric reference catalogue that orders its stars; None takes `reference_filter`, or the
    catalogue's first where it lacks that."""
    photometry: ZeroPointSettings = field(default_factory=ZeroPointSettings)
    photometry_size_tolerance: float = 0.15
    """Sources whose width differs from that of the PSF by more than this fraction are not stars for the zero point."""
    reference_filter: str | None = None
    """Filter of the photometric reference catalogue: the column ``flux_<name>``; None takes the frame's band."""
    summary: SummarySettings = field(default_factory=SummarySettings)
    calibrate_pixels: bool = True
    """Whether pixels become nJy; else they stay in electrons, with the calibration attached."""
