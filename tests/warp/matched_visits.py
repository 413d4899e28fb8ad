"""A visit of two detectors with PSFs of their own, warped, for the tests of PSF matching."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.wcs import WCS
from lsst.images import Box, DetectorFrame, SkyProjection, TractFrame

from skyloom.images import Exposure
from skyloom.psf import PixelGridPsf, psf_stamps
from skyloom.warp import VisitWarp, map_positions

PATCH = Box.factory[0:330, 0:470]
DETECTOR = Box.factory[0:320, 0:210]
FLUX = 1e5
STARS_X, STARS_Y = (
    grid.ravel() for grid in np.meshgrid([60.3, 120.8, 172.1, 290.4, 344.0, 401.6], [70.2, 160.7, 251.5])
)
"""Positions on the patch: three columns a detector, none of them near a border."""


def projection(frame: object, x: float, y: float, angle_deg: float = 0.0) -> SkyProjection:
    """TAN about (150, 2) at pixel (x, y), rotated."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [x + 1, y + 1]
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    wcs.wcs.cd = 0.2 / 3600 * np.diag([-1.0, 1.0]) @ [[c, -s], [s, c]]
    return SkyProjection.from_fits_wcs(wcs, frame)


TRACT = projection(TractFrame(skymap="s", tract=0, bbox=PATCH), 235.0, 165.0)


def moffat_psf(fwhm: float, beta: float, ellipticity: float, box: Box = DETECTOR) -> PixelGridPsf:
    """A Moffat profile, wider by 10 % at the right border than at the left one."""
    y, x = np.mgrid[-14:15, -14:15].astype(float)
    stamps = []
    for width in (fwhm, 1.1 * fwhm):
        scale = 0.5 * width / np.sqrt(2 ** (1 / beta) - 1)
        r2 = (1 + ellipticity) * x**2 + (1 - ellipticity) * y**2 + 0.5 * ellipticity * x * y
        stamp = (1 + r2 / scale**2) ** -beta
        stamps.append(stamp / stamp.sum())
    change = (stamps[1] - stamps[0]) / (box.x.size - 1)
    return PixelGridPsf(np.array([stamps[0], np.zeros_like(change), change]), order=1, bounds=box)


def frame(detector: int, psf: PixelGridPsf, noise: float = 0.0) -> Exposure:
    """A detector's frame of stars; detector 0 lies to the left of detector 1, with a gap between."""
    source = projection(
        DetectorFrame(instrument="x", visit=1, detector=detector, bbox=DETECTOR),
        *((224.0, 161.0), (-21.0, 158.0))[detector],
        angle_deg=0.7,
    )
    image = np.random.default_rng(detector).normal(0.0, noise, DETECTOR.shape)
    x, y = map_positions(source, TRACT, STARS_X, STARS_Y)
    near = (x > 20) & (x < DETECTOR.x.size - 20)
    stamps, x0, y0 = psf_stamps(psf, x[near], y[near])
    for stamp, left, bottom in zip(stamps, x0, y0, strict=True):
        image[bottom : bottom + stamp.shape[0], left : left + stamp.shape[1]] += FLUX * stamp
    spread = np.full(DETECTOR.shape, noise**2 or 1.0)
    return Exposure.from_arrays(image, None, spread, unit=u.nJy, projection=source, psf=psf, band="r")


def visit_warp(psfs: dict[int, PixelGridPsf], noise: float = 0.0) -> Exposure:
    """The warp of the visit."""
    warp = VisitWarp(1, PATCH, TRACT)
    for detector, psf in psfs.items():
        warp.add(detector, frame(detector, psf, noise))
    return warp.finish()
