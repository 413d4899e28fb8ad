"""Write the FITS files of a survey: raw frames and calibration masters, with the camera's keywords."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from .scene import draw_sky, draw_sources
from .signature import expose, gain_map, make_signature

if TYPE_CHECKING:
    from astropy.table import Table

    from .settings import SurveySettings
    from .visits import Visit

__all__ = ["raw_file_name", "simulate_raw", "write_masters", "write_raw"]

INSTRUMENT = "simulated"
_STREAM_FRAME, _STREAM_MASTER = 401, 402
_FLAT_LEVEL_ELECTRONS = 30000.0


def raw_file_name(visit: int, detector: int) -> str:
    """Name of the file of one raw frame."""
    return f"sim_{visit:06d}_{detector}.fits"


def simulate_raw(settings: SurveySettings, sky: Table, visit: Visit, detector: int) -> np.ndarray:
    """Pixels (ADU, ``[y, x]``) of one raw frame; they depend on seed, visit and detector alone."""
    rng = np.random.default_rng([settings.seed, _STREAM_FRAME, visit.visit, detector])
    light = draw_sky(visit, detector)
    draw_sources(visit, settings.visits.moffat_beta, detector, sky, light)
    np.maximum(light, 0.0, out=light)
    signature = make_signature(settings.detector, settings.seed, detector, visit.band)
    return expose(light, signature, settings.detector, rng)


def write_raw(directory: Path, settings: SurveySettings, sky: Table, visit: Visit, detector: int) -> Path:
    """Simulate one raw frame and write it as ``sim_<visit>_<detector>.fits``."""
    path = directory / raw_file_name(visit.visit, detector)
    header = _header(detector, "science", visit.band)
    header["EXPNUM"] = (visit.visit, "Exposure number")
    header["EXPTIME"] = (visit.exposure_time_s, "[s]")
    header["DATE-OBS"] = (visit.date_obs, "Start of the exposure")
    header["TIMESYS"] = "UTC"
    header["RA"] = (visit.header_ra_deg, "[deg] Boresight, ICRS")
    header["DEC"] = (visit.header_dec_deg, "[deg] Boresight, ICRS")
    header["ROTANG"] = (visit.header_rotation_deg, "[deg] Position angle of the focal plane's +y")
    header["AIRMASS"] = visit.airmass
    header["OBJECT"] = "simulated field"
    header["BUNIT"] = "adu"
    _write(path, simulate_raw(settings, sky, visit, detector), header)
    return path


def write_masters(directory: Path, settings: SurveySettings, detector: int) -> list[Path]:
    """Write the trimmed masters of one CCD in ADU: ``bias_<detector>.fits`` and a ``flat_<band>_<detector>.fits`` a
    band.  A flat is a lamp exposure with overscan and bias taken off: it still holds the gains.
    """
    rng = np.random.default_rng([settings.seed, _STREAM_MASTER, detector])
    options, paths = settings.detector, []
    for index, band in enumerate(settings.bands):
        signature = make_signature(options, settings.seed, detector, band)
        if index == 0:
            noise = options.master_noise_adu * rng.standard_normal(signature.bias.shape) * options.noise
            paths.append(directory / f"bias_{detector}.fits")
            _write(paths[-1], (signature.bias + noise).astype(np.float32), _header(detector, "bias", None))
        lamp = _FLAT_LEVEL_ELECTRONS * signature.flat
        lamp *= 1.0 + options.master_flat_noise * rng.standard_normal(lamp.shape) * options.noise
        paths.append(directory / f"flat_{band}_{detector}.fits")
        _write(paths[-1], (lamp / gain_map()).astype(np.float32), _header(detector, "flat", band))
    return paths


def _header(detector: int, image_type: str, band: str | None) -> fits.Header:
    header = fits.Header()
    header["INSTRUME"] = INSTRUMENT
    header["DETNUM"] = detector
    header["IMGTYPE"] = image_type
    if band is not None:
        header["FILTER"] = band
    if image_type != "science":
        header["BUNIT"] = "adu"
        header["DATE-OBS"] = ("2026-01-14T12:00:00", "Afternoon before the first night")
    return header


def _write(path: Path, pixels: np.ndarray, header: fits.Header) -> None:
    fits.PrimaryHDU(pixels, header).writeto(path, overwrite=True)
