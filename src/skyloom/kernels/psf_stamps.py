"""Images of point sources: grids interpolated at their pixels, stamps resampled as images are, their width."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .grid_taps import grid_taps, interpolate_grid
from .inner import inner_kernel

__all__ = ["gaussian_stamps", "pixel_grid_stamps", "resampled_stamps", "stamp_sigmas"]

MAX_WIDTH_STEPS = 100
WIDTH_PRECISION = 1e-7


@inner_kernel
def _combine(coefficients: np.ndarray, order: int, x: float, y: float, grid: np.ndarray) -> None:
    """The pixel grid at (x, y): the sum of ``coefficients[term] * x^i * y^j``, i outer."""
    grid[:] = 0.0
    values = grid.ravel()
    term = 0
    x_power = 1.0
    for i in range(order + 1):
        y_power = 1.0
        for _ in range(order + 1 - i):
            basis = x_power * y_power
            part = coefficients[term].ravel()
            for k in range(values.size):
                values[k] += basis * part[k]
            y_power *= y
            term += 1
        x_power *= x


@inner_kernel
def _normalise(stamp: np.ndarray) -> None:
    """Scale to unit sum; NaN throughout where the sum is not positive."""
    total = 0.0
    for row in range(stamp.shape[0]):
        for column in range(stamp.shape[1]):
            total += stamp[row, column]
    scale = 1.0 / total if total > 0.0 else np.nan
    for row in range(stamp.shape[0]):
        for column in range(stamp.shape[1]):
            stamp[row, column] *= scale


@njit(cache=True, nogil=True)
def pixel_grid_stamps(
    coefficients: np.ndarray,
    order: int,
    x: np.ndarray,
    y: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    size: int,
    n: int,
    oversampling: int,
    kernel_order: int,
) -> np.ndarray:
    """Stamps of a point source from a grid whose values are polynomials of the position.

    The kernel that conserves constants, galsim's default, differs from the plain one by a factor of the fractional
    shift alone: it drops out of stamps of unit sum.

    Parameters
    ----------
    coefficients
        ``[term, place, place]``, both axes of the grid in phase order; terms ``x^i y^j``, ``i + j <= order``, i outer.
    order
        Order of the polynomials.
    x, y
        Positions at which the polynomials are evaluated, px.
    dx, dy
        Offset of the source from the centre of the stamp's middle pixel, px.
    size
        Side of the stamps, px.
    n
        Points along a side of the grid.
    oversampling
        Grid points a pixel.
    kernel_order
        Order of the Lanczos kernel between grid points.

    Returns
    -------
    stamps
        ``[n, size, size]``, each of unit sum; NaN where a sum is not positive.
    """
    stamps = np.empty((x.size, size, size))
    grid = np.empty(coefficients.shape[1:])
    taps_x, taps_y, slopes = np.empty(2 * kernel_order), np.empty(2 * kernel_order), np.empty(2 * kernel_order)
    for i in range(x.size):
        _combine(coefficients, order, x[i], y[i], grid)
        first_x = grid_taps(dx[i], oversampling, kernel_order, taps_x, slopes)
        first_y = grid_taps(dy[i], oversampling, kernel_order, taps_y, slopes)
        interpolate_grid(grid, (taps_y, taps_x), (first_y, first_x), oversampling, n, stamps[i])
        _normalise(stamps[i])
    return stamps


@njit(cache=True, nogil=True)
def gaussian_stamps(sigma: float, size: int, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Stamps ``[n, size, size]`` of a round Gaussian sampled at pixel centres, each of unit sum."""
    stamps = np.empty((dx.size, size, size))
    radius = size // 2
    for n in range(dx.size):
        for row in range(size):
            for column in range(size):
                r2 = (column - radius - dx[n]) ** 2 + (row - radius - dy[n]) ** 2
                stamps[n, row, column] = math.exp(-0.5 * r2 / (sigma * sigma))
        _normalise(stamps[n])
    return stamps


@inner_kernel
def _warp_taps(table: np.ndarray, fraction: float, taps: np.ndarray) -> None:
    """The taps about a position ``fraction`` (0 to 1) past the last one of their first half."""
    place = fraction * (table.shape[0] - 1)
    k = min(int(place), table.shape[0] - 2)
    part = place - k
    for i in range(taps.size):
        taps[i] = table[k, i] + part * (table[k + 1, i] - table[k, i])


