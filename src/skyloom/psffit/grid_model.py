"""The model that is fitted: a grid whose points vary as polynomials, drawn at the pixels of the stars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom.kernels.psf_fit import Taps, grid_totals, star_models, star_taps
from skyloom.psf import PixelGridPsf, in_phase_order

from .basis import PixelBasis, raw_pixel_coefficients
from .grid_shape import GridShape
from .moffat import MoffatProfile

if TYPE_CHECKING:
    from lsst.images import Box

__all__ = ["GridModel"]


@dataclass
class GridModel:
    """A grid of the PSF, varying over the frame."""

    coefficients: np.ndarray
    """``[term, place, place]``, both axes of the grid in phase order; values a pixel."""
    basis: PixelBasis
    shape: GridShape

    @classmethod
    def constant(cls, profile: MoffatProfile, shape: GridShape, box: Box) -> GridModel:
        """The same smooth profile everywhere."""
        grid = profile.grid(shape.n, shape.oversampling)[None] * shape.oversampling**2
        return cls(in_phase_order(grid, shape.oversampling), PixelBasis.over(box, 0), shape)

    def taps(self, dx: np.ndarray, dy: np.ndarray) -> Taps:
        """Interpolation for stars (dx, dy) pixels from the middles of their stamps."""
        taps: Taps = star_taps(dx, dy, self.shape.oversampling, self.shape.kernel_order)
        return taps

    def factors(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What makes of the coefficients the grid of unit sum at each position, ``[position, term]``."""
        terms = self.basis.terms(x, y)
        return np.asarray(terms * (self.shape.oversampling**2 / grid_totals(self.coefficients, terms))[:, None])

    def unit_sum(self) -> None:
        """Take out of the coefficients what only rescales the fluxes: unit sum everywhere, to first order."""
        total = self.coefficients.sum(axis=(1, 2))
        mean = self.coefficients[0] / total[0]
        scaled = self.coefficients / total[0]
        scaled[1:] -= (total[1:] / total[0])[:, None, None] * mean
        self.coefficients = scaled * self.shape.oversampling**2

    def stamps(self, x: np.ndarray, y: np.ndarray, taps: Taps, size: int) -> np.ndarray:
        """Stars of unit flux, ``[star, y, x]``."""
        return np.asarray(
            star_models(self.coefficients, self.factors(x, y), taps, self.shape.oversampling, self.shape.n, size)
        )

    def psf(self, bounds: Box) -> PixelGridPsf:
        """The model as a point-spread function."""
        return PixelGridPsf(
            raw_pixel_coefficients(self.shape.from_places(self.coefficients), self.basis),
            order=self.basis.order,
            bounds=bounds,
            oversampling=self.shape.oversampling,
            kernel_order=self.shape.kernel_order,
        )
