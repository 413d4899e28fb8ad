"""`CameraSurface`: smooth surfaces over the focal plane of a camera, sums of splines."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BSpline

from skyloom.kernels.surface_sums import normal_band, projections, surface_values

__all__ = ["CameraSurface", "SplineValues"]

_DEGREE = 3

type Extent = tuple[tuple[float, float], tuple[float, float]]
"""First and last x, first and last y, mm."""
type SplineValues = tuple[np.ndarray, np.ndarray]
"""Values ``[place, y, x]`` of the 4 x 4 products that a place meets, and index of the first of them ``[place]``."""


class CameraSurface:
    """Products of cubic B-splines along x and y of the focal plane, whose sum with coefficients is a surface.

    The penalty on differences of neighbouring coefficients is that of P-splines (Eilers & Marx 1996, Statistical
    Science 11, 89): where there are no values, those of third order let the surface go on with the curvature that it
    has, those of order zero let it go back to zero.

    Parameters
    ----------
    extent
        Of the camera.
    spacing
        Distance of the knots, mm; about, for a whole number of them fits the camera.
    differences
        Order of the differences in the penalty.
    """

    def __init__(self, extent: Extent, spacing: float, *, differences: int) -> None:
        self._knots = [_knots(low, high, spacing) for low, high in extent]
        self.width, height = (one.size - _DEGREE - 1 for one in self._knots)
        self.n = self.width * height
        """Number of the coefficients."""
        self.penalty = self._penalty(height, differences)
        """Lower band of the matrix of the penalty, ``[row - column, column]``."""

    def splines(self, x: np.ndarray, y: np.ndarray) -> SplineValues:
        """What the splines are at places (mm, 1-d); beyond the camera they are as at its edge."""
        (values_x, first_x), (values_y, first_y) = (
            _splines(at, knots) for at, knots in zip((x, y), self._knots, strict=True)
        )
        return values_y[:, :, None] * values_x[:, None, :], first_y * self.width + first_x

    def at(self, splines: SplineValues, coefficients: np.ndarray) -> np.ndarray:
        """The surface at the places of the splines."""
        return np.asarray(surface_values(*splines, self.width, coefficients))

    def normal(self, splines: SplineValues, weight: np.ndarray) -> np.ndarray:
        """Lower band of the matrix of the normal equations."""
        return np.asarray(normal_band(*splines, self.width, weight, self.n))

    def project(self, splines: SplineValues, weight: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Sums over the places of the splines times columns ``[place, column]``, ``[coefficient, column]``."""
        return np.asarray(projections(*splines, self.width, weight, columns, self.n))

    def _penalty(self, height: int, differences: int) -> np.ndarray:
        band = np.zeros((_DEGREE * self.width + _DEGREE + 1, self.n))
        for n, step in ((self.width, 1), (height, self.width)):
            bending = _bending(n, differences)
            place = np.arange(self.n) % self.width if step == 1 else np.arange(self.n) // self.width
            for apart in range(min(differences, n - 1) + 1):
                inside = place < n - apart
                band[apart * step, inside] += bending[place[inside] + apart, place[inside]]
        return band


def _knots(low: float, high: float, spacing: float) -> np.ndarray:
    """Evenly spaced knots over a range and beyond its ends, as many as the splines need there."""
    n = max(1, round((high - low) / spacing))
    return low + (high - low) / n * np.arange(-_DEGREE, n + _DEGREE + 1)


def _splines(at: np.ndarray, knots: np.ndarray) -> SplineValues:
    """The splines that are not zero at each place, ``[place, spline]``, and the index of the first of them."""
    inside = np.clip(at, knots[_DEGREE], knots[-_DEGREE - 1])
    matrix = BSpline.design_matrix(inside, knots, _DEGREE)
    return matrix.data.reshape(-1, _DEGREE + 1), matrix.indices.reshape(-1, _DEGREE + 1)[:, 0].astype(np.int64)


def _bending(n: int, order: int) -> np.ndarray:
    """Sum of the squared differences of n coefficients, as a matrix."""
    differences = np.diff(np.eye(n), order, axis=0)
    return np.asarray(differences.T @ differences)
