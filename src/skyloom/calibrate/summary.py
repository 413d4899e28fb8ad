"""Summary statistics of a frame, in the fields of `lsst.images.ObservationSummaryStats`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.images import ObservationSummaryStats

from skyloom.catalog.columns import flag_column, float_column
from skyloom.errors import PsfError
from skyloom.images.mask_planes import MASK_PLANES, MASK_SCHEMA, bitmask
from skyloom.images.projection import corner_polygon, pixel_scale, pixel_to_radec
from skyloom.kernels.higher_moments import stamp_shapes
from skyloom.kernels.mask_fractions import bit_counts
from skyloom.kernels.statistics import clipped_mean
from skyloom.psf import psf_sigma, psf_stamps

from .depth import effective_time_s, effective_time_scales, magnitude_limit
from .psf_variation import distance_to_nearest, field_variation, psf_variation, usable_grid
from .star_shapes import compared_stars, higher_moment_medians, shape_residuals
from .summary_settings import SummarySettings
from .zenith import zenith_distance_deg

if TYPE_CHECKING:
    from lsst.images.cameras import Detector

    from skyloom.images.exposure import Exposure

    from .frame import CalibratedFrame

__all__ = ["summarise"]

_PIXELS_FOR_NOISE = 1_500_000
_SKY_LEFT = "sky_left_electron"
_KNOWN = {
    "skyBg": "sky_background",
    "refCatSourceDensity": "reference_density_per_deg2",
    "psfAdaptiveThresholdValue": "psf_adaptive_threshold_value",
    "psfAdaptiveIncludeThresholdMultiplier": "psf_adaptive_include_threshold_multiplier",
}
"""Fields that earlier stages have left in the metadata."""
_MIN_APERTURE_PX, _APERTURE_SIGMA = 2.0, 3.0


def summarise(frame: CalibratedFrame, settings: SummarySettings | None = None) -> None:
    """Attach the summary statistics to the exposure, from whatever has been obtained; what has not is NaN.

    Sky, noise and variance are in the unit of the pixels at this point, electrons; the zero point is that of one
    electron.

    Parameters
    ----------
    frame
        Pixels not yet in nJy.
    settings
        The defaults where not given.
    """
    settings = settings or SummarySettings()
    exposure = frame.exposure
    values: dict[str, Any] = {"nPsfStar": frame.metadata.get("n_psf_stars", 0)}
    values |= {theirs: frame.metadata.get(ours, np.nan) for theirs, ours in _KNOWN.items()}
    noise = _noise(exposure, settings)
    frame.metadata[_SKY_LEFT] = noise.pop(_SKY_LEFT)
    values |= noise
    if exposure.psf is not None:
        values |= _psf(frame, settings)
    if frame.astrometry is not None:
        values |= _place(exposure) | _matches(frame)
    values |= _observation(exposure, values)
    if frame.photo_calib is not None:
        values["zeroPoint"] = frame.photo_calib.zero_point_mag
        values |= _depth(exposure, values, settings)
    exposure.summary = ObservationSummaryStats(**values)
    known = ("psfSigma", "psf_sigma"), ("skyNoise", "sky_noise"), ("pixelScale", "pixel_scale")
    frame.metadata |= {ours: values[theirs] for theirs, ours in known if theirs in values}
    frame.metadata |= _mask_fractions(exposure) | _counts(frame)
    exposure.metadata |= frame.metadata


def _noise(exposure: Exposure, settings: SummarySettings) -> dict[str, float]:
    """Mean and scatter of the sky's pixels and mean of their variance, clipped; of every few rows and columns."""
    step = max(1, int(np.sqrt(exposure.image.array.size / _PIXELS_FOR_NOISE)))
    image, variance, bits = (
        plane[::step, ::step] for plane in (exposure.image.array, exposure.variance.array, exposure.bits)
    )
    sky = (bits & bitmask(*settings.not_sky_planes)) == 0
    sky &= np.isfinite(image) & np.isfinite(variance)
    left, scatter, _ = clipped_mean(image[sky].astype(np.float64))
    mean, _, _ = clipped_mean(variance[sky].astype(np.float64))
    return {"skyNoise": float(scatter), "meanVar": float(mean), _SKY_LEFT: float(left)}


