"""What a simulated survey looks like: sky, visits, the signature that the detectors leave, calibration frames."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CalibrationSettings", "DetectorSettings", "SkySettings", "SurveySettings", "VisitSettings"]


@dataclass(frozen=True, kw_only=True)
class SkySettings:
    """The sky itself: stars, galaxies, asteroids, and the reference catalogue that knows some of the stars."""

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
    proper_motion_mas_yr: float = 0.0
    """Gaussian scatter of the stars' proper motion on each axis."""
    epoch: float = 2016.0
    """Julian year at which the sources stand where the tables say."""
    reference_mag_limit: float = 21.0
    """The reference catalogue lists the stars brighter than this in r."""
    reference_scatter_mas: float = 0.0
    """Gaussian error of a reference position on each axis."""
    reference_mag_scatter: float = 0.0
    """Gaussian error of a reference magnitude."""
    asteroids: int = 0
    """Bodies that move through the field during the visits."""
    asteroid_mag: tuple[float, float] = (17.0, 20.0)
    asteroid_arcsec_per_hour: tuple[float, float] = (20.0, 200.0)
    """Magnitudes and rates, drawn uniformly between the two."""


@dataclass(frozen=True, kw_only=True)
class VisitSettings:
    """How the telescope points and what the atmosphere does."""

    visits_per_band: int = 5
    first_visit: int = 1
    exposure_time_s: float = 60.0
    dither_arcsec: float = 15.0
    """Dithers fall uniformly in a disc of this radius."""
    rotation_deg: float = 0.5
    """True position angles fall uniformly within plus or minus this of the camera's."""
    pointing_error_arcsec: float = 15.0
    """Headers are wrong by a uniform draw from a disc of this radius."""
    header_rotation_error_deg: float = 0.02
    """Headers are wrong by a uniform draw within plus or minus this, where they tell a rotation at all."""
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
    cloud_mag: float = 0.0
    """Largest extinction by clouds, drawn uniformly from zero."""
    cloud_gradient: float = 0.0
    """Largest relative change of the clouds' transparency from the centre to the edge of the field."""
    sky_electrons: tuple[float, float] = (300.0, 1000.0)
    """Level a pixel in one exposure, drawn uniformly between the two."""
    sky_gradient: float = 0.05
    """Largest relative change of the sky from the centre to the edge of the field."""
    fringe_amplitude: float = 0.0
    """Amplitude of the fringes that the sky makes, relative to the sky; the pattern is fixed on the detector."""
    distortion_pixels: float = 1.5
    """Radial distortion at the corner of the focal plane; it grows with the cube of the radius."""
    trails: float = 0.0
    """Satellite trails a visit, on average."""
    trail_electrons: tuple[float, float] = (100.0, 1000.0)
    """Peak of a trail a pixel, drawn uniformly between the two."""


@dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """The signature of the detectors; each effect can be switched off by its own value."""

    noise: bool = True
    """Photon noise and read noise."""
    quantise: bool = True
    """Round to whole ADU and clip at the converter's range; off, raw frames are float32."""
    overscan_level_adu: float = 1000.0
    """Level of amplifiers; the camera's own bias level where it has one and no overscan."""
    overscan_scatter_adu: float = 10.0
    """Gaussian scatter of an amplifier's level from exposure to exposure, where overscan tells it."""
    overscan_slope_adu: float = 3.0
    """Change of the level from the first row to the last, where overscan tells it."""
    bias_structure_adu: float = 5.0
    """Amplitude of the fixed two-dimensional bias."""
    dark_electrons_per_s: float = 0.05
    """Dark current in the middle of the detector; it grows by a half towards one edge."""
    vignetting: float = 0.04
    """Loss of light at the corner of the focal plane."""
    pixel_response: float = 0.01
    """Gaussian scatter of the response from pixel to pixel."""
    hot_pixels: int = 40
    """Hot pixels a detector."""
    hot_pixel_electrons_per_s: tuple[float, float] = (5.0, 300.0)
    """Current of a hot pixel, drawn uniformly in the logarithm."""
    bad_columns: int = 1
    """Columns a detector, dead from some row upwards."""
    cosmic_rays: float = 0.0
    """Hits a second on a million pixels."""
    bleed_level: float = 0.0
    """Charge above this many times the saturation level runs along the column; zero: it stays."""
    nonlinearity: float = 0.0
    """Relative loss of counts at the saturation level, which grows linearly with the counts."""
    crosstalk: float = 0.0
    """Fraction of an amplifier's counts that appears in each other one, at the place read at the same time."""
    brighter_fatter: float = 0.0
    """Strength of the brighter-fatter effect: relative shift of a pixel's sides by 1e5 electrons in its neighbour."""
    master_noise_adu: float = 0.3
    """Noise of the ready-made bias."""
    master_flat_noise: float = 0.001
    """Relative noise of the ready-made flat."""


@dataclass(frozen=True, kw_only=True)
class CalibrationSettings:
    """Calibration frames, taken in the afternoon before the first night."""

    biases: int = 5
    darks: int = 3
    dark_time_s: float = 60.0
    flats: int = 5
    """In each band."""
    flat_electrons: float = 30000.0
    lamp_scatter: float = 0.02
    """Relative Gaussian scatter of the flats' level."""
    pair_levels: int = 0
    """Levels of which there are two flats each, in the first band, for photon transfer and linearity; the exposure
    times grow, and become shorter again."""
    pair_electrons: tuple[float, float] = (300.0, 100000.0)
    """Lowest and highest of them, the steps growing evenly."""
    pair_scatter: float = 0.0
    """Relative Gaussian scatter of the lamp from one of these flats to the next."""
    pair_drift: float = 0.0
    """Relative change of the lamp from the first of these flats to the last."""


@dataclass(frozen=True, kw_only=True)
class SurveySettings:
    """A survey of one field by one camera; equal settings give equal files."""

    seed: int = 1
    camera: str = "simulated"
    """Name of a shipped camera, or path of a description."""
    ra_deg: float = 150.0
    dec_deg: float = 2.2
    bands: tuple[str, ...] = ("r",)
    detectors: tuple[int, ...] = ()
    """Ids; all when empty."""
    truth_masks: bool = False
    """Whether each frame of the sky gets a mask of its cosmic rays, bleeds, trails and asteroids."""
    header_file: str = ""
    """A FITS file of the camera, or the text of its headers: simulated headers begin with its cards."""
    cards: dict[str, str] = field(default_factory=dict)
    """Header cards that the camera's description cannot tell, as text with ``{visit}``, ``{date_obs}``, ... in it."""
    sky: SkySettings = field(default_factory=SkySettings)
    visits: VisitSettings = field(default_factory=VisitSettings)
    detector: DetectorSettings = field(default_factory=DetectorSettings)
    calibrations: CalibrationSettings = field(default_factory=CalibrationSettings)
