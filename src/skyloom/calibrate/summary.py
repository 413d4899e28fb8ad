"""Summary statistics of a frame, in the fields of `lsst.images.ObservationSummaryStats`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.images import ObservationSummaryStats

from skyloom.catalog.columns import float_column
from skyloom.images.mask_planes import bitmask
from skyloom.images.projection import corner_polygon, pixel_scale, pixel_to_radec
from skyloom.kernels.moments import shapes
from skyloom.psf import psf_sigma, psf_stamps

from .sizes import model_widths

if TYPE_CHECKING:
    from astro_metadata_translator import ObservationInfo

    from skyloom.images.exposure import Exposure

    from .frame import CalibratedFrame

__all__ = ["summarise"]

_NO_SKY = ("BAD", "SAT", "INTRP", "CR", "DETECTED", "DETECTED_NEGATIVE", "SUSPECT", "NO_DATA", "EDGE")


def summarise(frame: CalibratedFrame) -> None:
    """Attach the summary statistics to the exposure, from whatever has been obtained.

    Sky, noise and variance are in the unit of the pixels at this point, electrons; the zero point is that of one
    electron.  The magnitude limit is that of a star whose PSF flux is five times the noise of the sky under it.
    """
    exposure = frame.exposure
    values: dict[str, Any] = _noise(exposure)
    values["skyBg"] = frame.metadata.get("sky_background", np.nan)
    values["nPsfStar"] = frame.metadata.get("n_psf_stars", 0)
    if exposure.psf is not None:
        values |= _psf(frame)
    if frame.astrometry is not None:
        values |= _sky(frame)
    if frame.photo_calib is not None:
        values["zeroPoint"] = frame.photo_calib.zero_point_mag
        limit = 5.0 * np.sqrt(values["psfArea"]) * values["skyNoise"]
        values["magLim"] = float(frame.photo_calib.to_magnitude(limit))
    if exposure.obs_info is not None:
        values |= _observation(exposure.obs_info)
    exposure.summary = ObservationSummaryStats(**values)
    known = ("psfSigma", "psf_sigma"), ("skyNoise", "sky_noise"), ("pixelScale", "pixel_scale")
    frame.metadata |= {ours: values[theirs] for theirs, ours in known if theirs in values}
    exposure.metadata |= frame.metadata


def _noise(exposure: Exposure) -> dict[str, float]:
    """Scatter of the sky's pixels and mean of the variance plane, clipped."""
    sky = (exposure.bits & bitmask(*_NO_SKY)) == 0
    sky &= np.isfinite(exposure.image.array) & np.isfinite(exposure.variance.array)
    pixels = exposure.image.array[sky].astype(np.float64)
    for _ in range(2):
        if pixels.size == 0:
            break
        pixels = pixels[np.abs(pixels - pixels.mean()) <= 3.0 * pixels.std()]
    variance = exposure.variance.array[sky].astype(np.float64)
    return {
        "skyNoise": float(pixels.std()) if pixels.size else np.nan,
        "meanVar": float(np.median(variance)) if variance.size else np.nan,
    }


def _psf(frame: CalibratedFrame) -> dict[str, float]:
    """Width, area and moments of the PSF at the centre, and how its stars differ from it."""
    exposure = frame.exposure
    assert exposure.psf is not None
    x, y = _centre(exposure)
    stamp = psf_stamps(exposure.psf, x, y, centred=True)[0][0]
    middle = np.array([stamp.shape[0] // 2], dtype=np.float64)
    sigma = psf_sigma(exposure.psf)
    (xx, yy, xy), *_ = shapes(stamp, np.zeros_like(stamp), middle, middle, sigma, 2.0)[0].tolist()
    values = {
        "psfSigma": sigma,
        "psfArea": float(stamp.sum() ** 2 / np.sum(stamp**2)),
        "psfIxx": xx,
        "psfIyy": yy,
        "psfIxy": xy,
    }
    if frame.stars is not None and "calib_psf_used" in frame.stars.colnames:
        stars = frame.stars[np.asarray(frame.stars["calib_psf_used"])]
        width, expected = model_widths(stars, exposure.psf)
        delta = width - expected
        if np.isfinite(delta).any():
            values["psfStarDeltaSizeMedian"] = float(np.nanmedian(delta))
            values["psfStarDeltaSizeScatter"] = 1.4826 * float(np.nanmedian(np.abs(delta - np.nanmedian(delta))))
    return values


def _sky(frame: CalibratedFrame) -> dict[str, Any]:
    """Position, corners, scale, and the distances of the astrometric matches."""
    exposure = frame.exposure
    assert exposure.projection is not None
    assert frame.astrometry is not None
    x, y = _centre(exposure)
    ra, dec = pixel_to_radec(exposure.projection, x, y)
    ra_corners, dec_corners = corner_polygon(exposure.projection, exposure.bbox)
    distance = float_column(frame.astrometry.matches, "separation")[np.asarray(frame.astrometry.matches["fitted"])]
    return {
        "ra": float(ra),
        "dec": float(dec),
        "raCorners": tuple(float(angle) for angle in ra_corners),
        "decCorners": tuple(float(angle) for angle in dec_corners),
        "pixelScale": float(pixel_scale(exposure.projection, x, y)),
        "astromOffsetMean": float(distance.mean()),
        "astromOffsetStd": float(distance.std()),
    }


def _observation(info: ObservationInfo) -> dict[str, float]:
    """Exposure time and zenith distance, where the header tells them."""
    values: dict[str, float] = {}
    if info.exposure_time is not None:
        values["expTime"] = float(info.exposure_time.to_value("s"))
    if info.altaz_begin is not None:
        values["zenithDistance"] = 90.0 - float(info.altaz_begin.alt.to_value("deg"))
    elif info.boresight_airmass is not None and info.boresight_airmass >= 1.0:
        values["zenithDistance"] = float(np.degrees(np.arccos(1.0 / info.boresight_airmass)))
    return values


def _centre(exposure: Exposure) -> tuple[float, float]:
    """Middle of the frame, pixels."""
    box = exposure.bbox
    return 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)
