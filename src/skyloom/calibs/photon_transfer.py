"""Gain and noise from how the variance of flats grows with their level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from .pair_settings import VarianceModel

__all__ = ["PhotonTransfer", "fit_photon_transfer"]

_ROUNDS = 5
_FEWEST = 4
_SIGNIFICANCE = 5.0  # a smaller slope tells no gain


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotonTransfer:
    """A photon-transfer curve; not a number throughout where it could not be fitted."""

    gain: float
    """Electrons an ADU."""
    gain_error: float
    a00: float
    """Relative change of the variance per electron of the level, from the brighter-fatter effect (and the loss of
    linearity): negative."""
    a00_error: float
    noise_adu2: float
    """Variance without light."""
    noise_error_adu2: float
    reduced_chi2: float
    used: np.ndarray
    """Bool: the points that count."""


def fit_photon_transfer(
    levels_adu: np.ndarray,
    variances_adu2: np.ndarray,
    errors_adu2: np.ndarray,
    *,
    model: VarianceModel = "EXPONENTIAL",
    n_sigma: float = 5.0,
) -> PhotonTransfer:
    """Fit the variance of flats as a function of their level.

    EXPONENTIAL: (exp(2 a g x) - 1) / (2 g^2 a) + n, of a level x, where g is the gain and a the relative change of the
    area of a pixel by each electron in it (Astier et al. 2019, A&A 629, A36, equation 16).  POLYNOMIAL: n + x / g +
    a x^2 + b x^3.  A straight line would give a gain that is too large, for charge in a pixel turns away what comes
    after it.

    Parameters
    ----------
    levels_adu, variances_adu2, errors_adu2
        Of each pair; not a number where it does not count.
    model
        Which of the two.
    n_sigma
        Points further than this from the curve, in units of their scatter, do not count.

    Returns
    -------
    fit
        Errors are those of the weighted fit, larger where the points scatter more than they should.
    """
    curve, start = _MODELS[model]
    used = np.isfinite(levels_adu) & np.isfinite(variances_adu2) & (errors_adu2 > 0)
    for _ in range(_ROUNDS):
        if used.sum() < max(_FEWEST, len(start) + 1):
            return _nothing(used)
        x, y, error = levels_adu[used], variances_adu2[used], errors_adu2[used]
        scale, slope = float(x.max()), float(np.median(y / x))
        solution = least_squares(
            lambda p, x, y, error, scale: (curve(p, x, scale) - y) / error,
            slope * np.array(start),
            args=(x, y, error, scale),
            x_scale=slope,
            method="lm",
        )
        pulls = (variances_adu2 - curve(solution.x, levels_adu, scale)) / errors_adu2
        spread = max(1.0, 1.4826 * float(np.median(np.abs(pulls[used]))))
        before, used = used, np.isfinite(pulls) & (np.abs(pulls) <= n_sigma * spread)
        if (used == before).all():
            break
    chi2 = float(np.sum(solution.fun**2)) / max(len(solution.fun) - len(start), 1)
    return _judged(solution.x, solution.jac, scale, chi2, before)


def _judged(
    parameters: np.ndarray, jacobian: np.ndarray, scale: float, chi2: float, used: np.ndarray
) -> PhotonTransfer:
    """The curve with its errors, where it tells a gain."""
    try:
        covariance = np.linalg.inv(jacobian.T @ jacobian) * max(chi2, 1.0)
    except np.linalg.LinAlgError:
        return _nothing(used)
    errors = np.sqrt(np.diag(covariance))
    slope, bend, noise = parameters[:3]
    if not slope > _SIGNIFICANCE * errors[0]:
        return _nothing(used)
    # The variance is slope x (1 + bend / slope x / scale + ...), and x is slope times the electrons.
    return PhotonTransfer(
        gain=float(1.0 / slope),
        gain_error=float(errors[0] / slope**2),
        a00=float(bend / scale),
        a00_error=float(errors[1] / scale),
        noise_adu2=float(noise),
        noise_error_adu2=float(errors[2]),
        reduced_chi2=chi2,
        used=used,
    )


def _exponential(p: np.ndarray, x: np.ndarray, scale: float) -> np.ndarray:
    """With parameters of one size: the slope at zero, its relative change up to the highest level, the noise."""
    slope, bend, noise = p
    z = 2.0 * bend / slope * x / scale if slope else np.zeros_like(x)
    with np.errstate(invalid="ignore", over="ignore"):
        growth = np.where(np.abs(z) > 1e-9, np.expm1(z) / np.where(z == 0, 1.0, z), 1.0)
    return np.asarray(slope * x * growth + noise)


def _polynomial(p: np.ndarray, x: np.ndarray, scale: float) -> np.ndarray:
    slope, bend, noise, third = p
    u = x / scale
    return np.asarray(noise + x * (slope + u * (bend + u * third)))


type _Curve = Callable[[np.ndarray, np.ndarray, float], np.ndarray]

_MODELS: dict[VarianceModel, tuple[_Curve, tuple[float, ...]]] = {
    "EXPONENTIAL": (_exponential, (1.0, -0.01, 0.0)),
    "POLYNOMIAL": (_polynomial, (1.0, -0.01, 0.0, 0.0)),
}


def _nothing(used: np.ndarray) -> PhotonTransfer:
    nan = float("nan")
    return PhotonTransfer(
        gain=nan,
        gain_error=nan,
        a00=nan,
        a00_error=nan,
        noise_adu2=nan,
        noise_error_adu2=nan,
        reduced_chi2=nan,
        used=np.zeros_like(used),
    )
