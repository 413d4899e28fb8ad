"""Aperture fluxes of stars freed of their neighbours, by subtracting every source's PSF model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.catalog.columns import flag_column, float_column
from skyloom.catalog.sources import aperture_name
from skyloom.kernels.apertures import aperture_sums
from skyloom.kernels.psf_stamps import stamp_sigmas
from skyloom.photometry import StarApertures
from skyloom.psf import psf_sigma, psf_stamps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import Table
    from lsst.images.psfs import PointSpreadFunction

    from skyloom.images.exposure import Exposure

__all__ = ["residual_image", "star_apertures", "subtract_neighbours"]

_FOREIGN = 0.3
"""Pixels in which models of others are brighter than this many sigma of the sky show the star's own model alone."""
_WIDTH_MIN = 1.2
"""Least width that scales a circle, px: within smaller ones it matters how light falls on the pixels."""


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


def star_apertures(
    exposure: Exposure, table: Table, stars: np.ndarray, psf: PointSpreadFunction, radii: Sequence[float]
) -> StarApertures:
    """Fluxes of the stars in circles as wide as the PSF is where they stand, without the light of others.

    Parameters
    ----------
    exposure, table, stars, psf
        As of `subtract_neighbours`.
    radii
        In units of the PSF's determinant radius.
    """
    rows, box = np.flatnonzero(stars), exposure.bbox
    x, y, psf_flux = (float_column(table, name)[rows] for name in ("x", "y", "psf_flux"))
    stamps, x0, y0 = psf_stamps(psf, x, y)
    widths = stamp_sigmas(psf_stamps(psf, x, y, centred=True)[0])
    widths = np.maximum(np.where(np.isfinite(widths), widths, psf_sigma(psf)), _WIDTH_MIN)
    rest, variance = residual_image(exposure, table, psf), exposure.variance.array
    models = exposure.image.array - rest
    noise = float(np.sqrt(np.nanmedian(variance)))
    sums = np.empty((3, rows.size, len(radii)))
    for i, (column, row) in enumerate(zip(x - box.x.min, y - box.y.min, strict=True)):
        circles = widths[i] * np.asarray(radii)
        window, left, bottom = _around(column, row, int(circles[-1]) + 2)
        own = np.zeros_like(rest[window])
        _add(own, psf_flux[i] * stamps[i], x0[i] - box.x.min - left, y0[i] - box.y.min - bottom)
        shown = np.where(models[window] - own > _FOREIGN * noise, 0.0, rest[window]) + own
        unusable = ~(np.isfinite(shown) & np.isfinite(variance[window]))
        at = np.array([column - left]), np.array([row - bottom])
        sums[:, i : i + 1] = aperture_sums(shown, variance[window], unusable, *at, circles)
    return StarApertures(
        rows=rows,
        widths=widths,
        radii=np.asarray(radii, dtype=np.float64),
        flux=sums[0],
        error=sums[1],
        psf_flux=psf_flux,
        usable=~sums[2].any(axis=1) & np.isfinite(psf_flux) & (psf_flux > 0),
        sky_noise=noise,
    )


def _around(column: float, row: float, half: int) -> tuple[tuple[slice, slice], int, int]:
    """The part of the image within ``half`` pixels of a position, and the column and row of its first pixel."""
    bottom, left = max(round(row) - half, 0), max(round(column) - half, 0)
    window = slice(bottom, max(round(row) + half + 1, 0)), slice(left, max(round(column) + half + 1, 0))
    return window, left, bottom


def _add(image: np.ndarray, stamp: np.ndarray, x0: int, y0: int) -> None:
    """Add the part of a stamp that lies on the image; (x0, y0) is the pixel of its first."""
    size, (height, width) = stamp.shape[0], image.shape
    bottom, top, left, right = max(y0, 0), min(y0 + size, height), max(x0, 0), min(x0 + size, width)
    if bottom < top and left < right:
        image[bottom:top, left:right] += stamp[bottom - y0 : top - y0, left - x0 : right - x0]


def residual_image(exposure: Exposure, table: Table, psf: PointSpreadFunction) -> np.ndarray:
    """The image less the PSF model of every source that has a flux, ``[y, x]`` float64."""
    flux = float_column(table, "psf_flux")
    rows = np.flatnonzero(np.isfinite(flux) & ~flag_column(table, "flag_sky_source"))
    stamps, x0, y0 = psf_stamps(psf, float_column(table, "x")[rows], float_column(table, "y")[rows])
    image = exposure.image.array.astype(np.float64)
    box = exposure.bbox
    for stamp, value, column, row in zip(stamps, flux[rows], x0 - box.x.min, y0 - box.y.min, strict=True):
        _add(image, -value * stamp, column, row)
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
