"""Kron's flux: the light within an ellipse as large as the light of the source itself says."""

from __future__ import annotations

import math

import numpy as np

from .ellipses import ellipse_sums, mean_radius
from .inner import inner_kernel
from .moments import ellipse_row

__all__ = ["kron_flux"]

STEP = 0.15  # part of the radius by which the ellipse is changed to see how the flux follows


@inner_kernel
def _moment_noise(
    planes: tuple[np.ndarray, np.ndarray, np.ndarray],
    x: float,
    y: float,
    form: tuple[float, float, float],
    reach: float,
    mean: float,
    radius: float,
) -> tuple[float, float, float]:
    """Sums within ``reach``: light, V (r - mean) as far as the aperture's radius, and V (r - mean)^2."""
    image, variance, unusable = planes
    a, b, c = form
    high = reach * math.sqrt(a)
    light, shared, own = 0.0, 0.0, 0.0
    for iy in range(max(math.ceil(y - high), 0), min(math.floor(y + high) + 1, image.shape[0])):
        dy = iy - y
        low, top = ellipse_row(a, b, c, dy, reach * reach)
        for ix in range(max(math.ceil(x + low), 0), min(math.floor(x + top) + 1, image.shape[1])):
            if (unusable[iy, ix] & 1) == 0:
                dx = ix - x
                r = math.sqrt(max(a * dx * dx + 2.0 * b * dx * dy + c * dy * dy, 0.0))
                light += image[iy, ix]
                own += variance[iy, ix] * (r - mean) ** 2
                if r <= radius:
                    shared += variance[iy, ix] * (r - mean)
    return light, shared, own


@inner_kernel
def kron_flux(
    image: np.ndarray,
    variance: np.ndarray,
    unusable: np.ndarray,
    x: float,
    y: float,
    shape: np.ndarray,
    limits: tuple[float, float, float],
    out: np.ndarray,
) -> tuple[bool, bool]:
    """Flux within ``factor`` first moments, its error, and the first moment.

    The radius R is made of the same pixels: noise n that moves the first moment r1 by ``sum (r - r1) n / sum I`` moves
    the flux by ``factor dF/dR`` times that.  The error is that of the sum of both.

    Parameters
    ----------
    image, variance, unusable, x, y
        As of `skyloom.kernels.apertures.aperture_sums`.
    shape
        Ixx, Iyy, Ixy, px^2, which give the shape of the ellipse.
    limits
        Extent of the first moment in widths of the source, ``factor``, and the least first moment, px.
    out
        Filled with flux, error and first moment.

    Returns
    -------
    missing, bounded
        Whether some of the ellipse is unusable, and whether the first moment is the least.
    """
    xx, yy, xy = shape[0], shape[1], shape[2]
    widths, factor, least = limits
    root = math.sqrt(xx * yy - xy * xy)
    reach = widths * math.sqrt(root)
    mean = mean_radius(image, unusable, x, y, xx, yy, xy, reach)
    bounded = not least <= mean <= reach
    if bounded:
        mean = least
    a, b, c = yy / root, -xy / root, xx / root
    radius = factor * mean
    scale = 1.0 / radius**2
    total, noise, missing = ellipse_sums(image, variance, unusable, x, y, (a * scale, b * scale, c * scale))
    if not bounded:
        wide, narrow = scale / (1.0 + STEP) ** 2, scale / (1.0 - STEP) ** 2
        outer, _, _ = ellipse_sums(image, variance, unusable, x, y, (a * wide, b * wide, c * wide))
        inner, _, _ = ellipse_sums(image, variance, unusable, x, y, (a * narrow, b * narrow, c * narrow))
        slope = max(outer - inner, 0.0) / (2.0 * STEP * radius)
        light, shared, own = _moment_noise((image, variance, unusable), x, y, (a, b, c), reach, mean, radius)
        gain = factor * slope / light
        noise = max(noise + 2.0 * gain * shared + gain * gain * own, 0.0)
    out[0], out[1], out[2] = total, math.sqrt(noise), mean
    return missing > 0.0, bounded
