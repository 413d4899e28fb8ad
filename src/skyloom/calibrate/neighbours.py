"""Aperture fluxes of stars freed of their neighbours, by subtracting every source's PSF model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.catalog.columns import flag_column, float_column
from skyloom.catalog.sources import aperture_name
from skyloom.kernels.apertures import aperture_sums
from skyloom.psf import psf_stamps

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images.psfs import PointSpreadFunction

    from skyloom.images.exposure import Exposure

__all__ = ["residual_image", "subtract_neighbours"]


def subtract_neighbours(exposure: Exposure, table: Table, stars: np.ndarray, psf: PointSpreadFunction) -> Table:
    """A copy of the source table in which the aperture fluxes of the stars hold no light of others.

    A large aperture around a star of a crowded frame gathers its neighbours, and an aperture correction made of such
    fluxes would be too large.  The flux in an aperture is that of what all models leave there, plus that of the
    star's own model.

    Parameters
    ----------
    exposure
        Background-subtracted; left as it is.
    table
        All sources with positions and PSF fluxes.
    stars
        ``bool[n]``: the rows whose apertures are measured anew.
    psf
        That of the PSF fluxes.
    """
    isolated = table.copy()
    rows = np.flatnonzero(stars)
    radii = np.array(table.meta["aperture_radii"], dtype=np.float64)
    x, y = float_column(table, "x")[rows], float_column(table, "y")[rows]
    rest = residual_image(exposure, table, psf)
    box = exposure.bbox
    unusable = ~(np.isfinite(rest) & np.isfinite(exposure.variance.array))
    left, _, _ = aperture_sums(rest, exposure.variance.array, unusable, x - box.x.min, y - box.y.min, radii)
    own = float_column(table, "psf_flux")[rows, None] * _enclosed(psf, x, y, radii)
    for k, radius in enumerate(radii):
        isolated[f"aperture_flux_{aperture_name(radius)}"][rows] = left[:, k] + own[:, k]
    return isolated


def residual_image(exposure: Exposure, table: Table, psf: PointSpreadFunction) -> np.ndarray:
    """The image less the PSF model of every source that has a flux, ``[y, x]`` float64."""
    flux = float_column(table, "psf_flux")
    rows = np.flatnonzero(np.isfinite(flux) & ~flag_column(table, "flag_sky_source"))
    stamps, x0, y0 = psf_stamps(psf, float_column(table, "x")[rows], float_column(table, "y")[rows])
    image = exposure.image.array.astype(np.float64)
    height, width = image.shape
    box = exposure.bbox
    size = stamps.shape[1]
    for stamp, value, column, row in zip(stamps, flux[rows], x0 - box.x.min, y0 - box.y.min, strict=True):
        bottom, top = max(row, 0), min(row + size, height)
        left, right = max(column, 0), min(column + size, width)
        image[bottom:top, left:right] -= value * stamp[bottom - row : top - row, left - column : right - column]
    return image


def _enclosed(psf: PointSpreadFunction, x: np.ndarray, y: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Part of the PSF at each position that lies within each radius, ``[position, radius]``."""
    stamps, x0, y0 = psf_stamps(psf, x, y)
    nothing = np.zeros(stamps.shape[1:], dtype=bool)
    enclosed = np.empty((x.size, radii.size))
    for i, stamp in enumerate(stamps):
        at_x, at_y = np.array([x[i] - x0[i]]), np.array([y[i] - y0[i]])
        enclosed[i] = aperture_sums(stamp, stamp, nothing, at_x, at_y, radii)[0][0]
    return enclosed
