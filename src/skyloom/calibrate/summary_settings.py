"""Settings of the summary statistics, and the observation that effective times are measured by."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["FiducialObservation", "SummarySettings"]


@dataclass(frozen=True, kw_only=True)
class FiducialObservation:
    """An observation of one band under good conditions: what an effective exposure time is counted in."""

    exposure_time_s: float = 30.0
    magnitude_limit: float = 25.0
    """AB magnitude of a star at the wanted signal-to-noise ratio."""
    psf_sigma_px: float = 1.0
    sky_electron_per_s: float = 1.0
    """Sky a pixel."""
    zero_point_mag: float = 25.0
    """AB magnitude of one electron a second."""


@dataclass(frozen=True, kw_only=True)
class SummarySettings:
    """How a frame is summarised.  The ``fiducial_...`` hold one value for each of `fiducial_bands`."""

    signal_to_noise_min: float = 50.0
    """PSF stars below this are not compared with the PSF, where enough are left."""
    signal_to_noise_max: float = 1000.0
    """Nor those above this."""
    n_stars_wanted: int = 10
    """Where fewer are left, all PSF stars are compared."""
    psf_spacing: int = 96
    """Spacing of the grid on which the variation of the PSF is sought, px."""
    distance_spacing: int = 8
    """Spacing of the grid on which the distance to the nearest PSF star is sought, px."""
    unusable_planes: tuple[str, ...] = ("BAD", "CR", "EDGE", "INTRP", "NO_DATA", "SAT", "SUSPECT")
    """Grid points on these planes do not count."""
    not_sky_planes: tuple[str, ...] = (
        "BAD",
        "SAT",
        "INTRP",
        "CR",
        "DETECTED",
        "DETECTED_NEGATIVE",
        "SUSPECT",
        "NO_DATA",
        "EDGE",
    )
    """Pixels of these planes tell nothing of the sky's noise."""
    limit_signal_to_noise: float = 5.0
    """Signal-to-noise ratio of a star at the magnitude limit."""
    fiducial_bands: tuple[str, ...] = ("u", "g", "r", "i", "z", "y")
    """Bands that have an effective exposure time."""
    fiducial_exposure_time_s: tuple[float, ...] = (30.0,) * 6
    """Exposure time of an observation under good conditions, s."""
    fiducial_magnitude_limit: tuple[float, ...] = (25.0,) * 6
    """Its magnitude limit, AB."""
    fiducial_psf_sigma_px: tuple[float, ...] = (1.0,) * 6
    """Its PSF's width, px."""
    fiducial_sky_electron_per_s: tuple[float, ...] = (1.0,) * 6
    """Its sky, electrons a second and pixel."""
    fiducial_zero_point_mag: tuple[float, ...] = (25.0,) * 6
    """Its zero point: AB magnitude of one electron a second."""
    transparency_max: float = math.inf
    """The scale of the effective time with the zero point does not exceed this."""

    def __post_init__(self) -> None:
        n = len(self.fiducial_bands)
        for name in _FIDUCIALS:
            if len(getattr(self, f"fiducial_{name}")) != n:
                raise ValueError(
                    f"fiducial_{name} holds {len(getattr(self, f'fiducial_{name}'))} values, fiducial_bands {n} bands."
                )

    def fiducial(self, band: str | None) -> FiducialObservation | None:
        """The fiducial observation of a band; None where there is none."""
        if band not in self.fiducial_bands:
            return None
        row = self.fiducial_bands.index(band)
        return FiducialObservation(**{name: float(getattr(self, f"fiducial_{name}")[row]) for name in _FIDUCIALS})


_FIDUCIALS = ("exposure_time_s", "magnitude_limit", "psf_sigma_px", "sky_electron_per_s", "zero_point_mag")
