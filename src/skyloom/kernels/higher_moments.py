"""Third and fourth moments of stars under the Gaussian that matches them, and second moments of stamps."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel
from .moments import shapes

__all__ = ["HIGHER_MOMENTS", "higher_moments", "stamp_shapes"]

HIGHER_MOMENTS = ((3, 0), (2, 1), (1, 2), (0, 3), (4, 0), (3, 1), (2, 2), (1, 3), (0, 4))
"""Powers (p, q) of the moments M_pq, in the order of the columns of `higher_moments`."""

_REACH = 16.0  # squared Mahalanobis distance at which the weight is cut off
_MAX_LOST = 0.01  # of the weight, on unusable pixels


@inner_kernel
def _whitening(xx: float, yy: float, xy: float) -> tuple[float, float, float]:
    """The symmetric inverse square root (a, b, c) of [[xx, xy], [xy, yy]]: [[a, c], [c, b]]."""
    root = math.sqrt(xx * yy - xy * xy)
    size = math.sqrt(xx + yy + 2.0 * root)
    return (yy + root) / (size * root), (xx + root) / (size * root), -xy / (size * root)


@inner_kernel
def _moments(image: np.ndarray, unusable: np.ndarray, x: float, y: float, shape: np.ndarray, out: np.ndarray) -> None:
    """Moments of one star into ``out[9]``, NaN where too much of it is unusable."""
    out[:] = np.nan
    xx, yy, xy = float(shape[0]), float(shape[1]), float(shape[2])
    if not (xx > 0.0 and yy > 0.0 and xx * yy > xy * xy and math.isfinite(x) and math.isfinite(y)):
        return
    a, b, c = _whitening(xx, yy, xy)
    reach_x, reach_y = math.sqrt(_REACH * xx), math.sqrt(_REACH * yy)
    sums = np.zeros(9)
    total, lost, whole = 0.0, 0.0, 0.0
    for iy in range(math.ceil(y - reach_y), math.floor(y + reach_y) + 1):
        for ix in range(math.ceil(x - reach_x), math.floor(x + reach_x) + 1):
            dx, dy = ix - x, iy - y
            u, v = a * dx + c * dy, c * dx + b * dy
            r2 = u * u + v * v
            if r2 > _REACH:
                continue
            weight = math.exp(-0.5 * r2)
            whole += weight
            inside = 0 <= iy < image.shape[0] and 0 <= ix < image.shape[1]
            if not inside or unusable[iy, ix]:
                lost += weight
                continue
            signal = weight * image[iy, ix]
            total += signal
            u2, v2 = u * u, v * v
            sums[0] += signal * u2 * u
            sums[1] += signal * u2 * v
            sums[2] += signal * u * v2
            sums[3] += signal * v2 * v
            sums[4] += signal * u2 * u2
            sums[5] += signal * u2 * u * v
            sums[6] += signal * u2 * v2
            sums[7] += signal * u * v2 * v
            sums[8] += signal * v2 * v2
    if total > 0.0 and lost <= _MAX_LOST * whole:
        out[:] = sums / total


@njit(cache=True, nogil=True)
def higher_moments(
    image: np.ndarray, unusable: np.ndarray, x: np.ndarray, y: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Moments M_pq of third and fourth order, in units of the second moments.

    Coordinates are turned by the inverse square root of the matrix of second moments, so that the weight is a round
    Gaussian of unit width (Zhang et al. 2023, MNRAS 525, 2441).  A Gaussian star has M40 = M04 = 3/4, M22 = 1/4, and
    zero else.

    Parameters
    ----------
    image
        ``[y, x]``.
    unusable
        ``[y, x]`` bool: pixels that are left out.
    x, y
        Centroids, px.
    second
        ``[star, 3]``: adaptive Ixx, Iyy, Ixy, px^2.

    Returns
    -------
    moments
        ``[star, 9]``, columns as in `HIGHER_MOMENTS`; NaN for a star that lacks 1 % of the weight.
    """
    moments = np.empty((x.size, 9))
    for i in range(x.size):
        _moments(image, unusable, x[i], y[i], second[i], moments[i])
    return moments


def stamp_shapes(stamps: np.ndarray, x: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    """Adaptive Ixx, Iyy, Ixy of one source a stamp, px^2, as of `skyloom.kernels.moments.shapes`.

    Parameters
    ----------
    stamps
        ``[n, y, x]``.
    x, y
        Centres in the stamps, px.
    sigma
        First width of the weight, px.

    Returns
    -------
    moments
        ``[n, 3]``; NaN where no Gaussian matches.
    """
    moments = np.empty((x.size, 3))
    nothing = np.zeros(stamps.shape[1:])
    for i in range(x.size):
        moments[i] = shapes(stamps[i], nothing, x[i : i + 1], y[i : i + 1], sigma, 2.0)[0][0]
    return moments
