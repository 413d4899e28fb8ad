"""Layout of the grid of a pixel-grid PSF: how many points a stamp needs, their order, the order of the terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.kernels.grid_taps import phase_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GRID_LANCZOS", "grid_size", "in_phase_order", "polynomial_terms", "stamp_size"]

GRID_LANCZOS = 11
"""Order of the kernel between points that lie a pixel apart, as in Piff's ``PixelGrid(interp=Lanczos(11))``."""


def grid_size(size: int, oversampling: int) -> int:
    """Points along a side of a grid, odd, that covers stamps of odd ``size`` out to the edges of their pixels."""
    return 2 * (oversampling * (size // 2) + oversampling // 2) + 1


def stamp_size(n: int, oversampling: int) -> int:
    """Side in pixels, odd, of the stamps that a grid of ``n`` points a side covers."""
    return 2 * (n // 2 // oversampling) + 1


def in_phase_order(coefficients: NDArray[np.float64], oversampling: int) -> NDArray[np.float64]:
    """Coefficients ``[term, y, x]`` in the order of the kernels; places without a grid point are 0."""
    if oversampling == 1:
        return coefficients
    order = phase_order(coefficients.shape[1], oversampling)
    points = coefficients[:, order[:, None], order[None, :]]
    return np.where((order[:, None] >= 0) & (order[None, :] >= 0), points, 0.0)


def polynomial_terms(order: int) -> list[tuple[int, int]]:
    """Powers (i, j) of x and y of the terms of a polynomial, in the order of the coefficients."""
    return [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
