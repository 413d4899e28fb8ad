"""A low-order Chebyshev field through scattered values, some of which are wrong."""

from __future__ import annotations

import numpy as np
from lsst.images import Bounds
from lsst.images.fields import ChebyshevField

from .aperture_correction_settings import ApertureCorrectionSettings
from .chebyshev_fit import fit_chebyshev

__all__ = ["clipped_field"]

_GAIN_MIN = 0.5


def clipped_field(
    x: np.ndarray,
    y: np.ndarray,
    value: np.ndarray,
    error: np.ndarray,
    used: np.ndarray,
    bounds: Bounds,
    settings: ApertureCorrectionSettings,
    order_max: int,
) -> tuple[ChebyshevField, float, np.ndarray]:
    """Fit, reject, refit, and shift the constant until the median residual is zero.

    Parameters
    ----------
    x, y, value, error
        ``[n]``; the error weights, and a value is rejected by its residual in units of it.
    used
        ``bool[n]``: values to begin with.
    order_max
        Highest total degree; lower where there are too few values, or it predicts them no better.

    Returns
    -------
    field
        The field.
    scatter
        Robust standard deviation of the values about it.
    used
        Values that remained.  Where clipping would leave fewer than ``n_min``, it ends before.
    """
    field = ChebyshevField(bounds, np.array([[np.median(value[used])]]))
    for _ in range(settings.n_iterations):
        pull = (value - field(x=x, y=y)) / error
        spread = 1.4826 * float(np.median(np.abs(pull[used]))) + 1e-7
        kept = used & (np.abs(pull) <= settings.n_sigma * spread)
        if kept.sum() < settings.n_min:
            break
        used = kept
        fit = fit_chebyshev(
            bounds.bbox,
            (x[used], y[used], value[used], error[used]),
            order_max=order_max,
            points_a_term=settings.stars_a_term,
            gain_min=_GAIN_MIN,
        )
        field = ChebyshevField(bounds, fit.matrix())
    residual = (value - field(x=x, y=y))[used]
    coefficients = np.array(field.coefficients)
    coefficients[0, 0] += _weighted_median(residual, error[used] ** -2)
    scatter = 1.4826 * float(np.median(np.abs(residual - np.median(residual)))) + 1e-7
    return ChebyshevField(bounds, coefficients), scatter, used


def _weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    """The value on both sides of which lies half the weight."""
    order = np.argsort(values)
    reached = np.cumsum(weight[order]) - 0.5 * weight[order]
    return float(np.interp(0.5 * weight.sum(), reached, values[order]))
