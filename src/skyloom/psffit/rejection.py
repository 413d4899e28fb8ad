"""Which pixels and which stars disagree with the model."""

from __future__ import annotations

import numpy as np

from .settings import PsfFitSettings
from .stamps import StarStamps
from .stars import pixel_variance

__all__ = ["clip_far_pixels", "reduced_chi2", "worst_stars"]


def clip_far_pixels(stamps: StarStamps, model: np.ndarray, width: float, settings: PsfFitSettings) -> None:
    """Make pixels far off the model outside the core (faint neighbours) unusable, in place."""
    half = stamps.size // 2
    pixel = np.arange(stamps.size) - half
    outside = np.hypot(*np.meshgrid(pixel, pixel)) > 2.5 * width
    spread = np.sqrt(pixel_variance(stamps, model, settings.model_error))
    far = np.abs(stamps.data - model) > settings.reject_sigma * spread + 0.05 * np.abs(model)
    stamps.usable &= ~(far & outside)
    stamps.data[~stamps.usable] = 0.0


def reduced_chi2(stamps: StarStamps, model: np.ndarray, model_error: float) -> np.ndarray:
    """Reduced chi2 of every star, ``[star]``."""
    variance = pixel_variance(stamps, model, model_error)
    square = np.where(stamps.usable, (stamps.data - model) ** 2 / variance, 0.0)
    return np.asarray(square.sum(axis=(1, 2)) / np.maximum(stamps.usable.sum(axis=(1, 2)) - 3, 1))


def worst_stars(chi2: np.ndarray, flux: np.ndarray, fitted: np.ndarray, settings: PsfFitSettings) -> np.ndarray:
    """Indices of the fitted stars whose chi2 stands out, worst first, no more than may be dropped at once."""
    rows = np.flatnonzero(fitted)
    score = np.where(flux[rows] > 0, chi2[rows], np.inf)
    middle = float(np.median(score))
    spread = max(1.4826 * float(np.median(np.abs(score - middle))), 0.1 * middle) if np.isfinite(middle) else 0.0
    bad = np.flatnonzero(score > middle + settings.reject_sigma * spread)
    most = min(int(np.ceil(settings.reject_fraction * rows.size)), rows.size - settings.n_min)
    return rows[bad[np.argsort(-score[bad], kind="stable")][: max(most, 0)]]
