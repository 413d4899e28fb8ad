"""A zero point that varies over the frame, where the stars bear it."""

from __future__ import annotations

import numpy as np
from lsst.images import Box
from lsst.images.fields import ChebyshevField

from .chebyshev_fit import ChebyshevFit, design_matrix, fit_chebyshev
from .zero_point_settings import ZeroPointSettings

__all__ = ["best_magnitude_field", "flux_factor", "variation"]

_N_RESERVE = 5
"""Fewer reserved stars have no say."""


def best_magnitude_field(
    difference: np.ndarray,
    error: np.ndarray,
    position: tuple[np.ndarray, np.ndarray],
    used: np.ndarray,
    reserved: np.ndarray,
    box: Box,
    settings: ZeroPointSettings,
) -> ChebyshevFit:
    """The polynomial, mag, of the degree that predicts stars best; degree 0 where it does not lower the residuals of
    the reserved stars.

    Parameters
    ----------
    difference, error
        ``[n]`` catalogue less instrumental magnitude of the stars, and its error.
    position
        x, y of the stars, ``[n]`` each.
    used, reserved
        ``bool[n]``.
    """
    x, y = position
    points = x[used], y[used], difference[used], error[used]
    best = fit_chebyshev(
        box,
        points,
        order_max=settings.spatial_order,
        points_a_term=settings.spatial_stars_a_term,
        gain_min=settings.spatial_gain_min,
        corner_err_max=settings.spatial_error_max_mag,
    )
    if best.order > 0 and reserved.sum() >= _N_RESERVE:
        constant = ChebyshevFit(box, 0, *points)
        pull, pull_of_constant = (
            float(np.median(np.abs((difference - fit(x, y)) / error)[reserved])) for fit in (best, constant)
        )
        return best if pull <= pull_of_constant else constant
    return best


def variation(fit: ChebyshevFit, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The polynomial without its constant, mag."""
    return np.asarray(design_matrix(fit.box, x, y, fit.order)[:, 1:] @ fit.coefficients[1:])


def flux_factor(fit: ChebyshevFit) -> tuple[ChebyshevField, float]:
    """``10^(-0.4 m)`` of the `variation` m as a Chebyshev field of mean 1 over its box, and the mean that was taken
    out.
    """
    order = 2 * fit.order + 2
    nodes = np.polynomial.chebyshev.chebpts1(2 * order + 1)
    box = fit.box
    x = 0.5 * (box.x.min + box.x.max) + 0.5 * box.x.size * nodes
    y = 0.5 * (box.y.min + box.y.max) + 0.5 * box.y.size * nodes
    x, y = (axis.ravel() for axis in np.meshgrid(x, y))
    factor = ChebyshevField.fit(box, 10.0 ** (-0.4 * variation(fit, x, y)), order, x=x, y=y, triangular=False)
    mean = _mean(factor)
    return ChebyshevField(box, np.asarray(factor.coefficients) / mean), mean


def _mean(field: ChebyshevField) -> float:
    """Mean over the box: of T_k over [-1, 1] it is 1 / (1 - k^2) for even k and 0 for odd."""
    rows, columns = (np.arange(n) for n in np.asarray(field.coefficients).shape)
    mean_y, mean_x = (np.where(k % 2 == 0, 1.0 / np.where(k % 2 == 0, 1.0 - k**2, 1.0), 0.0) for k in (rows, columns))
    return float(mean_y @ np.asarray(field.coefficients) @ mean_x)
