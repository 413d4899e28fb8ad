"""The linear step a star: flux and centre under a given PSF, and the chi2 of what remains."""

from __future__ import annotations

import numpy as np

from .shift import shift_matrices
from .stamps import StarStamps

__all__ = ["model_stamps", "pixel_variance", "refit_stars"]

_STEP = 0.05
"""Finite step of the derivative with respect to the centre, pixels."""


def model_stamps(grid: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Grids ``[star, y, x]`` interpolated to offsets (dx, dy) of a star from its central pixel."""
    size = grid.shape[1]
    return np.asarray(shift_matrices(dy, size) @ grid @ shift_matrices(dx, size).transpose(0, 2, 1))


def pixel_variance(stamps: StarStamps, model: np.ndarray, model_error: float) -> np.ndarray:
    """Variance ``[star, y, x]`` of sky, of the star itself, and of the model that describes it."""
    signal = np.maximum(model, 0.0)
    sky, gain = stamps.sky_variance[:, None, None], stamps.gain[:, None, None]
    return np.asarray(sky + signal / gain + (model_error * signal) ** 2)


def refit_stars(
    stamps: StarStamps, grid: np.ndarray, dx: np.ndarray, dy: np.ndarray, weight: np.ndarray, *, centres: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted least squares of flux and centre a star under the unit-sum PSF ``grid[star, y, x]``.

    Returns
    -------
    tuple
        Fluxes and the changes of (dx, dy), ``[star]`` each.  A change is held below a tenth of a pixel, because the
        model is linear in it only near the truth.
    """
    model = model_stamps(grid, dx, dy)
    flux = _amplitude(stamps.data, model, weight)
    if not centres:
        return flux, np.zeros_like(dx), np.zeros_like(dy)
    slope_x = (model_stamps(grid, dx + _STEP, dy) - model_stamps(grid, dx - _STEP, dy)) / (2 * _STEP)
    slope_y = (model_stamps(grid, dx, dy + _STEP) - model_stamps(grid, dx, dy - _STEP)) / (2 * _STEP)
    design = np.stack([model, slope_x, slope_y], axis=1)
    normal = np.einsum("skyx,slyx,syx->skl", design, design, weight, optimize=True)
    target = np.einsum("skyx,syx->sk", design, weight * stamps.data, optimize=True)
    # A stamp without weight has a singular matrix; a touch on the diagonal makes its answer 0.
    normal += np.eye(3) * (1e-12 * np.trace(normal, axis1=1, axis2=2) + 1e-300)[:, None, None]
    found = np.linalg.solve(normal, target[..., None])[..., 0]
    positive = np.where(found[:, 0] > 0, found[:, 0], np.inf)
    limit = 0.1
    return found[:, 0], np.clip(found[:, 1] / positive, -limit, limit), np.clip(found[:, 2] / positive, -limit, limit)


def _amplitude(data: np.ndarray, model: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted least-squares factor between model and data a star."""
    norm = np.sum(weight * model**2, axis=(1, 2))
    return np.asarray(np.sum(weight * model * data, axis=(1, 2)) / np.where(norm > 0, norm, np.inf))
