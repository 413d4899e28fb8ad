"""A patch with coadds in several bands of which every figure is known: white noise, Gaussian PSFs, neutral stars."""

from __future__ import annotations

import math
from functools import cache

import astropy.units as u
import numpy as np
from astropy.table import Table
from lsst.images import Box, Mask
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.images import MASK_SCHEMA, Exposure, ab_magnitude_to_njy, bitmask, bits_of
from skyloom.psf import CoaddPsf, CoaddPsfComponent
from skyloom.report.patch_products import BandProducts, clipped_pixels
from skyloom.skymap import DiscreteSkyMap

SCALE_ARCSEC = 0.5
SIGMA = {1: 1.6, 2: 2.0, 3: 2.4}
"""Width of the PSF by visit, px."""
WEIGHT = {1: 2.0, 2: 1.0, 3: 1.0}
ZERO_POINT = {1: 30.0, 2: 29.9, 3: 29.0}
"""The last one has clouds."""
NOISE = {"g": 6.0, "r": 5.0, "i": 9.0}
"""Of a pixel with all visits, nJy."""
CUT = 260
"""Visit 3 covers the columns from this one of the patch on."""
EMPTY_ROWS = 30
"""Rows at the top of the patch without any data."""
TRAIL = (120, 126)
"""Rows of visit 2 that were clipped over the whole width."""
SPOT = (slice(40, 50), slice(300, 320))
"""Another place of visit 2 that was clipped, [y, x] of the patch."""
REJECTED = (slice(200, 210), slice(20, 70))
STARS = ((80.0, 60.0, 2e5), (200.3, 100.6, 3e4), (330.7, 300.2, 1e6))
"""x, y on the patch, and flux in nJy, the same in all bands."""


@cache
def sky_map() -> DiscreteSkyMap:
    """Four patches or more, 400 pixels wide with a border of 10."""
    return DiscreteSkyMap(
        name="field",
        tracts=({"ra": 10.0, "dec": 2.0, "radius": 0.04},),
        pixel_scale=SCALE_ARCSEC,
        patch_size=(400, 400),
        patch_border=10,
    )


def box() -> Box:
    """Pixels of patch 0."""
    return sky_map().tract(0).patch(0).outer_bbox


def gaussian(x: float, y: float, sigma: float, shape: tuple[int, int]) -> np.ndarray:
    """Unit flux ``[y, x]`` in the pixels of a patch."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / sigma**2) / (2.0 * math.pi * sigma**2)


def psf(visits: tuple[int, ...] = (1, 2, 3)) -> CoaddPsf:
    """Of the visits; their frames have the pixels of the tract."""
    whole = box()
    right = Box.factory[whole.y.start : whole.y.stop, whole.x.start + CUT : whole.x.stop]
    parts = [
        CoaddPsfComponent(
            visit=visit,
            detector=0,
            weight=WEIGHT[visit],
            psf=GaussianPointSpreadFunction(SIGMA[visit], whole, 25),
            projection=sky_map().tract(0).projection,
            bbox=right if visit == 3 else whole,
        )
        for visit in visits
    ]
    return CoaddPsf(parts, sky_map().tract(0).projection, whole)


def inputs() -> Table:
    rows, columns = box().shape
    filled = {1: columns, 2: columns, 3: columns - CUT}
    return Table(
        {
            "visit": list(SIGMA),
            "detector": [0] * 3,
            "weight": [WEIGHT[visit] for visit in SIGMA],
            "n_pixels": [filled[visit] * (rows - EMPTY_ROWS) for visit in SIGMA],
            "calibration_mean": [float(ab_magnitude_to_njy(ZERO_POINT[visit])) for visit in SIGMA],
        }
    )


def n_image() -> np.ndarray:
    count = np.full(box().shape, 2, np.uint16)
    count[:, CUT:] = 3
    count[TRAIL[0] : TRAIL[1]] -= 1
    count[SPOT] -= 1
    count[-EMPTY_ROWS:] = 0
    return count


def variance(band: str) -> np.ndarray:
    """That of a mean of equal weights: it falls with the number of warps."""
    with np.errstate(divide="ignore"):
        return (NOISE[band] ** 2 * 3.0 / n_image()).astype(np.float32)


def coadd(band: str) -> Exposure:
    """White noise of the variance plane, and the stars."""
    rng, shape = np.random.default_rng(ord(band)), box().shape
    spread = variance(band)
    image = rng.normal(0.0, 1.0, shape) * np.sqrt(np.where(np.isfinite(spread), spread, 0.0))
    for x, y, flux in STARS:
        image += flux * gaussian(x, y, 2.0, shape)
    bits = np.zeros(shape, np.int32)
    bits[TRAIL[0] : TRAIL[1]] |= bitmask("CLIPPED", "INEXACT_PSF")
    bits[SPOT] |= bitmask("CLIPPED", "INEXACT_PSF")
    bits[REJECTED] |= bitmask("REJECTED", "INEXACT_PSF")
    bits[:, CUT] |= bitmask("SENSOR_EDGE", "INEXACT_PSF")
    image[-EMPTY_ROWS:], bits[-EMPTY_ROWS:] = np.nan, bitmask("NO_DATA")
    return Exposure.from_arrays(
        image,
        bits,
        spread,
        x0=box().x.start,
        y0=box().y.start,
        unit=u.nJy,
        projection=sky_map().tract(0).projection,
        psf=psf(),
        inputs=inputs(),
        band=band,
        metadata={"coadd_statistic": "MEAN"},
    )


def artifact_masks() -> dict[int, Mask]:
    """What was clipped: nothing of visit 1, a trail and a spot of visit 2."""
    masks = {visit: Mask(0, schema=MASK_SCHEMA, bbox=box()) for visit in SIGMA}
    bits = bits_of(masks[2])
    bits[TRAIL[0] : TRAIL[1]] |= bitmask("STREAK")
    bits[SPOT] |= bitmask("CLIPPED")
    bits_of(masks[1])[:5] |= bitmask("NO_DATA")  # missing, and not clipped
    return masks


def products(band: str = "r") -> BandProducts:
    """All of a band."""
    return BandProducts(
        band=band,
        run="made",
        coadd=coadd(band),
        n_image=n_image(),
        clipped={visit: clipped_pixels(mask) for visit, mask in artifact_masks().items()},
        warped=frozenset({1, 2, 3, 4}),
        metadata={"n_artifacts": 2, "skipped_visits": [4]},
    )