@inner_kernel
def _sample(image: np.ndarray, u: float, v: float, table: np.ndarray, taps_u: np.ndarray, taps_v: np.ndarray) -> float:
    """Value of ``image`` at column u, row v; pixels outside count as 0."""
    column, row = math.floor(u), math.floor(v)
    n = table.shape[1]
    first_column, first_row = column - n // 2 + 1, row - n // 2 + 1
    if first_column >= image.shape[1] or first_row >= image.shape[0]:
        return 0.0
    if first_column + n <= 0 or first_row + n <= 0:
        return 0.0
    _warp_taps(table, u - column, taps_u)
    _warp_taps(table, v - row, taps_v)
    start, stop = max(0, -first_column), min(n, image.shape[1] - first_column)
    value = 0.0
    for j in range(max(0, -first_row), min(n, image.shape[0] - first_row)):
        line = 0.0
        for i in range(start, stop):
            line += taps_u[i] * image[first_row + j, first_column + i]
        value += taps_v[j] * line
    return value


@njit(cache=True, nogil=True)
def resampled_stamps(
    source: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    jacobian: np.ndarray,
    ox: np.ndarray,
    oy: np.ndarray,
    size: int,
    table: np.ndarray,
) -> np.ndarray:
    """Stamps carried to another pixel grid through the local affine map, with the kernel that warps images.

    Parameters
    ----------
    source
        Stamps ``[n, y, x]`` on the grid they come from.
    u, v
        Position of the point source in the source stamp, in pixels from the centre of its first pixel.
    jacobian
        ``[n, 2, 2]``: derivatives of the source position (x, y) by the destination position (x, y).
    ox, oy
        Position of the first pixel of the destination stamp from the point source, in destination pixels.
    size
        Size of the destination stamps.
    table
        The kernel, as of `skyloom.kernels.resample.kernel_table`.

    Returns
    -------
    stamps
        ``[n, size, size]``, each of unit sum; NaN where a sum is not positive.
    """
    stamps = np.empty((u.size, size, size))
    taps_u, taps_v = np.empty(table.shape[1]), np.empty(table.shape[1])
    for n in range(u.size):
        for row in range(size):
            for column in range(size):
                dx, dy = ox[n] + column, oy[n] + row
                su = u[n] + jacobian[n, 0, 0] * dx + jacobian[n, 0, 1] * dy
                sv = v[n] + jacobian[n, 1, 0] * dx + jacobian[n, 1, 1] * dy
                stamps[n, row, column] = _sample(source[n], su, sv, table, taps_u, taps_v)
        _normalise(stamps[n])
    return stamps


@inner_kernel
def _matched_moments(stamp: np.ndarray, xx: float, yy: float, xy: float) -> tuple[float, float, float]:
    """Second moments about the middle under a Gaussian of moments (xx, yy, xy), doubled."""
    radius = stamp.shape[0] // 2
    determinant = xx * yy - xy * xy
    flux, sum_xx, sum_yy, sum_xy = 0.0, 0.0, 0.0, 0.0
    for row in range(stamp.shape[0]):
        for column in range(stamp.shape[1]):
            dx, dy = float(column - radius), float(row - radius)
            r2 = (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / determinant
            signal = math.exp(-0.5 * r2) * stamp[row, column]
            flux += signal
            sum_xx += signal * dx * dx
            sum_yy += signal * dy * dy
            sum_xy += signal * dx * dy
    if not flux > 0.0:
        return np.nan, np.nan, np.nan
    return 2.0 * sum_xx / flux, 2.0 * sum_yy / flux, 2.0 * sum_xy / flux


@njit(cache=True, nogil=True)
def stamp_sigmas(stamps: np.ndarray) -> np.ndarray:
    """Determinant radii ``(xx yy - xy^2)^(1/4)`` of centred stamps from adaptive moments, px.

    The weight is the Gaussian whose moments equal those of the weighted image (Bernstein & Jarvis 2002, AJ 123,
    583), which for a Gaussian are its own.  NaN where there are none.
    """
    sigmas = np.empty(stamps.shape[0])
    for n in range(stamps.shape[0]):
        xx, yy, xy = 4.0, 4.0, 0.0
        for _ in range(MAX_WIDTH_STEPS):
            new_xx, new_yy, new_xy = _matched_moments(stamps[n], xx, yy, xy)
            determinant = new_xx * new_yy - new_xy * new_xy
            if not determinant > 0.0:
                xx = yy = xy = np.nan
                break
            change = max(abs(new_xx - xx), abs(new_yy - yy), abs(new_xy - xy))
            xx, yy, xy = new_xx, new_yy, new_xy
            if change < WIDTH_PRECISION:
                break
        sigmas[n] = (xx * yy - xy * xy) ** 0.25
    return sigmas
