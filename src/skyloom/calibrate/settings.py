"""Settings of the single-frame recipe: those of its stages, and what joins them."""

from __future__ import annotations

from dataclasses import dataclass, field

from skyloom.astrometry import AstrometrySettings
from skyloom.background.fit import BackgroundSettings
from skyloom.detection import DetectionSettings
from skyloom.measurement import MeasurementSettings
from skyloom.photometry import ApertureCorrectionSettings, ZeroPointSettings
from skyloom.psffit import PsfFitSettings, SelectionSettings

__all__ = ["CalibrateSettings"]


@dataclass(frozen=True, kw_only=True)
class CalibrateSettings:
    """How one frame is calibrated."""

    psf_sigma_guess: float = 1.5
    """Width of the PSF before it is known, pixels; a factor of two off does no harm."""
    background: BackgroundSettings = field(default_factory=BackgroundSettings)
    bright_detection: DetectionSettings = field(default_factory=lambda: DetectionSettings(threshold=10.0))
    """Detection of the stars that make the first PSF."""
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    """Detection with the PSF."""
    measurement: MeasurementSettings = field(default_factory=MeasurementSettings)
    psf_stars: SelectionSettings = field(default_factory=SelectionSettings)
    psf: PsfFitSettings = field(default_factory=PsfFitSettings)
    aperture_corrections: ApertureCorrectionSettings = field(default_factory=ApertureCorrectionSettings)
    astrometry: AstrometrySettings = field(default_factory=AstrometrySettings)
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
