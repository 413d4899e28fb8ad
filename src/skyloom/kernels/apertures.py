"""Circular apertures with the exact overlap of circle and pixel."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["aperture_sums", "circle_pixel_overlap", "circle_sums", "row_capacity", "segment_area"]

SMALL_SEGMENT = 0.1  # half chord over radius up to which the series of a circular segment is exact to 1e-15


@inner_kernel
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
def segment_area(chord_squared: float, r: float) -> float:
    """Area between a chord of a circle and its arc."""
    t2 = 0.25 * chord_squared / (r * r)
    t = math.sqrt(t2)
    if t > SMALL_SEGMENT:
        return r * r * (math.asin(t) - t * math.sqrt(1.0 - t2))
    series = 2.0 / 3.0 + t2 * (1.0 / 5.0 + t2 * (3.0 / 28.0 + t2 * (5.0 / 72.0 + t2 * (35.0 / 704.0))))
    return r * r * t * t2 * (series + t2**5 * 63.0 / 1664.0)


@inner_kernel
def _quadrant_overlap(x0: float, y0: float, r: float) -> float:
    """Overlap of a circle about the origin with a unit pixel whose lower left corner has x0 >= 0, y0 >= 0.

    The arc crosses the pixel from P, on its right or lower side, to Q, on its left or upper one: the overlap is the
    polygon below the chord PQ and the segment above it.
    """
    x1, y1, r2 = x0 + 1.0, y0 + 1.0, r * r
    # Of the two sides that P can lie on, it is on the one that the arc meets within the pixel: no branch to mispredict.
    px, py = min(x1, math.sqrt(r2 - y0 * y0)), max(y0, math.sqrt(max(r2 - x1 * x1, 0.0)))
    qx, qy = max(x0, math.sqrt(max(r2 - y1 * y1, 0.0))), min(y1, math.sqrt(r2 - x0 * x0))
    polygon = (qx - x0) + (px - qx) * (0.5 * (py + qy) - y0)
    return polygon + float(segment_area((px - qx) ** 2 + (py - qy) ** 2, r))


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
    if x0 >= 0.0 and y0 >= 0.0:
        return float(_quadrant_overlap(x0, y0, r))
    area = _corner_area(x1, y1, r) - _corner_area(x0, y1, r) - _corner_area(x1, y0, r) + _corner_area(x0, y0, r)
    return float(max(area, 0.0))


@inner_kernel
def _row_sums(
    image: np.ndarray, variance: np.ndarray, unusable: np.ndarray, iy: int, x0: int, x1: int, sums: np.ndarray
) -> None:
    """Running sums along columns x0 to x1 (exclusive) of a row, from 0: of the image, the variance, and what misses."""
    total, noise, missing = 0.0, 0.0, 0.0
    inside = 0 <= iy < image.shape[0]
    left = min(max(x0, 0), x1) if inside else x1
    right = max(min(x1, image.shape[1]), left) if inside else x1
    for k in range(left - x0):
        sums[0, k], sums[1, k], sums[2, k] = 0.0, 0.0, missing
        missing += 1.0
    if left < right:
        values, spread, lost = image[iy, left:right], variance[iy, left:right], unusable[iy, left:right]
        totals, noises, gaps = sums[0, left - x0 :], sums[1, left - x0 :], sums[2, left - x0 :]
        for k in range(values.size):
            totals[k], noises[k], gaps[k] = total, noise, missing
            if (lost[k] & 1) == 0:
                total += values[k]
                noise += spread[k]
            else:
                missing += 1.0
    for k in range(right - x0, x1 - x0 + 1):
        sums[0, k], sums[1, k], sums[2, k] = total, noise, missing
        missing += 1.0


@njit(cache=True, nogil=True)
def row_capacity(radius: float) -> int:
    """Columns that the widest row of a circle can need, and one more."""
    return 2 * math.ceil(radius) + 4


@njit(cache=True, nogil=True)
def circle_sums(
    image: np.ndarray,
    variance: np.ndarray,
    unusable: np.ndarray,
    x: float,
    y: float,
    radii: np.ndarray,
    sums: np.ndarray,
    out: np.ndarray,
) -> None:
    """Sums in all circles about one centre, in one pass over the rows.

    A row of a circle is a run of whole pixels, taken from running sums, and a few cut ones at its ends.

    Parameters
    ----------
    image, variance, unusable, radii
        As of `aperture_sums`.
    x, y
        Centre, px.
    sums
        Work space, ``[3, row_capacity(largest radius)]``.
    out
        ``[3, radius]``: filled with the sum, its variance, and the unusable pixels met.
    """
    out[:] = 0.0
    largest = radii.max()
    first, last = math.floor(x - largest + 0.5), math.floor(x + largest + 0.5)
    for iy in range(math.floor(y - largest + 0.5), math.floor(y + largest + 0.5) + 1):
        _row_sums(image, variance, unusable, iy, first, last + 1, sums)
        dy = iy - y
        near, far = max(abs(dy) - 0.5, 0.0), abs(dy) + 0.5
        for k in range(radii.size):
            r = radii[k]
            if near >= r:
                continue
            reach = math.sqrt(r * r - near * near)
            left, right = math.floor(x - reach + 0.5), math.floor(x + reach + 0.5)
            whole_left, whole_right = right + 1, right  # none whole
            if far < r:
                whole = math.sqrt(r * r - far * far) - 0.5
                if math.floor(x + whole) >= math.ceil(x - whole):
                    whole_left, whole_right = math.ceil(x - whole), math.floor(x + whole)
                    a, b = whole_left - first, whole_right + 1 - first
                    for j in range(3):
                        out[j, k] += sums[j, b] - sums[j, a]
            ix = left - 1
            while ix < right:
                ix += 1
                if ix == whole_left:
                    ix = whole_right
                    continue
                weight = circle_pixel_overlap(ix - x, dy, r)
                if weight > 0.0:
                    c = ix - first
                    out[0, k] += weight * (sums[0, c + 1] - sums[0, c])
                    out[1, k] += weight * weight * (sums[1, c + 1] - sums[1, c])
                    out[2, k] += sums[2, c + 1] - sums[2, c]


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
        ``[y, x]`` bool, or integers of which the lowest bit counts: pixels that are left out and flag the aperture.
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
    sums, out = np.empty((3, row_capacity(radii.max()))), np.empty((3, radii.size))
    for i in range(x.size):
        circle_sums(image, variance, unusable, x[i], y[i], radii, sums, out)
        for k in range(radii.size):
            flux[i, k], error[i, k], flag[i, k] = out[0, k], math.sqrt(max(out[1, k], 0.0)), out[2, k] > 0.0
    return flux, error, flag
