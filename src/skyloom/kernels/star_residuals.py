"""Residuals of stars on tangent planes, with their errors and derivatives."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["star_residuals", "whiten"]


@njit(cache=True, nogil=True)
def star_residuals(
    stars: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    planes: tuple[np.ndarray, np.ndarray],
    mapped: tuple[np.ndarray, np.ndarray],
    errors: tuple[np.ndarray, float],
    arcsec: float,
    residual: np.ndarray,
    root: np.ndarray,
    by_star: np.ndarray,
) -> None:
    """Star less measurement on the tangent plane of each measurement.

    Parameters
    ----------
    stars
        Directions ``[s, 3]``, their unit vectors to the east and north ``[s, 2, 3]``, number of the star of each
        measurement ``[m]``, and how far it has moved to the east and north by then, arcsec, ``[m, 2]``.
    planes
        Unit vectors to the east and north of the tangent point of a frame and its direction, ``[frames, 3, 3]``, and
        the number of the frame of each measurement ``[m]``.
    mapped
        Measured positions on the planes, arcsec, ``[m, 2]``, and their derivatives by the pixels, ``[m, 2, 2]``.
    errors
        Covariances of the pixel positions ``[m, 2, 2]``, and an error that is added in quadrature.
    arcsec
        Arcseconds of a radian.
    residual
        Filled: arcsec, ``[m, 2]``.
    root
        Filled: the lower triangular matrices that turn residuals into units of their errors, ``[m, 2, 2]``.
    by_star
        Filled: derivatives by moves of the star to the east and north, ``[m, 2, 2]``.
    """
    directions, axes, number, motion = stars
    position, by_pixel = mapped
    covariance, pedestal = errors
    axes_of_frame, frame = planes
    place, along, moves = np.empty(3), np.empty(3), np.empty((2, 3))
    for m in range(number.size):
        star, plane = number[m], axes_of_frame[frame[m]]
        for k in range(3):
            drift = motion[m, 0] * axes[star, 0, k] + motion[m, 1] * axes[star, 1, k]
            place[k] = directions[star, k] + drift / arcsec
        for i in range(3):
            along[i] = moves[0, i] = moves[1, i] = 0.0
            for k in range(3):
                along[i] += plane[i, k] * place[k]
                moves[0, i] += plane[i, k] * axes[star, 0, k]
                moves[1, i] += plane[i, k] * axes[star, 1, k]
        for i in range(2):
            flat = along[i] / along[2]
            residual[m, i] = arcsec * flat - position[m, i]
            for d in range(2):
                by_star[m, i, d] = (moves[d, i] - flat * moves[d, 2]) / along[2]
        xx = covariance[m, 0, 0] + pedestal * pedestal
        yy = covariance[m, 1, 1] + pedestal * pedestal
        xy = covariance[m, 0, 1]
        a, b, c, d = by_pixel[m, 0, 0], by_pixel[m, 0, 1], by_pixel[m, 1, 0], by_pixel[m, 1, 1]
        ee = a * a * xx + 2.0 * a * b * xy + b * b * yy
        nn = c * c * xx + 2.0 * c * d * xy + d * d * yy
        en = a * c * xx + (a * d + b * c) * xy + b * d * yy
        low = np.sqrt(ee)
        cross = en / low
        high = np.sqrt(nn - cross * cross)
        root[m, 0, 0], root[m, 0, 1] = 1.0 / low, 0.0
        root[m, 1, 0], root[m, 1, 1] = -cross / (low * high), 1.0 / high


@njit(cache=True, nogil=True)
def whiten(root: np.ndarray, values: np.ndarray) -> None:
    """Multiply pairs of rows by lower triangular matrices, in place.

    Parameters
    ----------
    root
        ``[m, 2, 2]``.
    values
        ``[m, 2, t]``.
    """
    for m in range(values.shape[0]):
        for t in range(values.shape[2]):
            first, second = values[m, 0, t], values[m, 1, t]
            values[m, 0, t] = root[m, 0, 0] * first
            values[m, 1, t] = root[m, 1, 0] * first + root[m, 1, 1] * second
