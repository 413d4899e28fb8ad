"""How the covariances of flats grow with the square of their level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

__all__ = ["CovarianceFit", "fit_covariances", "whole_plane"]

_ROUNDS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class CovarianceFit:
    """Coefficients of the covariances of one amplifier, ``[rows apart, columns apart]``."""

    slope: float
    """Of the variance at level zero, ADU: one over the gain."""
    coefficients: np.ndarray
    """Relative change of a pixel's area by each ADU so many rows and columns away (per ADU)."""
    errors: np.ndarray
    noise_adu2: np.ndarray
    """Covariances without light."""
    noise_errors_adu2: np.ndarray


def fit_covariances(
    levels_adu: np.ndarray, covariances_adu2: np.ndarray, pixels: np.ndarray, *, second_order: float, n_sigma: float
) -> CovarianceFit:
    """Fit the covariances C of flats of the level x, at each lag, as

    ``C = n + s x (delta + A x + c (A * A) x^2)``

    where delta is one for the variance and zero elsewhere, * is a convolution over lags, and c is 2/3 where charge acts
    as it gathers (Astier et al. 2019, A&A 629, A36, equation 20 with b = 0) and 1/4 where the mean field of an exposure
    acts on all its charge, which is the model of the correction (Coulton et al. 2018, AJ 155, 258).

    Parameters
    ----------
    levels_adu, covariances_adu2, pixels
        Of each usable pair: ``[pair]``, ``[pair, rows apart, columns apart]``, ``[pair]``.  Three pairs or more.
    second_order
        The number c.
    n_sigma
        Pairs further than this from the curve of the variance do not count.
    """
    scale = float(levels_adu.max())
    x = levels_adu / scale
    variances = covariances_adu2[:, 0, 0]
    errors = variances[:, None, None] / np.sqrt(pixels)[:, None, None]
    errors = np.broadcast_to(errors, covariances_adu2.shape).copy()
    errors[:, 0, 0] *= np.sqrt(2.0)
    slope, area = float(np.median(variances / levels_adu)) * scale, np.zeros(covariances_adu2.shape[1:])
    used = np.ones(len(x), bool)
    for _ in range(_ROUNDS):
        second = second_order * slope * _convolved(area) * (x**3)[:, None, None]
        target, weight = covariances_adu2 - second, 1.0 / errors
        (noise, squared), (noise_errors, squared_errors) = _weighted(x, target, weight, used, powers=(0, 2))
        central, central_errors, pulls = _variance(x, target[:, 0, 0], errors[:, 0, 0], used)
        noise[0, 0], slope, squared[0, 0] = central
        noise_errors[0, 0], squared_errors[0, 0] = central_errors[0], central_errors[2]
        area = squared / slope
        spread = max(1.0, 1.4826 * float(np.median(np.abs(pulls[used]))))
        used = np.abs(pulls) <= n_sigma * spread
    return CovarianceFit(
        slope=slope / scale,
        coefficients=area / scale,
        errors=squared_errors / slope / scale,
        noise_adu2=noise,
        noise_errors_adu2=noise_errors,
    )


def _variance(
    x: np.ndarray, values: np.ndarray, errors: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Constant, slope and curvature of the variance, their errors, and the deviations in units of the errors."""
    basis = np.stack([np.ones_like(x), x, x * x], axis=1)
    normal = (basis[used] / errors[used, None] ** 2).T @ basis[used]
    inverse = np.linalg.inv(normal)
    solution = inverse @ ((basis[used] / errors[used, None] ** 2).T @ values[used])
    return solution, np.sqrt(np.diag(inverse)), (values - basis @ solution) / errors


def _weighted(
    x: np.ndarray, values: np.ndarray, weights: np.ndarray, used: np.ndarray, powers: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Two powers of the level at every lag, with weighted least squares: ``[power, row, column]`` and the errors."""
    basis = np.stack([x[used] ** power for power in powers], axis=1)
    square = weights[used] ** 2
    normal = np.einsum("pi,pyx,pj->yxij", basis, square, basis)
    right = np.einsum("pi,pyx,pyx->yxi", basis, square, values[used])
    inverse = np.linalg.inv(normal)
    solution = np.einsum("yxij,yxj->iyx", inverse, right)
    return solution, np.sqrt(np.einsum("yxii->iyx", inverse))


def whole_plane(quarter: np.ndarray) -> np.ndarray:
    """Lags to all sides ``[2 n + 1, 2 n + 1]`` of those to one ``[n + 1, n + 1]``."""
    half = np.concatenate([quarter[:0:-1], quarter])
    return np.concatenate([half[:, :0:-1], half], axis=1)


def _convolved(area: np.ndarray) -> np.ndarray:
    """The convolution of the coefficients with themselves, at the same lags."""
    whole = whole_plane(area)
    lags = len(area) - 1
    return np.asarray(signal.oaconvolve(whole, whole, mode="same")[lags:, lags:])
