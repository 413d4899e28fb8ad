"""The PSF of a coadd on a grid over its patch: width, ellipticity and effective area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from skyloom.errors import PsfError
from skyloom.kernels.moments import shapes
from skyloom.psf import psf_sigma, psf_stamps

from .patch_products import BandProducts
from .visit_psf_values import Shapes

__all__ = ["PsfMap", "psf_map"]

_GRID = 17
"""Places along the shorter side."""
_FARTHEST_SHIFT = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class PsfMap:
    """The PSF at the centres of squares that cover a patch; arrays ``[row, column]``, NaN where it is not known."""

    x: np.ndarray
    y: np.ndarray
    """Positions, px of the tract."""
    fwhm: np.ndarray
    """That of a Gaussian with the same determinant of adaptive moments, px."""
    e1: np.ndarray
    e2: np.ndarray
    """(Ixx - Iyy) / (Ixx + Iyy) and 2 Ixy / (Ixx + Iyy)."""
    area: np.ndarray
    """Effective area 1 / sum(P^2) of the PSF P of unit sum, px."""
    stamps: np.ndarray
    """``[place, y, x]``: the PSF itself, centred, row by row."""

    @property
    def ellipticity(self) -> np.ndarray:
        """Length of (e1, e2)."""
        return np.asarray(np.hypot(self.e1, self.e2))

    def nearest(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Index, row by row, of the place with a PSF that is nearest to each position; shape of the positions."""
        known = np.flatnonzero(np.isfinite(self.area))
        tree = cKDTree(np.column_stack([self.x.ravel()[known], self.y.ravel()[known]]))
        _, index = tree.query(np.column_stack([np.ravel(x), np.ravel(y)]))
        return np.asarray(known[index].reshape(np.shape(x)))

    def area_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Effective area at positions, of the nearest place, px."""
        return np.asarray(self.area.ravel()[self.nearest(x, y)])


def psf_map(products: BandProducts, grid: int = _GRID) -> PsfMap | None:
    """The PSF of a coadd on a grid; None where it has none, or none anywhere.

    Parameters
    ----------
    products
        With a coadd.
    grid
        Places along the shorter side of the patch.
    """
    if products.coadd is None or products.coadd.psf is None:
        return None
    psf = products.coadd.psf
    (rows, columns), (x0, y0) = products.shape, products.origin
    side = min(rows, columns) / min(grid, rows, columns)
    along = [
        start - 0.5 + size / count * (np.arange(count) + 0.5)
        for start, size, count in ((x0, columns, round(columns / side)), (y0, rows, round(rows / side)))
    ]
    x, y = np.meshgrid(*along)
    stamps, _, _ = psf_stamps(psf, x.ravel(), y.ravel(), centred=True)
    known = np.flatnonzero(np.isfinite(stamps).all(axis=(1, 2)))
    if not known.size:
        return None
    try:
        sigma = psf_sigma(psf)
    except PsfError:
        return None
    area, moments = np.full(x.size, np.nan), np.full((x.size, 3), np.nan)
    area[known] = 1.0 / np.sum(stamps[known] ** 2, axis=(1, 2))
    middle = np.array([float(stamps.shape[1] // 2)])
    for place in known:
        stamp = stamps[place]
        moments[place] = shapes(stamp, np.zeros_like(stamp), middle, middle, sigma, _FARTHEST_SHIFT)[0][0]
    found = Shapes.of(*moments.T)
    return PsfMap(
        x=x,
        y=y,
        fwhm=found.fwhm.reshape(x.shape),
        e1=found.e1.reshape(x.shape),
        e2=found.e2.reshape(x.shape),
        area=area.reshape(x.shape),
        stamps=stamps,
    )
