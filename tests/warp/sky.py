"""Frames of analytic stars for the tests of warps."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.wcs import WCS
from lsst.images import Box, GeneralFrame, SkyProjection

from skyloom.images import Exposure


def tan(
    crval: tuple[float, float],
    crpix: tuple[float, float],
    *,
    scale: float = 0.25,
    angle: float = 0.0,
    frame: Any = None,
) -> SkyProjection[Any]:
    """A tangent plane: ``crpix`` counts from 1, ``scale`` in arcsec, ``angle`` in degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = crval, crpix
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.cd = scale / 3600 * np.array([[-c, s], [s, c]])
    return SkyProjection.from_fits_wcs(wcs, frame or GeneralFrame(unit=u.pix))


def gaussian(shape: tuple[int, int], x: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    """Stars of unit flux at positions (x, y), sampled at the middles of pixels."""
    rows, columns = np.indices(shape)
    image = np.zeros(shape)
    for a, b in zip(x, y, strict=True):
        image += np.exp(-((columns - a) ** 2 + (rows - b) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return image


def centroid(stamp: np.ndarray, sigma: float) -> tuple[float, float]:
    """First moments (x, y) of a stamp from its middle, under a Gaussian weight that follows them."""
    rows, columns = np.indices(stamp.shape, dtype=float)
    middle = (stamp.shape[0] - 1) / 2
    x = y = middle
    for _ in range(30):
        weighted = stamp * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
        x += 2 * (weighted * (columns - x)).sum() / weighted.sum()
        y += 2 * (weighted * (rows - y)).sum() / weighted.sum()
    return x - middle, y - middle


def frame(image: np.ndarray, projection: SkyProjection[Any] | None, variance: float = 1.0, **more: Any) -> Exposure:
    """A frame in nJy of equal variance."""
    spread = np.full(image.shape, variance, np.float32)
    return Exposure.from_arrays(image, variance=spread, unit=u.nJy, projection=projection, **more)


def box(shape: tuple[int, int]) -> Box:
    return Box.from_shape(shape)
