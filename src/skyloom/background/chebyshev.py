"""A polynomial that smooths the cells of a mesh."""

from __future__ import annotations

import logging

import astropy.units as u
import numpy as np
from lsst.images import Box
from lsst.images.fields import ChebyshevField
from numpy.polynomial.chebyshev import chebvander

__all__ = ["chebyshev", "render_chebyshev"]

_LOG = logging.getLogger(__name__)


def chebyshev(
    level: np.ndarray,
    error: np.ndarray | None,
    y: np.ndarray,
    x: np.ndarray,
    box: Box,
    order: int,
    unit: u.UnitBase | None = None,
) -> ChebyshevField:
    """Chebyshev polynomials T_p(y) T_q(x), p + q <= order, through the known cells by least squares.

    The box, edges of pixels included, is mapped to [-1, 1].

    Parameters
    ----------
    level, error
        ``[cell_y, cell_x]`` mean and its standard error, NaN where not known; without errors all cells weigh the same.
    y, x
        Centres of the rows and columns of cells, px.
    box
        Of the image.
    order
        Lowered, with a warning, where there are not more cells along a side, or fewer known cells than coefficients.
    unit
        Recorded in the field.
    """
    known = np.isfinite(level)
    possible = min(order, min(level.shape) - 1)
    while (possible + 1) * (possible + 2) // 2 > known.sum():
        possible -= 1
    if possible < order:
        _LOG.warning(
            "Background of order %d on %d x %d cells, %d of them known: lowered to %d.",
            order,
            *level.shape[::-1],
            known.sum(),
            possible,
        )
    weight = known.astype(np.float64)
    if error is not None and (usual := np.median(error[known])) > 0:
        # A cell that happens to look quiet must not outweigh all others.
        weight[known] = usual / np.maximum(error[known], 0.1 * usual)
    return ChebyshevField.fit(box, np.where(known, level, 0.0), possible, y=y, x=x, weight=weight, unit=unit)


def render_chebyshev(field: ChebyshevField) -> np.ndarray:
    """The polynomial at every pixel of its box, ``[y, x]`` float32."""
    coefficients, box = field.coefficients, field.bounds.bbox
    rows, columns = (
        chebvander((2.0 * np.arange(size) + 1.0 - size) / size, degree)
        for size, degree in zip(box.shape, np.array(coefficients.shape) - 1, strict=True)
    )
    return np.asarray(((rows @ coefficients).astype(np.float32)) @ columns.T.astype(np.float32))
