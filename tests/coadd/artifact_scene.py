"""Warps of one field with stars in changing seeing, to which artifacts are added one by one."""

from __future__ import annotations

import dataclasses

import astropy.units as u
import numpy as np
from astropy.table import Table
from astropy.wcs import WCS
from lsst.images import Box, SkyProjection, TractFrame
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.coadd import CoaddInput, ExposureHandle, prepare_inputs
from skyloom.detection import DetectionSettings, detect_sources
from skyloom.images import Exposure, bitmask
from skyloom.psf import CoaddPsf, CoaddPsfComponent

NOISE = 5.0
FWHM = 2.3548
SEEING = (3.2 / FWHM, 4.6 / FWHM)
"""Sigma of the PSF, px: 3.2 to 4.6 px FWHM."""


def tract(box: Box) -> SkyProjection:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.cd = [150.0, 2.0], np.diag([-0.25, 0.25]) / 3600
    wcs.wcs.crpix = [box.x.start + box.x.size / 2, box.y.start + box.y.size / 2]
    return SkyProjection.from_fits_wcs(wcs, TractFrame(skymap="s", tract=0, bbox=box))


@dataclasses.dataclass
class Scene:
    """Warps of visits 1, 2, ... of one field."""

    box: Box
    stars: Table
    """x, y (px of the tract) and flux (nJy)."""
    warps: list[Exposure]
    sigmas: np.ndarray

    @property
    def projection(self) -> SkyProjection:
        return tract(self.box)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y of all pixels."""
        y, x = np.mgrid[self.box.y.start : self.box.y.stop, self.box.x.start : self.box.x.stop].astype(float)
        return x, y

    def add_star(self, n: int, x: float, y: float, flux: float) -> None:
        """A point source in one warp."""
        draw(self.warps[n].image.array, self.box, x, y, flux, self.sigmas[n])

    def trail(self, x0: float, y0: float, angle: float, width: float = 6.0) -> np.ndarray:
        """Bool ``[y, x]``: within half a width of a line through a point, at an angle (rad) to the rows."""
        x, y = self.grid()
        across = -(x - x0) * np.sin(angle) + (y - y0) * np.cos(angle)
        return (across >= -width / 2) & (across < width / 2)

    def detect(self) -> None:
        """Mark what each warp shows by itself, as single-frame calibration does."""
        for warp, sigma in zip(self.warps, self.sigmas, strict=True):
            detect_sources(warp, sigma, DetectionSettings(negative=True))
            warp.bits[...] &= ~np.int32(bitmask("EDGE"))

    def inputs(self, bad_planes: tuple[str, ...] = ("NO_DATA", "BAD", "SAT", "CR")) -> list[CoaddInput]:
        """The warps that can take part."""
        handles = [ExposureHandle(warp, visit) for visit, warp in enumerate(self.warps, 1)]
        return prepare_inputs(handles, bad_planes)[0]


def draw(image: np.ndarray, box: Box, x: float, y: float, flux: float, sigma: float) -> None:
    """Add a Gaussian of a flux."""
    reach = int(7 * sigma) + 1
    x0, x1 = max(int(x) - reach, box.x.start), min(int(x) + reach + 1, box.x.stop)
    y0, y1 = max(int(y) - reach, box.y.start), min(int(y) + reach + 1, box.y.stop)
    if x1 <= x0 or y1 <= y0:
        return
    along = np.exp(-0.5 * ((np.arange(x0, x1) - x) / sigma) ** 2)
    across = np.exp(-0.5 * ((np.arange(y0, y1) - y) / sigma) ** 2)
    part = image[y0 - box.y.start : y1 - box.y.start, x0 - box.x.start : x1 - box.x.start]
    part += flux / (2 * np.pi * sigma**2) * np.outer(across, along)


def make_scene(n: int, size: int = 400, n_stars: int = 60, seed: int = 1, brightest: float = 1000.0) -> Scene:
    """Warps with stars of S/N up to ``brightest`` against the sky, in seeing that changes from visit to visit."""
    rng = np.random.default_rng([seed, n])
    box = Box.factory[300 : 300 + size, 700 : 700 + size]
    sigmas = rng.permutation(np.linspace(*SEEING, n)) if n > 1 else np.array([1.6])
    stars = Table()
    stars["x"] = rng.uniform(box.x.start + 15, box.x.stop - 15, n_stars)
    stars["y"] = rng.uniform(box.y.start + 15, box.y.stop - 15, n_stars)
    noise_of_star = NOISE * np.sqrt(4 * np.pi) * 1.65
    stars["flux"] = noise_of_star * 10 ** np.concatenate([[np.log10(brightest)], rng.uniform(0.5, 2.7, n_stars - 1)])
    projection, warps = tract(box), []
    for visit, sigma in enumerate(sigmas, 1):
        image = np.zeros(box.shape)
        for star in stars:
            draw(image, box, star["x"], star["y"], star["flux"], sigma)
        variance = NOISE**2 + image
        image += rng.normal(0.0, 1.0, box.shape) * np.sqrt(variance)
        psf = GaussianPointSpreadFunction(sigma, box, 25)
        component = CoaddPsfComponent(visit=visit, detector=1, weight=1.0, psf=psf, projection=projection, bbox=box)
        warps.append(
            Exposure.from_arrays(
                image,
                variance=variance,
                x0=box.x.start,
                y0=box.y.start,
                unit=u.nJy,
                projection=projection,
                psf=CoaddPsf([component], projection, box),
                inputs=Table({"visit": [visit], "detector": [1], "weight": [1.0], "n_pixels": [box.area]}),
            )
        )
    return Scene(box, stars, warps, sigmas)
