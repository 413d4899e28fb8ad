"""Stars and galaxies with truth, seen by dithered, turned frames of two bands, and their coadds on four patches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import astropy.units as u
import galsim
import numpy as np
from astropy.wcs import WCS
from lsst.images import Box, DetectorFrame, SkyProjection

from skyloom.coadd import CoaddSettings, ExposureHandle, Statistic, assemble_coadd, prepare_inputs
from skyloom.images import Exposure, radec_to_pixel
from skyloom.psf import PixelGridPsf, psf_stamps
from skyloom.skymap import DiscreteSkyMap
from skyloom.warp import VisitWarp, WarpSettings

RA, DEC, SCALE = 150.0, 2.0, 0.2
FRAME = Box.factory[0:760, 0:760]
STAMP, NOISE = 41, 10.0
"""Side of the PSF's stamps, px, and noise of a pixel of a frame, nJy."""
VISITS = {
    1: ("r", 380.0, 380.0, 0.4, 3.4),
    2: ("r", 388.3, 371.2, 7.0, 3.9),
    3: ("r", 371.8, 390.6, 183.0, 4.4),
    4: ("r", 381.1, 379.7, 91.5, 3.6),
    5: ("g", 379.4, 383.1, 2.0, 4.0),
    6: ("g", 385.7, 376.6, 95.0, 4.5),
}
"""Band, reference pixel (x, y), rotation (degrees) and FWHM (px) of each visit."""
BANDS = ("g", "r")
LIT = {"r": 1, "g": 2}
"""Of the sources that are in one band only, which band."""
GALAXY_FWHM = 5.0
"""Of the Gaussian galaxies before the PSF, px."""


@dataclass(frozen=True)
class Truth:
    """The sources: positions on the tract and on the sky, and what they are."""

    x: np.ndarray
    y: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    flux: dict[str, np.ndarray]
    """nJy, by band."""
    galaxy: np.ndarray
    bands: np.ndarray
    """0: both; 1: r alone; 2: g alone."""


@cache
def sky_map() -> DiscreteSkyMap:
    """One tract of 2 x 2 patches of 300 px."""
    circle = {"ra": RA, "dec": DEC, "radius": 299 * SCALE / 3600}
    return DiscreteSkyMap(
        name="field", tracts=(circle,), pixel_scale=SCALE, patch_size=(300, 300), patch_border=40, projection="TAN"
    )


@cache
def truth() -> Truth:
    """Sources on a grid of 25 px, each at a phase of its own, fluxes over a factor of 200; one in 12 a galaxy."""
    rng = np.random.default_rng(5)
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(13, 600, 25.0), np.arange(13, 600, 25.0)))
    x, y = x + rng.uniform(-2.5, 2.5, x.size), y + rng.uniform(-2.5, 2.5, y.size)
    flux = {band: 10.0 ** rng.uniform(2.3, 4.6, x.size) for band in BANDS}
    bands = np.where(rng.uniform(size=x.size) < 0.4, rng.integers(1, 3, x.size), 0)
    galaxy = rng.uniform(size=x.size) < 1.0 / 12.0
    for band in BANDS:
        flux[band] = np.where((bands == 0) | (bands == LIT[band]), flux[band], 0.0)
    ra, dec = sky_map().tract(0).grid.positions_of(x, y)
    return Truth(x, y, ra, dec, flux, galaxy, bands)


def projection(visit: int) -> SkyProjection:
    _, x, y, angle, _ = VISITS[visit]
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [RA, DEC], [x + 1, y + 1]
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.cd = SCALE / 3600 * np.diag([-1.0, 1.0]) @ [[c, -s], [s, c]]
    return SkyProjection.from_fits_wcs(wcs, DetectorFrame(instrument="x", visit=visit, detector=0, bbox=FRAME))


def _profile(fwhm: float, *, galaxy: bool = False) -> np.ndarray:
    """A Moffat star, or a Gaussian galaxy seen through it."""
    star = galsim.Moffat(beta=3.0, fwhm=fwhm)
    source = galsim.Convolve(star, galsim.Gaussian(fwhm=GALAXY_FWHM)) if galaxy else star
    grid: np.ndarray = source.drawImage(nx=STAMP, ny=STAMP, scale=1.0).array.astype(float)
    return grid / grid.sum()


def add_sources(image: np.ndarray, profile: np.ndarray, x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> None:
    """Add sources of one profile, whose stamps may reach over the border."""
    stamps, x0, y0 = psf_stamps(PixelGridPsf(profile[None], order=0, bounds=FRAME), x, y)
    for stamp, column, row, light in zip(stamps, x0, y0, flux, strict=True):
        bottom, left = max(row, 0), max(column, 0)
        top, right = min(row + STAMP, image.shape[0]), min(column + STAMP, image.shape[1])
        if top > bottom and right > left:
            image[bottom:top, left:right] += light * stamp[bottom - row : top - row, left - column : right - column]


def frame(visit: int, changes: dict[int, float] | None = None, seed: int = 0) -> Exposure:
    """A calibrated frame; ``changes`` are factors on the fluxes of single sources."""
    band, _, _, _, fwhm = VISITS[visit]
    sky, own = truth(), projection(visit)
    flux = sky.flux[band].copy()
    for number, factor in (changes or {}).items():
        flux[number] *= factor
    x, y = radec_to_pixel(own, sky.ra, sky.dec)
    image = np.random.default_rng([seed, visit]).normal(0.0, NOISE, FRAME.shape)
    for kind in (False, True):
        mine = sky.galaxy == kind
        add_sources(image, _profile(fwhm, galaxy=kind), x[mine], y[mine], flux[mine])
    psf = PixelGridPsf(_profile(fwhm)[None], order=0, bounds=FRAME)
    spread = np.full(FRAME.shape, NOISE**2)
    return Exposure.from_arrays(image, None, spread, unit=u.nJy, projection=own, psf=psf, band=band)


@cache
def frames() -> dict[int, Exposure]:
    """The frames of all visits; the fluxes do not change."""
    return {visit: frame(visit) for visit in VISITS}


@cache
def _coadd(patch: int, band: str) -> Exposure:
    tract = sky_map().tract(0)
    box, handles = tract.patch(patch).outer_bbox, []
    for visit, exposure in frames().items():
        if VISITS[visit][0] == band:
            warp = VisitWarp(visit, box, tract.projection, WarpSettings(kernel="lanczos3"))
            warp.add(0, exposure)
            handles.append(ExposureHandle(warp.finish(), visit))
    settings = CoaddSettings(statistic=Statistic.MEAN)
    inputs, skipped = prepare_inputs(handles, settings.bad_planes)
    assert not skipped
    return assemble_coadd(inputs, box, tract.projection, settings, band=band)[0]


def coadd(patch: int, band: str = "r") -> Exposure:
    """The mean of the warps of a band on a patch; a copy."""
    return _coadd(patch, band).copy()
