"""Flux under an elliptical Gaussian weight of the source's own shape."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel
from .moments import ellipse_row

__all__ = ["gaussian_flux"]

REACH = 14.0  # squared Mahalanobis distance at which the weight is cut off
MAX_HALF_SIDE = 1000.0  # px
SMALL_VARIANCE = 0.25  # px^2: narrower weights are averaged over parts of pixels
SMALL_DETERMINANT = 0.0625  # px^4
PARTS = 4
SMALL_REACH = 18.0
MIN_KURTOSIS, MAX_KURTOSIS = 1.5, 2.5


@inner_kernel
def _weight(a: float, b: float, c: float, dx: float, dy: float, small: bool) -> float:
    """The Gaussian at an offset, or its mean over the parts of the pixel there."""
    if not small:
        return math.exp(-0.5 * (a * dx * dx + 2.0 * b * dx * dy + c * dy * dy))
    total = 0.0
    for j in range(PARTS):
        v = dy + (j + 0.5) / PARTS - 0.5
        for i in range(PARTS):
            u = dx + (i + 0.5) / PARTS - 0.5
            r2 = a * u * u + 2.0 * b * u * v + c * v * v
            if r2 <= SMALL_REACH:
                total += math.exp(-0.5 * r2)
    return total / PARTS**2


@njit(cache=True, nogil=True)
def gaussian_flux(
    image: np.ndarray, variance: np.ndarray, x: float, y: float, xx: float, yy: float, xy: float
) -> tuple[float, float, float]:
    """Flux ``2 sum w I`` of a source under the Gaussian w of its adaptive moments, its error, and the weight missed.

    For a Gaussian source it is the whole flux.  The moments are fitted to the same pixels: where noise makes a source
    look wider, the weight catches more of it.  To first order the flux is therefore ``2 sum w (1 + (r^2 - 1) / (3 -
    k)) I`` with the squared Mahalanobis distance r^2 and ``k = sum w I r^4 / sum w I``, 2 for a Gaussian, and that is
    what the error is made of.

    Parameters
    ----------
    image, variance
        ``[y, x]``; NaN pixels of the image are left out.
    x, y
        Centre, px.
    xx, yy, xy
        Second moments of the weight, px^2.

    Returns
    -------
    flux, error
        In the unit of the image.
    missed
        Share of the weight on pixels that are left out or outside the image.
    """
    determinant = xx * yy - xy * xy
    a, b, c = yy / determinant, -xy / determinant, xx / determinant
    small = min(xx, yy) < SMALL_VARIANCE or determinant < SMALL_DETERMINANT
    reach = math.sqrt(REACH * yy) + (1.0 if small else 0.0)
    half_side = min(max(4.0 * math.sqrt(max(xx, yy)), 1.0 if small else 0.0), MAX_HALF_SIDE)
    half = min(reach, half_side)
    total, fourth, lost, whole = 0.0, 0.0, 0.0, 0.0
    n0, n1, n2 = 0.0, 0.0, 0.0  # sums of w^2 V (r^2 - 1)^k
    for iy in range(math.ceil(y - half), math.floor(y + half) + 1):
        dy = iy - y
        low, high = ellipse_row(a, b, c, dy, REACH)
        if small:
            low, high = -half_side - 1.0, half_side + 1.0
        first, last = math.ceil(x + max(low, -half_side)), math.floor(x + min(high, half_side))
        row_inside = 0 <= iy < image.shape[0]
        dx = first - x
        weight = _weight(a, b, c, dx, dy, False)
        ratio, fall = math.exp(-0.5 * (a * (2.0 * dx + 1.0) + 2.0 * b * dy)), math.exp(-a)
        for ix in range(first, last + 1):
            dx = ix - x
            w = _weight(a, b, c, dx, dy, True) if small else weight
            weight, ratio = weight * ratio, ratio * fall
            whole += w
            if not (row_inside and 0 <= ix < image.shape[1]) or math.isnan(image[iy, ix]):
                lost += w
                continue
            r2 = a * dx * dx + 2.0 * b * dx * dy + c * dy * dy
            signal = w * image[iy, ix]
            total += signal
            fourth += signal * r2 * r2
            noise = w * w * variance[iy, ix]
            n0 += noise
            n1 += noise * (r2 - 1.0)
            n2 += noise * (r2 - 1.0) ** 2
    if not total > 0.0:
        return 2.0 * total, 2.0 * math.sqrt(n0), lost / whole if whole > 0.0 else 1.0
    gain = 1.0 / (3.0 - min(max(fourth / total, MIN_KURTOSIS), MAX_KURTOSIS))
    return 2.0 * total, 2.0 * math.sqrt(max(n0 + 2.0 * gain * n1 + gain * gain * n2, 0.0)), lost / whole
