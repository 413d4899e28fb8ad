"""What a simulated survey looks like: sky, visits, and the signature that the detectors leave."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["DetectorSettings", "SkySettings", "SurveySettings", "VisitSettings"]


@dataclass(frozen=True, kw_only=True)
class SkySettings:
    """The sky itself: stars, galaxies, and the reference catalogue that knows some of the stars."""

    stars_per_square_arcmin: float = 30.0
    """Stars between the two magnitudes, over the whole field."""
    mag_bright: float = 15.5
    mag_faint: float = 23.0
    """AB magnitudes in r between which stars are drawn."""
    mag_slope: float = 0.22
    """Slope of log10(number per magnitude)."""
    galaxies_per_square_arcmin: float = 4.0
    galaxy_mag_bright: float = 18.0
    galaxy_mag_faint: float = 23.0
    half_light_radius_arcsec: tuple[float, float] = (0.3, 1.0)
    """Galaxies draw their half-light radius uniformly between the two."""
    saturated_stars: int = 4
    """Stars of magnitude 12 to 13 added to the field, bright enough to saturate."""
    reference_mag_limit: float = 21.0
    """The reference catalogue lists the stars brighter than this in r."""
    reference_scatter_mas: float = 0.0
    """Gaussian error of a reference position on each axis."""
    reference_mag_scatter: float = 0.0
    """Gaussian error of a reference magnitude."""


@dataclass(frozen=True, kw_only=True)
class VisitSettings:
    """How the telescope points and what the atmosphere does."""

    visits_per_band: int = 5
    first_visit: int = 1
    exposure_time_s: float = 60.0
    dither_arcsec: float = 15.0
    """Dithers fall uniformly in a disc of this radius (60 pixels)."""
    rotation_deg: float = 0.5
    """True position angles fall uniformly within plus or minus this."""
    pointing_error_arcsec: float = 15.0
    """Headers are wrong by a uniform draw from a disc of this radius."""
    header_rotation_error_deg: float = 0.02
    """Headers are wrong by a uniform draw within plus or minus this."""
    seeing_arcsec: tuple[float, float] = (0.7, 1.1)
    """FWHM at the centre of the field, drawn uniformly between the two."""
    seeing_gradient: float = 0.03
    """Largest relative change of the FWHM from the centre to the edge of the field."""
    ellipticity: float = 0.02
    """Largest shear of the PSF, at the edge of the field; it grows linearly from the centre."""
    moffat_beta: float = 3.5
    zero_point_mag: float = 29.5
    """AB magnitude of a source that leaves one electron in an exposure."""
    zero_point_scatter_mag: float = 0.05
    sky_electrons: tuple[float, float] = (300.0, 1000.0)
    """Level a pixel in one exposure, drawn uniformly between the two."""
    sky_gradient: float = 0.05
    """Largest relative change of the sky from the centre to the edge of the field."""
    distortion_pixels: float = 1.5
    """Radial distortion at the corner of the focal plane; it grows with the cube of the radius."""


@dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """The signature of the detectors; each effect can be switched off by its own value."""

    noise: bool = True
    """Photon noise and read noise."""
    quantise: bool = True
    """Round to whole ADU and clip at the converter's range; off, raw frames are float32."""
    overscan_level_adu: float = 1000.0
    overscan_scatter_adu: float = 10.0
    """Gaussian scatter of an amplifier's level from visit to visit."""
    overscan_slope_adu: float = 3.0
    """Change of the level from the first row to the last."""
    bias_structure_adu: float = 5.0
    """Amplitude of the fixed two-dimensional bias."""
    vignetting: float = 0.04
    """Loss of light at the corner of the focal plane."""
    pixel_response: float = 0.01
    """Gaussian scatter of the response from pixel to pixel."""
    hot_pixels: int = 40
    """Hot pixels a detector."""
    hot_pixel_electrons: tuple[float, float] = (300.0, 20000.0)
    """Electrons that a hot pixel adds in one exposure, drawn uniformly in the logarithm."""
    bad_columns: int = 1
    """Columns a detector, dead from some row upwards."""
    master_noise_adu: float = 0.3
    """Noise of the bias master."""
    master_flat_noise: float = 0.001
    """Relative noise of the flat master."""


@dataclass(frozen=True, kw_only=True)
class SurveySettings:
    """A survey of one field by the simulated camera; equal settings give equal files."""

    seed: int = 1
    ra_deg: float = 150.0
    dec_deg: float = 2.2
    bands: tuple[str, ...] = ("r",)
    detectors: tuple[int, ...] = (0, 1, 2, 3)
    sky: SkySettings = field(default_factory=SkySettings)
    visits: VisitSettings = field(default_factory=VisitSettings)
    detector: DetectorSettings = field(default_factory=DetectorSettings)
