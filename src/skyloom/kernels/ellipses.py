"""Elliptical apertures with the exact overlap of ellipse and pixel, and the first moment that sets Kron's radius."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .apertures import segment_area
from .inner import inner_kernel
from .moments import ellipse_row

__all__ = ["ellipse_pixel_overlap", "ellipse_sums", "elliptical_sums", "mean_radius"]

SMALL_AXIS = 1.5  # px; an ellipse with wider axes meets a pixel in less than half of its border


@inner_kernel
def _edge_area(px: float, py: float, qx: float, qy: float) -> float:
    """Signed area that the unit disk shares with the triangle of the origin, P and Q."""
    dx, dy = qx - px, qy - py
    length2 = dx * dx + dy * dy
    along = -(px * dx + py * dy) / length2  # foot of the perpendicular from the origin
    cross = px * qy - py * qx
    inside2 = 1.0 - cross * cross / length2
    half = math.sqrt(inside2 / length2) if inside2 > 0.0 else 0.0
    enter, leave = max(along - half, 0.0), min(along + half, 1.0)
    if half == 0.0 or enter >= leave:  # the edge lies outside the disk
        return 0.5 * math.atan2(cross, px * qx + py * qy)
    area = 0.5 * cross * (leave - enter)
    if enter > 0.0:
        ex, ey = px + enter * dx, py + enter * dy
        area += 0.5 * math.atan2(px * ey - py * ex, px * ex + py * ey)
    if leave < 1.0:
        lx, ly = px + leave * dx, py + leave * dy
        area += 0.5 * math.atan2(lx * qy - ly * qx, lx * qx + ly * qy)
    return area


@inner_kernel
def _wide_overlap(x: tuple[float, ...], y: tuple[float, ...]) -> float:
    """Area that the unit disk shares with a parallelogram that is small beside it.

    The parts of the edges inside the disk, and the chords from where the border leaves it to where it comes back, make
    a polygon; on each chord stands a segment of the disk.
    """
    area = 0.0
    first_x, first_y, last_x, last_y = 0.0, 0.0, 0.0, 0.0
    started = False
    for k in range(4):
        n = (k + 1) % 4
        dx, dy = x[n] - x[k], y[n] - y[k]
        length2 = dx * dx + dy * dy
        along = -(x[k] * dx + y[k] * dy) / length2  # foot of the perpendicular from the origin
        cross = x[k] * y[n] - y[k] * x[n]
        inside2 = length2 - cross * cross
        half = math.sqrt(max(inside2, 0.0)) / length2
        enter, leave = max(along - half, 0.0), min(along + half, 1.0)
        if inside2 <= 0.0 or enter >= leave:
            continue
        ex, ey = x[k] + enter * dx, y[k] + enter * dy
        if started:  # where the last part ended at this point, the chord has no length
            area += 0.5 * (last_x * ey - last_y * ex) + segment_area((ex - last_x) ** 2 + (ey - last_y) ** 2, 1.0)
        else:
            first_x, first_y, started = ex, ey, True
        area += 0.5 * cross * (leave - enter)
        last_x, last_y = x[k] + leave * dx, y[k] + leave * dy
    chord2 = (first_x - last_x) ** 2 + (first_y - last_y) ** 2
    return area + 0.5 * (last_x * first_y - last_y * first_x) + float(segment_area(chord2, 1.0))


@njit(cache=True, nogil=True)
def ellipse_pixel_overlap(dx: float, dy: float, a: float, b: float, c: float) -> float:
    """Area of the unit pixel centred (dx, dy) from the centre of an ellipse that lies inside it.

    The ellipse is ``a x^2 + 2 b x y + c y^2 = 1``.  A linear map makes it the unit disk and the pixel a parallelogram,
    whose edges are summed.
    """
    # Cholesky factor: |(p x + q y, r y)|^2 is the form.
    p = math.sqrt(a)
    q, r = b / p, math.sqrt(c - b * b / a)
    u = (dx - 0.5, dx + 0.5, dx + 0.5, dx - 0.5)
    v = (dy - 0.5, dy - 0.5, dy + 0.5, dy + 0.5)
    x = (p * u[0] + q * v[0], p * u[1] + q * v[1], p * u[2] + q * v[2], p * u[3] + q * v[3])
    y = (r * v[0], r * v[1], r * v[2], r * v[3])
    area = 0.0
    if a + c < 1.0 / SMALL_AXIS**2:  # the sum of the squares of the inverse axes
        area = _wide_overlap(x, y)
    else:
        for k in range(4):
            n = (k + 1) % 4
            area += _edge_area(x[k], y[k], x[n], y[n])
    return float(min(max(area / (p * r), 0.0), 1.0))


@inner_kernel
def _whole_row(a: float, b: float, c: float, dy: float) -> tuple[float, float]:
    """Range of dx of pixel centres whose four corners are inside the ellipse, in the row at dy."""
    low, high = ellipse_row(a, b, c, dy - 0.5, 1.0)
    other_low, other_high = ellipse_row(a, b, c, dy + 0.5, 1.0)
    return max(low, other_low) + 0.5, min(high, other_high) - 0.5


@inner_kernel
def _touched_row(a: float, b: float, c: float, dy: float) -> tuple[float, float]:
    """Range of dx of pixel centres that the ellipse can overlap, in the row at dy."""
    low, high = 1e300, -1e300
    # The outermost point of the ellipse within the row is at its upper or lower border, or where it is widest.
    widest = math.sqrt(c / (a * c - b * b))
    for dx, at in ((widest, -b / c * widest), (-widest, b / c * widest)):
        if abs(at - dy) <= 0.5:
            low, high = min(low, dx), max(high, dx)
    for border in (dy - 0.5, dy + 0.5):
        left, right = ellipse_row(a, b, c, border, 1.0)
        if left <= right:
            low, high = min(low, left), max(high, right)
    return low - 0.5, high + 0.5


@njit(cache=True, nogil=True)
def ellipse_sums(
    image: np.ndarray,
    variance: np.ndarray,
    unusable: np.ndarray,
    x: float,
    y: float,
    shape: tuple[float, float, float],
) -> tuple[float, float, float]:
    """Sum in one ellipse, its variance, and the area of it that is unusable or outside the image.

    Parameters
    ----------
    image, variance, unusable
        As of `skyloom.kernels.apertures.aperture_sums`.
    x, y
        Centre, px.
    shape
        Coefficients (a, b, c) of the border ``a dx^2 + 2 b dx dy + c dy^2 = 1``, 1 / px^2.
    """
    a, b, c = shape
    total, noise, missing = 0.0, 0.0, 0.0
    high = math.sqrt(a / (a * c - b * b))
    for iy in range(math.floor(y - high + 0.5), math.floor(y + high + 0.5) + 1):
        left, right = _touched_row(a, b, c, iy - y)
        whole_left, whole_right = _whole_row(a, b, c, iy - y)
        row_inside = 0 <= iy < image.shape[0]
        for ix in range(math.ceil(x + left), math.floor(x + right) + 1):
            dx = ix - x
            weight = 1.0
            if not whole_left <= dx <= whole_right:
                weight = ellipse_pixel_overlap(dx, iy - y, a, b, c)
            if row_inside and 0 <= ix < image.shape[1] and (unusable[iy, ix] & 1) == 0:
                total += weight * image[iy, ix]
                noise += weight * weight * variance[iy, ix]
            else:
                missing += weight
    return total, noise, missing


@njit(cache=True, nogil=True)
def elliptical_sums(
    image: np.ndarray,
    variance: np.ndarray,
    unusable: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    moments: np.ndarray,
    radius: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of the image in ellipses, each pixel weighted by the exact area inside.

    Parameters
    ----------
    image, variance, unusable, x, y
        As of `skyloom.kernels.apertures.aperture_sums`.
    moments
        ``[source, 3]``: Ixx, Iyy, Ixy, px^2, which give the shape.
    radius
        Of the circle of the same area, px.

    Returns
    -------
    flux, error
        One a source; NaN where the moments are those of no ellipse.
    flag
        Bool: some of the ellipse is unusable, or there is none.
    """
    flux, error, flag = np.full(x.size, np.nan), np.full(x.size, np.nan), np.ones(x.size, np.bool_)
    for i in range(x.size):
        xx, yy, xy = moments[i, 0], moments[i, 1], moments[i, 2]
        determinant = xx * yy - xy * xy
        if not (xx > 0.0 and determinant > 0.0 and radius[i] > 0.0):
            continue
        scale = 1.0 / (math.sqrt(determinant) * radius[i] * radius[i])
        shape = (yy * scale, -xy * scale, xx * scale)
        total, noise, missing = ellipse_sums(image, variance, unusable, x[i], y[i], shape)
        flux[i], error[i], flag[i] = total, math.sqrt(noise), missing > 0.0
    return flux, error, flag


