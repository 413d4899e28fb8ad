"""Point-spread functions with known answers, for the tests of this folder."""

from __future__ import annotations

import numpy as np
from lsst.images import Box

from skyloom.psf import PixelGridPsf, polynomial_terms

BOX = Box.factory[0:1000, 0:1200]


def moffat_like(order: int = 2, size: int = 25, box: Box = BOX, seed: int = 0) -> PixelGridPsf:
    """An elongated, skewed grid that varies over the detector."""
    radius = size // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(float)
    base = (1 + (x**2 + 1.3 * y**2 + 0.4 * x * y) / 12.0) ** -3 * (1 + 0.05 * x)
    rng = np.random.default_rng(seed)
    terms = polynomial_terms(order)
    coefficients = np.array([base * 1e-3 ** (i + j) * rng.normal(0.1, 0.3) for i, j in terms])
    coefficients[0] = base
    coefficients += (
        rng.normal(0, 1e-3, coefficients.shape) * np.array([1e-3 ** (i + j) for i, j in terms])[:, None, None]
    )
    return PixelGridPsf(coefficients / base.sum(), order=order, bounds=box)


def gaussian_grid(xx: float, yy: float, xy: float = 0.0, size: int = 25, box: Box = BOX) -> PixelGridPsf:
    """A Gaussian of given second moments, constant over the detector."""
    radius = size // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(float)
    inverse = np.linalg.inv([[xx, xy], [xy, yy]])
    grid = np.exp(-0.5 * (inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2))
    return PixelGridPsf((grid / grid.sum())[None], order=0, bounds=box)
