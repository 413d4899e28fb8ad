"""Polynomials of two variables as sums of products of Chebyshev polynomials, by total degree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skyloom.images.polynomial_terms import powers

__all__ = ["Rectangle", "term_values"]

type Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rectangle:
    """A range of two coordinates that is mapped to [-1, 1] each."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float

    @classmethod
    def around(cls, x: Floats, y: Floats) -> Rectangle:
        """The least one that holds some positions, at least 1e-6 wide."""
        half_x, half_y = max(0.5 * np.ptp(x), 5e-7), max(0.5 * np.ptp(y), 5e-7)
        middle_x, middle_y = 0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())
        return cls(
            x_min=float(middle_x - half_x),
            x_max=float(middle_x + half_x),
            y_min=float(middle_y - half_y),
            y_max=float(middle_y + half_y),
        )

    @property
    def slopes(self) -> tuple[float, float]:
        """Derivatives of the coordinates in [-1, 1] by those of the rectangle."""
        return 2.0 / (self.x_max - self.x_min), 2.0 / (self.y_max - self.y_min)

    def to_unit(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Coordinates in [-1, 1]."""
        slope_x, slope_y = self.slopes
        return slope_x * (x - self.x_min) - 1.0, slope_y * (y - self.y_min) - 1.0


def term_values(u: Floats, v: Floats, order: int) -> tuple[Floats, Floats, Floats]:
    """Values of the terms T_i(u) T_j(v) at positions in [-1, 1], and their derivatives by u and by v.

    Each ``[n, terms]``, by total degree, as `skyloom.images.polynomial_terms.powers` has (i, j).
    """
    along_u, slope_u = _chebyshev(u, order)
    along_v, slope_v = _chebyshev(v, order)
    i, j = np.array(powers(order)).T
    return along_u[:, i] * along_v[:, j], slope_u[:, i] * along_v[:, j], along_u[:, i] * slope_v[:, j]


def _chebyshev(t: Floats, order: int) -> tuple[Floats, Floats]:
    """T_0 ... T_order and their derivatives at ``t``, each ``[n, order + 1]``."""
    values, slopes = np.ones((t.size, order + 1)), np.zeros((t.size, order + 1))
    if order > 0:
        values[:, 1], slopes[:, 1] = t, 1.0
    for n in range(2, order + 1):
        values[:, n] = 2.0 * t * values[:, n - 1] - values[:, n - 2]
        slopes[:, n] = 2.0 * values[:, n - 1] + 2.0 * t * slopes[:, n - 1] - slopes[:, n - 2]
    return values, slopes
