"""A visit of two detectors whose own WCSs and flux scales are wrong, and the tables of a joint fit that are right."""

from __future__ import annotations

from functools import cache
from typing import Any

import astropy.units as u
import numpy as np
from astro_metadata_translator import ObservationInfo
from astropy.table import Table
from astropy.time import Time
from lsst.images import BackgroundMap, Box, SkyProjection
from lsst.images.fields import ChebyshevField
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.images import Exposure, PhotoCalib, fits_header, pixel_to_radec, radec_to_pixel
from skyloom.instruments import Camera
from skyloom.jointcal import PHOTO_CALIB_COLUMNS, WCS_COLUMNS, table_of
from skyloom.skymap import DiscreteSkyMap

NX, NY = 150, 140
BOX = Box.from_shape((NY, NX))
VISIT = 42
SIGMA, ELECTRON_NOISE = 1.8, 0.5
STARS = {0: ((52.3, 61.8, 1.5e5), (96.6, 85.1, 0.8e5)), 1: ((50.2, 58.7, 1.1e5), (98.1, 83.4, 2.0e5))}
"""Positions (x, y) on each detector, and flux in nJy."""
SCALE, SLOPE = {0: 2.2, 1: 1.9}, {0: 0.05, 1: -0.04}
"""True flux scale of each detector, nJy / electron: mean, and relative slope along x."""
OWN_SCALE = 2.0
OWN_SHIFT = 1.5 / 3600
"""By how much the frames' own WCSs are off, degrees of declination."""
SKY = {0: 100.0, 1: 130.0}
"""Sky that was subtracted, electrons; it has a slope along x."""
CENTRE = (150.0, 2.0)


@cache
def camera() -> Camera:
    detectors = "".join(
        f"""
  - id: {one}
    name: c{one}
    size: [{NX}, {NY}]
    position: [{(NX + 12) * (one - 0.5)}, 0]
    amplifiers:
      - name: A
        box: {{x: [0, {NX}], y: [0, {NY}]}}
        raw: {{box: {{x: [0, {NX}], y: [0, {NY}]}}, data: {{x: [0, {NX}], y: [0, {NY}]}}}}
        readout_corner: LL
        gain: 1.0
        read_noise: 1.0
        saturation: 60000"""
        for one in STARS
    )
    return Camera.from_yaml(f"""
name: tiny
telescope: Small
recognise: {{INSTRUME: tiny}}
position_unit: px
pixel_scale: 0.25 arcsec
pixel_size: 15 um
pointing_error: 30 arcsec
detectors:{detectors}
filters:
  r: {{band: r}}
header: {{exposure_id: EXPNUM, detector: DETNUM, exposure_time: EXPTIME, date: DATE-OBS, ra: RA, dec: DEC,
  filter: FILTER, observation_type: IMGTYPE}}
""")


def projection(detector: int, shift: float = 0.0) -> SkyProjection[Any]:
    """The true WCS of a detector, or one that is shifted in declination."""
    ra, dec = CENTRE
    return camera().projection(detector, ra=ra, dec=dec + shift, rotation_deg=7.0, visit=VISIT)


def true_scale(detector: int) -> PhotoCalib:
    return PhotoCalib(SCALE[detector], 0.01, ChebyshevField(BOX, np.array([[1.0, SLOPE[detector]], [0.0, 0.0]])))


def sky(detector: int, unit: u.UnitBase = u.nJy, factor: float = 1.0) -> BackgroundMap:
    """The sky that was subtracted, times a factor, in electrons or nJy of the frame's own scale."""
    level = factor * SKY[detector] * (1.0 if unit == u.electron else OWN_SCALE)
    background = BackgroundMap()
    background.add("sky", ChebyshevField(BOX, np.array([[level, 0.2 * level]]), unit=unit), is_subtracted=True)
    return background


@cache
def _electrons(detector: int) -> np.ndarray:
    """Stars and noise as the detector saw them."""
    y, x = np.indices(BOX.shape)
    image = np.random.default_rng(detector).normal(0.0, ELECTRON_NOISE, BOX.shape)
    for at_x, at_y, flux in STARS[detector]:
        profile = np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2)
        image += flux * profile / true_scale(detector).scale_pixels(BOX)
    return image


def frame(detector: int, psf_sigma: float = SIGMA) -> Exposure:
    """A frame calibrated with a WCS and a flux scale that are wrong."""
    return Exposure.from_arrays(
        OWN_SCALE * _electrons(detector),
        variance=np.full(BOX.shape, (OWN_SCALE * ELECTRON_NOISE) ** 2),
        unit=u.nJy,
        detector=camera().detector(detector, VISIT),
        projection=projection(detector, OWN_SHIFT),
        psf=GaussianPointSpreadFunction(psf_sigma, BOX, 25),
        band="r",
        photo_calib=PhotoCalib(OWN_SCALE, 0.02),
        obs_info=ObservationInfo.makeObservationInfo(
            instrument="tiny",
            telescope="Small",
            physical_filter="r",
            exposure_id=VISIT,
            visit_id=VISIT,
            exposure_time=30.0 * u.s,
            datetime_begin=Time("2026-01-01T03:04:05", scale="tai"),
        ),
    )


def joint_tables(*refused: int, missing: tuple[int, ...] = ()) -> dict[str, Table]:
    """The tables of the joint fit, which tell the truth."""
    wcs, scales = [], []
    for detector in (one for one in STARS if one not in missing):
        header, residual = fits_header(projection(detector), BOX)
        bad = detector in refused
        common = {"detector": detector, "x1": NX, "y1": NY, "refused": bad, "reason": "too few stars" if bad else ""}
        text = header.tostring(sep="\n", endcard=False, padding=False)
        wcs.append(dict.fromkeys(WCS_COLUMNS, 0) | common | {"wcs": text, "wcs_residual": residual})
        scale = {"calibration_mean": SCALE[detector], "calibration_err": 0.01}
        scale["chebyshev"] = np.array([1.0, SLOPE[detector], 0.0, 0.0])
        scales.append(dict.fromkeys(PHOTO_CALIB_COLUMNS, 0) | common | scale)
    return {"joint_wcs": table_of(wcs, WCS_COLUMNS), "joint_photo_calib": table_of(scales, PHOTO_CALIB_COLUMNS)}


@cache
def sky_map(patch_size: int = 500, border: int = 10) -> DiscreteSkyMap:
    """One tract that holds both detectors: of one patch, unless patches are smaller."""
    ra, dec = CENTRE
    circle = {"ra": ra, "dec": dec, "radius": 0.016}
    size = (patch_size, patch_size)
    return DiscreteSkyMap(name="field", tracts=(circle,), pixel_scale=0.25, patch_size=size, patch_border=border)


def true_stars(warp: Exposure, detector: int) -> list[tuple[float, float, float]]:
    """Positions (x, y) of a detector's stars on the pixels of a warp, and fluxes in nJy."""
    found = []
    for x, y, flux in STARS[detector]:
        at_x, at_y = radec_to_pixel(warp.projection, *pixel_to_radec(projection(detector), x, y))
        found.append((float(at_x), float(at_y), flux))
    return found
