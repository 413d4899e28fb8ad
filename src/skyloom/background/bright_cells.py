"""Cells in which extended light stands above the sky: galaxies, halos of stars, nebulae."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from .camera_cells import CameraCells

__all__ = ["BrightCells"]

_NARROW, _WIDE = 1.0, 2.0
"""Sigmas of the Gaussians over cells, in sides of a cell: one sees that there is light, the other how far it goes."""
_TOUCH = 1.5
"""Cells up to so many sides apart are neighbours."""
_REACH = 2.0
"""The Gaussians end at so many sigmas."""
_HIGHER = 1.25
"""Step of the limit where too much would be masked."""
_LEAST_SCATTER = 1e-6
"""Of the noise of a pixel."""


class BrightCells:
    """Finds bright cells; what depends on the places of the cells alone is done once.

    Parameters
    ----------
    cells
        Of the camera.
    threshold
        Smoothed light that high above the sky, in units of the scatter of what lies below it, is a source.
    reach
        A source goes on as long as its light, smoothed more, is higher than this, in the same units.
    grow
        And then by so many sides of a cell.
    max_fraction
        Where more would be masked, the reach is shortened.
    """

    def __init__(self, cells: CameraCells, *, threshold: float, reach: float, grow: float, max_fraction: float) -> None:
        self._cells, self._threshold, self._reach, self._max_fraction = cells, threshold, reach, max_fraction
        places = KDTree(np.column_stack([cells.x, cells.y]))
        self._narrow, self._wide = (
            _near(places, _REACH * sigma * cells.side, sigma * cells.side) for sigma in (_NARROW, _WIDE)
        )
        self._touching = _near(places, _TOUCH * cells.side, np.inf)
        self._grown = _near(places, grow * cells.side, np.inf)

    def find(self, residual: np.ndarray) -> np.ndarray:
        """The bright cells, ``[cell]`` bool.

        Parameters
        ----------
        residual
            ``[cell]`` level above the sky, electrons, of which the sky lies about zero.
        """
        known = self._cells.weight > 0
        peak, wing = (self._height(residual, kernel, known) for kernel in (self._narrow, self._wide))
        reach = self._reach
        while True:
            seeds = known & (peak > max(self._threshold, reach))
            bright = self._spread(seeds, (wing > reach) | seeds)
            if np.mean(bright[known]) <= self._max_fraction:
                return bright
            reach *= _HIGHER

    def _spread(self, seeds: np.ndarray, light: np.ndarray) -> np.ndarray:
        """Cells of the connected regions of light that hold a seed, and what is near to them."""
        places = np.flatnonzero(light)
        _, region = connected_components(self._touching[places][:, places], directed=False)
        lit = np.zeros(light.size)
        lit[places] = np.isin(region, region[seeds[places]])
        return np.asarray(self._grown @ lit > 0)

    def find_dark(self, residual: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Cells that are darker than the sky by more than some depth ``[cell]``, and how far the shadow goes."""
        seeds = (self._cells.weight > 0) & (residual < -depth)
        if not seeds.any():
            return seeds
        wing = self._height(-residual, self._wide, self._cells.weight > 0)
        return self._spread(seeds, (wing > self._reach) | seeds)

    def _height(self, residual: np.ndarray, kernel: sparse.csr_array, known: np.ndarray) -> np.ndarray:
        """Smoothed residual in units of the scatter of what lies below zero."""
        weight = self._cells.weight
        share = kernel @ weight
        smooth = np.divide(kernel @ (weight * residual), share, out=np.zeros_like(share), where=share > 0)
        below = smooth[known & (smooth < 0)]
        scatter = 1.4826 * float(np.median(-below)) if below.size else 0.0
        return np.asarray(smooth / max(scatter, _LEAST_SCATTER * self._cells.pixel_noise))


def _near(places: KDTree, radius: float, sigma: float) -> sparse.csr_array:
    """Weights ``[cell, cell]`` of a Gaussian of the distance, for pairs no farther apart than a radius (mm)."""
    distances = places.sparse_distance_matrix(places, radius, output_type="coo_matrix")
    weights = np.exp(-0.5 * (distances.data / sigma) ** 2)
    return sparse.csr_array((weights, (distances.row, distances.col)), shape=distances.shape)
