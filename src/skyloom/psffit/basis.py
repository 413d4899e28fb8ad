"""Polynomials of the position over a frame, in scaled and in raw pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lsst.images import Box

__all__ = ["PixelBasis", "polynomial_terms", "raw_pixel_coefficients"]


def polynomial_terms(u: np.ndarray, v: np.ndarray, order: int) -> np.ndarray:
    """Monomials ``u^i v^j`` with ``i + j <= order``, i outer, ``[position, term]``."""
    return np.stack([u**i * v**j for i in range(order + 1) for j in range(order + 1 - i)], axis=1)


@dataclass(frozen=True)
class PixelBasis:
    """Scaled frame coordinates, in which the polynomial terms of a PSF are of comparable size."""

    x_centre: float
    y_centre: float
    scale: float
    order: int

    @classmethod
    def over(cls, box: Box, order: int) -> PixelBasis:
        """Coordinates that run from -1 to 1 along the longer side of a box."""
        return cls(0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max), 0.5 * max(box.shape), order)

    def terms(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Values of the terms at frame positions, ``[position, term]``."""
        return polynomial_terms((x - self.x_centre) / self.scale, (y - self.y_centre) / self.scale, self.order)


def raw_pixel_coefficients(coefficients: np.ndarray, basis: PixelBasis) -> np.ndarray:
    """Coefficients ``[term, y, x]`` of the same polynomials in unscaled pixels."""
    order = basis.order
    exponents = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    change = np.zeros((len(exponents), len(exponents)))
    for column, (i, j) in enumerate(exponents):
        in_x = np.polynomial.polynomial.polypow([-basis.x_centre / basis.scale, 1 / basis.scale], i)
        in_y = np.polynomial.polynomial.polypow([-basis.y_centre / basis.scale, 1 / basis.scale], j)
        for row, (p, q) in enumerate(exponents):
            if p <= i and q <= j:
                change[row, column] = in_x[p] * in_y[q]
    return np.asarray(np.einsum("rc,cyx->ryx", change, coefficients))
