"""Points of a PSF grid, and the places at which the kernels keep them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skyloom.kernels.grid_taps import phase_order
from skyloom.psf import GRID_LANCZOS, grid_size

__all__ = ["GridShape", "grid_shape"]

_FINE_LANCZOS = 5
"""Order of the kernel between points that lie less than a pixel apart: they sample the PSF well."""


@dataclass(frozen=True)
class GridShape:
    """Points of a PSF grid."""

    n: int
    """Along a side, odd."""
    oversampling: int
    """A pixel."""
    kernel_order: int
    """Order of the Lanczos kernel between them."""

    @property
    def places(self) -> np.ndarray:
        """Place ``int[n]`` of each point of an axis in phase order."""
        order = phase_order(self.n, self.oversampling)
        place = np.empty(self.n, np.int64)
        place[order[order >= 0]] = np.flatnonzero(order >= 0)
        return place

    def from_places(self, values: np.ndarray) -> np.ndarray:
        """Grids ``[term, y, x]`` of values ``[term, place, place]``."""
        place = self.places
        return np.asarray(values[:, place[:, None], place[None, :]])

    def to_places(self, grids: np.ndarray, n_places: int) -> np.ndarray:
        """Values ``[term, place, place]`` of grids ``[term, y, x]``; 0 where a place holds no point."""
        place = self.places
        values = np.zeros((len(grids), n_places, n_places))
        values[:, place[:, None], place[None, :]] = grids
        return values


def grid_shape(size: int, oversampling: int) -> GridShape:
    """The grid of stamps of odd ``size``."""
    kernel_order = GRID_LANCZOS if oversampling == 1 else _FINE_LANCZOS
    return GridShape(grid_size(size, oversampling), oversampling, kernel_order)