@njit(cache=True, nogil=True)
def mean_radius(
    image: np.ndarray, unusable: np.ndarray, x: float, y: float, xx: float, yy: float, xy: float, reach: float
) -> float:
    """First moment ``sum r I / sum I`` of the elliptical radius r within ``reach``; NaN where the flux is not positive.

    The radius of a pixel is that of the circle of the same area as the ellipse of the moments (xx, yy, xy) through
    its centre, px.
    """
    determinant = xx * yy - xy * xy
    unit = 1.0 / math.sqrt(determinant)
    a, b, c = yy * unit, -xy * unit, xx * unit
    high = reach * math.sqrt(a)
    total, moment = 0.0, 0.0
    for iy in range(max(math.ceil(y - high), 0), min(math.floor(y + high) + 1, image.shape[0])):
        dy = iy - y
        low, top = ellipse_row(a, b, c, dy, reach * reach)
        for ix in range(max(math.ceil(x + low), 0), min(math.floor(x + top) + 1, image.shape[1])):
            if (unusable[iy, ix] & 1) == 0:
                dx = ix - x
                value = image[iy, ix]
                total += value
                moment += value * math.sqrt(max(a * dx * dx + 2.0 * b * dx * dy + c * dy * dy, 0.0))
    return moment / total if total > 0.0 else np.nan
