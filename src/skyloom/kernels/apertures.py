"""Circular apertures with the exact overlap of circle and pixel."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["aperture_sums", "circle_pixel_overlap"]


@njit(cache=True, nogil=True)
def _corner_area(x: float, y: float, r: float) -> float:
    """Area of the part of a disk about the origin inside the rectangle from the origin to (x, y); odd in x and y."""
    sign = 1.0
    if x < 0.0:
        x, sign = -x, -sign
    if y < 0.0:
        y, sign = -y, -sign
    x, y = min(x, r), min(y, r)
    if x * x + y * y <= r * r:
        return sign * x * y
    u = math.sqrt(r * r - y * y)  # the circle leaves the top side here
    v = math.sqrt(r * r - x * x)
    arc = 0.5 * (x * v - u * y + r * r * (math.asin(x / r) - math.asin(u / r)))
    area: float = sign * (y * u + arc)
    return area


@njit(cache=True, nogil=True)
def circle_pixel_overlap(dx: float, dy: float, r: float) -> float:
    """Area of the unit pixel centred (dx, dy) from the centre of a circle that lies inside the circle."""
    ax, ay = abs(dx), abs(dy)
    if (ax + 0.5) ** 2 + (ay + 0.5) ** 2 <= r * r:
        return 1.0
    near_x, near_y = max(ax - 0.5, 0.0), max(ay - 0.5, 0.0)
    if near_x**2 + near_y**2 >= r * r:
        return 0.0
    x0, x1, y0, y1 = ax - 0.5, ax + 0.5, ay - 0.5, ay + 0.5
    area = _corner_area(x1, y1, r) - _corner_area(x0, y1, r) - _corner_area(x1, y0, r) + _corner_area(x0, y0, r)
    return float(max(area, 0.0))


@njit(cache=True, nogil=True)
def _aperture(
    image: np.ndarray, variance: np.ndarray, unusable: np.ndarray, x: float, y: float, r: float
) -> tuple[float, float, bool]:
    """Sum, its variance, and whether some of the aperture is unusable or outside the image."""
    total, noise, flagged = 0.0, 0.0, False
    for iy in range(math.floor(y - r + 0.5), math.ceil(y + r + 0.5)):
        for ix in range(math.floor(x - r + 0.5), math.ceil(x + r + 0.5)):
            weight = circle_pixel_overlap(ix - x, iy - y, r)
            if weight <= 0.0:
                continue
            if not (0 <= iy < image.shape[0] and 0 <= ix < image.shape[1]) or unusable[iy, ix]:
                flagged = True
                continue
            total += weight * image[iy, ix]
            noise += weight * weight * variance[iy, ix]
    return total, noise, flagged


@njit(cache=True, nogil=True)
def aperture_sums(
    image: np.ndarray, variance: np.ndarray, unusable: np.ndarray, x: np.ndarray, y: np.ndarray, radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of the image in circles, each pixel weighted by the exact area inside.

    Parameters
    ----------
    image, variance
        ``[y, x]``; finite where ``unusable`` is not set.
    unusable
        ``[y, x]`` bool: pixels that are left out and flag the aperture.
    x, y
        Centres, px.
    radii
        Radii, px.

    Returns
    -------
    flux, error, flag
        ``[source, radius]``; the error is that of independent pixels with the given variance.
    """
    shape = (x.size, radii.size)
    flux, error, flag = np.empty(shape), np.empty(shape), np.zeros(shape, np.bool_)
    for i in range(x.size):
        for k in range(radii.size):
            total, noise, flagged = _aperture(image, variance, unusable, x[i], y[i], radii[k])
            flux[i, k], error[i, k], flag[i, k] = total, math.sqrt(noise), flagged
    return flux, error, flag
