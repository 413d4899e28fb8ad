"""What is believed of the grid before the stars speak: near a smooth profile, and smooth itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grid_shape import GridShape

__all__ = ["GridPrior"]

_LARGEST = 20.0
"""Diagonal of the squared five-point Laplacian."""


@dataclass(frozen=True)
class GridPrior:
    """Independent errors of the points about expected values, and a penalty on rough deviations from them."""

    expected: np.ndarray
    """Coefficients ``[term, place, place]`` in phase order."""
    spread: np.ndarray
    """Their errors ``[place, place]``, the same for all terms; 0 where a place holds no point."""
    shape: GridShape
    smoothness: float = 0.0
    """Weight of the squared Laplacian of the deviation in units of its error."""

    @property
    def free(self) -> np.ndarray:
        """Places with a point, ``bool[place, place]``."""
        return self.spread > 0.0

    @property
    def root(self) -> np.ndarray:
        """Inverse of the spread; 0 where there is no point."""
        return np.asarray(np.where(self.free, 1.0, 0.0) / np.where(self.free, self.spread, 1.0))

    @property
    def diagonal(self) -> np.ndarray:
        """Diagonal of the inverse covariance a place, 1 where there is no point."""
        return np.where(self.free, self.root**2 * (1.0 + _LARGEST * self.smoothness), 1.0)

    def weighted(self, coefficients: np.ndarray) -> np.ndarray:
        """The inverse covariance times coefficients."""
        deviation = self.root * coefficients
        if self.smoothness > 0.0:
            deviation = deviation + self.smoothness * self._laplacian(self._laplacian(deviation))
        return np.asarray(self.root * deviation)

    def _laplacian(self, values: np.ndarray) -> np.ndarray:
        """Four times each value less its neighbours, which are 0 beyond the grid."""
        padded = np.pad(self.shape.from_places(values), ((0, 0), (1, 1), (1, 1)))
        beside = padded[:, 2:, 1:-1] + padded[:, :-2, 1:-1] + padded[:, 1:-1, 2:] + padded[:, 1:-1, :-2]
        return self.shape.to_places(4.0 * padded[:, 1:-1, 1:-1] - beside, values.shape[1])
