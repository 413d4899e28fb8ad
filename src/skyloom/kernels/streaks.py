"""Straight trails: images in bins, votes for lines, and profiles across a line."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["bin_significance", "line_profile", "line_votes"]


@njit(cache=True, nogil=True)
def bin_significance(
    image: np.ndarray, variance: np.ndarray, ignored: np.ndarray, side: int, limit: float
) -> np.ndarray:
    """Sum of the pixels of square bins in units of its noise; float32 ``[y, x]`` of whole bins.

    Parameters
    ----------
    image, variance
        ``[y, x]``; pixels without a finite value and a positive variance do not count.
    ignored
        Bool ``[y, x]``: nor do these.
    side
        Of the bins, px.
    limit
        A pixel counts as no more than so many sigma: none makes a bin by itself.

    Returns
    -------
    numpy.ndarray
        NaN where fewer than half of a bin's pixels count.
    """
    ny, nx = image.shape[0] // side, image.shape[1] // side
    total, number = np.zeros((ny, nx), np.float32), np.zeros((ny, nx), np.int32)
    for y in range(ny * side):
        for x in range(nx * side):
            value, var = image[y, x], variance[y, x]
            if ignored[y, x] or not (abs(value) < math.inf and 0.0 < var < math.inf):
                continue
            total[y // side, x // side] += min(max(value / math.sqrt(var), -limit), limit)
            number[y // side, x // side] += 1
    for j in range(ny):
        for i in range(nx):
            if 2 * number[j, i] >= side * side:
                total[j, i] /= math.sqrt(number[j, i])
            else:
                total[j, i] = math.nan
    return total


@njit(cache=True, nogil=True)
def line_votes(x: np.ndarray, y: np.ndarray, angles: np.ndarray, reach: int) -> np.ndarray:
    """How many points lie on each line (Duda & Hart 1972, Comm. ACM 15, 11).

    Parameters
    ----------
    x, y
        Of the points.
    angles
        Of the normals of the lines to the x axis, radians.
    reach
        Largest distance of a line from the origin.

    Returns
    -------
    numpy.ndarray
        int32 ``[angle, distance]``: points with ``x cos + y sin`` nearest to ``distance - reach``.
    """
    votes = np.zeros((angles.size, 2 * reach + 1), np.int32)
    for k in range(angles.size):
        c, s = math.cos(angles[k]), math.sin(angles[k])
        row = votes[k]
        for i in range(x.size):
            at = math.floor(x[i] * c + y[i] * s + 0.5) + reach
            if 0 <= at < row.size:
                row[at] += 1
    return votes


@njit(cache=True, nogil=True)
def line_profile(
    image: np.ndarray,
    variance: np.ndarray,
    ignored: np.ndarray,
    line: tuple[float, float],
    half_width: int,
    chunk: int,
    limit: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Significance of the pixels along a line, by chunk and by distance from it.

    Parameters
    ----------
    image, variance, ignored
        As in `bin_significance`.
    line
        Angle of its normal to the x axis, radians, and distance from the first pixel, px.
    half_width
        Largest distance from the line, px.
    chunk
        Length of the chunks, px; they are counted from ``-(height + width)`` along the line.
    limit
        A pixel counts as no more than so many sigma.

    Returns
    -------
    total, number
        ``[chunk, distance]``, distances from ``-half_width`` to ``half_width`` in steps of a pixel: sum of the
        significances, and number of pixels.
    """
    height, width = image.shape
    angle, rho = line
    c, s = math.cos(angle), math.sin(angle)
    reach = height + width
    shape = (2 * reach // chunk + 1, 2 * half_width + 1)
    total, number = np.zeros(shape), np.zeros(shape, np.int64)
    by_rows = abs(c) >= abs(s)
    steep, other = (c, s) if by_rows else (s, c)
    outer, inner = (height, width) if by_rows else (width, height)
    for a in range(outer):
        centre, half = (rho - a * other) / steep, (half_width + 0.5) / abs(steep)
        for b in range(max(0, math.ceil(centre - half)), min(inner, math.floor(centre + half) + 1)):
            y, x = (a, b) if by_rows else (b, a)
            value, var = image[y, x], variance[y, x]
            if ignored[y, x] or not (abs(value) < math.inf and 0.0 < var < math.inf):
                continue
            offset = math.floor(x * c + y * s - rho + 0.5) + half_width
            if 0 <= offset <= 2 * half_width:
                at = int(y * c - x * s + reach) // chunk
                total[at, offset] += min(max(value / math.sqrt(var), -limit), limit)
                number[at, offset] += 1
    return total, number
