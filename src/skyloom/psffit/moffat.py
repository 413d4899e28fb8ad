"""An elliptical Moffat profile: the smooth first guess of a PSF, and what its noisy wings are drawn towards."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

__all__ = ["fit_moffat", "moffat"]


def moffat(parameters: np.ndarray, size: int) -> np.ndarray:
    """An elliptical Moffat profile (Moffat 1969, A&A 3, 455) of unit sum on a grid of odd ``size``, ``[y, x]``.

    Parameters
    ----------
    parameters
        Logarithms of the two axis scales along x and y in pixels, the tangent-like shear that couples x and y, and
        the logarithm of ``beta - 1``.
    """
    scale_x, scale_y = np.exp(parameters[:2])
    offset = np.arange(size) - size // 2
    u = offset[None, :] / scale_x
    v = offset[:, None] / scale_y
    radius2 = u * u + v * v + 2 * np.tanh(parameters[2]) * u * v
    profile = (1 + radius2) ** -(1 + np.exp(parameters[3]))
    return np.asarray(profile / profile.sum())


def fit_moffat(stack: np.ndarray, weight: np.ndarray, width: float) -> np.ndarray:
    """The Moffat profile of unit sum that fits a stacked star, ``[y, x]``, best.

    Parameters
    ----------
    stack
        Mean of normalised stars centred on the central pixel.
    weight
        Inverse variance of it, ``[y, x]``.
    width
        First guess of the root mean second moment, pixels.
    """
    size = stack.shape[0]
    root = np.sqrt(weight / weight.max())
    scale = np.sum(stack * weight) / np.sum(weight)
    start = np.array([np.log(2.2 * width), np.log(2.2 * width), 0.0, np.log(2.0)])
    low = np.array([np.log(0.2), np.log(0.2), -2.0, np.log(0.3)])
    high = np.array([np.log(10.0 * size), np.log(10.0 * size), 2.0, np.log(30.0)])

    def residual(parameters: np.ndarray) -> np.ndarray:
        profile = moffat(parameters, size)
        amplitude = np.sum(root**2 * profile * stack) / np.sum(root**2 * profile**2)
        return np.asarray((root * (stack - amplitude * profile) / abs(scale)).ravel())

    found = least_squares(residual, np.clip(start, low, high), bounds=(low, high))
    return moffat(found.x, size)