def _psf(frame: CalibratedFrame, settings: SummarySettings) -> dict[str, float]:
    """Width, area and moments of the PSF at the centre, its change over the frame, and how its stars differ from it."""
    exposure, table = frame.exposure, frame.sources
    assert exposure.psf is not None
    try:
        sigma = psf_sigma(exposure.psf)
        x, y = _centre(exposure)
        stamp = psf_stamps(exposure.psf, x, y, centred=True)[0]
    except PsfError:
        return {}
    middle = np.array([stamp.shape[1] // 2], dtype=np.float64)
    xx, yy, xy = stamp_shapes(stamp, middle, middle, sigma)[0].tolist()
    values = {
        "psfSigma": sigma,
        "psfArea": float(stamp.sum() ** 2 / np.sum(stamp**2)),
        "psfIxx": xx,
        "psfIyy": yy,
        "psfIxy": xy,
    }
    values |= _psf_variation(exposure, sigma, settings)
    if table is not None and "calib_psf_used" in table.colnames:
        used = table[flag_column(table, "calib_psf_used")]
        x_grid, y_grid = usable_grid(exposure, settings.distance_spacing, settings.unusable_planes)
        star_x, star_y = float_column(used, "x"), float_column(used, "y")
        values["maxDistToNearestPsf"] = distance_to_nearest(x_grid, y_grid, star_x, star_y)
        stars = table[compared_stars(table, settings)]
        values |= higher_moment_medians(exposure, stars, settings.unusable_planes)
        with contextlib.suppress(PsfError):
            values |= shape_residuals(stars, exposure.psf, sigma)
    return values


def _psf_variation(exposure: Exposure, sigma: float, settings: SummarySettings) -> dict[str, float]:
    """Peak to peak over the frame of the PSF and of the aperture correction of its flux."""
    assert exposure.psf is not None
    x, y = usable_grid(exposure, settings.psf_spacing, settings.unusable_planes)
    values: dict[str, float] = {}
    with contextlib.suppress(PsfError):
        values |= psf_variation(exposure.psf, x, y, sigma, max(_MIN_APERTURE_PX, _APERTURE_SIGMA * sigma))
    correction = exposure.aperture_corrections.get("psf_flux")
    if correction is not None:
        values["psfApCorrSigmaScaledDelta"] = field_variation(correction, x, y) / sigma
    return values


def _place(exposure: Exposure) -> dict[str, Any]:
    """Position, corners and scale of a frame."""
    assert exposure.projection is not None
    x, y = _centre(exposure)
    ra, dec = pixel_to_radec(exposure.projection, x, y)
    ra_corners, dec_corners = corner_polygon(exposure.projection, exposure.bbox)
    return {
        "ra": float(ra),
        "dec": float(dec),
        "raCorners": tuple(float(angle) for angle in ra_corners),
        "decCorners": tuple(float(angle) for angle in dec_corners),
        "pixelScale": float(pixel_scale(exposure.projection, x, y)),
    }


def _matches(frame: CalibratedFrame) -> dict[str, float]:
    """Distances of the astrometric matches, arcsec."""
    assert frame.astrometry is not None
    matches = frame.astrometry.matches
    distance = float_column(matches, "separation")[np.asarray(matches["fitted"])]
    return {"astromOffsetMean": float(distance.mean()), "astromOffsetStd": float(distance.std())}


def _observation(exposure: Exposure, values: dict[str, Any]) -> dict[str, float]:
    """Exposure time and zenith distance, where the header tells what they need."""
    info = exposure.obs_info
    if info is None:
        return {}
    time = np.nan if info.exposure_time is None else float(info.exposure_time.to_value("s"))
    place = (values.get("ra", np.nan), values.get("dec", np.nan))
    return {"expTime": time, "zenithDistance": zenith_distance_deg(info, *place)}


def _depth(exposure: Exposure, values: dict[str, Any], settings: SummarySettings) -> dict[str, float]:
    """Magnitude limit and effective exposure time; NaN without detector, or without fiducial of the band."""
    area, sigma, time = (values.get(name, np.nan) for name in ("psfArea", "psfSigma", "expTime"))
    sky, zero_point = values["skyBg"], values["zeroPoint"]
    limit = np.nan
    if exposure.detector is not None:
        limit = magnitude_limit(zero_point, area, sky, _read_noise(exposure.detector), settings.limit_signal_to_noise)
    fiducial = settings.fiducial(exposure.band)
    if fiducial is None:
        return {"magLim": limit}
    scales = effective_time_scales(sigma, sky, zero_point, time, fiducial, settings.transparency_max)
    return {"magLim": limit, "effTime": effective_time_s(limit, fiducial)} | scales


def _read_noise(detector: Detector) -> float:
    """Mean of the amplifiers, electrons; NaN where none is known."""
    known = [amplifier.nominal_calibrations for amplifier in detector.amplifiers]
    values = [float(calibrations.read_noise) for calibrations in known if calibrations is not None]
    return float(np.mean(values)) if values else np.nan


def _mask_fractions(exposure: Exposure) -> dict[str, float]:
    """Share of the pixels that each mask plane covers."""
    counts = bit_counts(exposure.bits) / exposure.bits.size
    bits = {name: int(MASK_SCHEMA.bit(name).mask).bit_length() - 1 for name in MASK_PLANES}
    return {f"mask_fraction_{name.lower()}": float(counts[bit]) for name, bit in bits.items()}


def _counts(frame: CalibratedFrame) -> dict[str, float | int]:
    """Numbers of sources with some flags, and what is measured where there is none."""
    table = frame.sources
    if table is None:
        return {}
    empty = flag_column(table, "flag_sky_source")
    flags = {"n_saturated_sources": "flag_saturated", "n_bad_sources": "flag_bad", "n_blended_sources": "flag_blended"}
    counts: dict[str, float | int] = {
        name: int((flag_column(table, flag) & ~empty).sum()) for name, flag in flags.items()
    }
    flux = float_column(table, "psf_flux")[empty]
    flux = flux[np.isfinite(flux)]
    if flux.size == 0:
        return counts
    return counts | {
        "sky_source_psf_flux_median_electron": float(np.median(flux)),
        "sky_source_psf_flux_scatter_electron": float(1.4826 * np.median(np.abs(flux - np.median(flux)))),
    }


def _centre(exposure: Exposure) -> tuple[float, float]:
    """Middle of the frame, pixels."""
    box = exposure.bbox
    return 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)
