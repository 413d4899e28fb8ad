"""The linear step a star: flux and centre under a given PSF."""

from __future__ import annotations

import numpy as np

from skyloom.kernels.psf_fit import Taps, star_sums

from .grid_model import GridModel
from .stamps import StarStamps

__all__ = ["pixel_variance", "refit_stars"]

_MAX_STEP = 0.1
"""Largest move of a centre at once, pixels: the model is linear in it only near the truth."""


def pixel_variance(stamps: StarStamps, model: np.ndarray, model_error: float) -> np.ndarray:
    """Variance ``[star, y, x]`` of sky, of the star itself, and of the model that describes it."""
    signal = np.maximum(model, 0.0)
    sky, gain = stamps.sky_variance[:, None, None], stamps.gain[:, None, None]
    return np.asarray(sky + signal / gain + (model_error * signal) ** 2)


def refit_stars(
    stamps: StarStamps, model: GridModel, taps: Taps, weight: np.ndarray, *, centres: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted least squares of flux and centre a star.

    Parameters
    ----------
    stamps
        The stars.
    model, taps
        PSF, and its interpolation at the centres at hand.
    weight
        Inverse variances ``[star, y, x]``.
    centres
        Whether the centres are free.

    Returns
    -------
    flux, step_x, step_y
        ``[star]`` each.
    """
    factors = model.factors(stamps.x, stamps.y)
    normal, target = star_sums(
        stamps.data, weight, model.coefficients, factors, taps, model.shape.oversampling, model.shape.n
    )
    if not centres:
        square = normal[:, 0, 0]
        still = np.zeros(len(stamps))
        return np.asarray(target[:, 0] / np.where(square > 0, square, np.inf)), still, still
    # A stamp without weight has a singular matrix; a touch on the diagonal makes its answer 0.
    normal += np.eye(3) * (1e-12 * np.trace(normal, axis1=1, axis2=2) + 1e-300)[:, None, None]
    found = np.linalg.solve(normal, target[..., None])[..., 0]
    positive = np.where(found[:, 0] > 0, found[:, 0], np.inf)
    step_x, step_y = (np.clip(found[:, k] / positive, -_MAX_STEP, _MAX_STEP) for k in (1, 2))
    return found[:, 0], step_x, step_y
