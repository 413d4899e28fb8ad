"""Shapes of the PSF stars, and how they differ from the PSF at their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.catalog.columns import flag_column, float_column
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.higher_moments import HIGHER_MOMENTS, higher_moments, stamp_shapes
from skyloom.psf import psf_stamps

from .summary_settings import SummarySettings

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images.psfs import PointSpreadFunction

    from skyloom.images.exposure import Exposure

__all__ = ["compared_stars", "higher_moment_medians", "shape_residuals"]

_COMBINATIONS: dict[str, dict[tuple[int, int], float]] = {
    "starComa1Median": {(3, 0): 1, (1, 2): 1},
    "starComa2Median": {(2, 1): 1, (0, 3): 1},
    "starTrefoil1Median": {(3, 0): 1, (1, 2): -3},
    "starTrefoil2Median": {(2, 1): 3, (0, 3): -1},
    "starKurtosisMedian": {(4, 0): 1, (2, 2): 2, (0, 4): 1},
    "starE41Median": {(4, 0): 1, (0, 4): -1},
    "starE42Median": {(3, 1): 2, (1, 3): 2},
}
"""Field of the summary: the sum of moments whose median it holds."""


def compared_stars(table: Table, settings: SummarySettings) -> np.ndarray:
    """The PSF stars whose shapes are compared, ``bool[n]``: neither noisy nor so bright that they are wider."""
    used = (
        flag_column(table, "calib_psf_used") & ~flag_column(table, "flag_shape") & ~flag_column(table, "flag_psf_flux")
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        quality = float_column(table, "psf_flux") / float_column(table, "psf_flux_err")
        within = used & (quality > settings.signal_to_noise_min) & (quality < settings.signal_to_noise_max)
    return np.asarray(within if within.sum() >= settings.n_stars_wanted else used)


def shape_residuals(stars: Table, psf: PointSpreadFunction, sigma: float) -> dict[str, float]:
    """Medians and robust scatters of ellipticity and size of stars less those of the PSF at their places.

    Ellipticity is ``e1 = (xx - yy) / (xx + yy)``, ``e2 = 2 xy / (xx + yy)``, size ``sqrt((xx + yy) / 2)``, px; both the
    star and the PSF drawn at its place are measured by the same adaptive moments.
    """
    own = np.stack([float_column(stars, name) for name in ("ixx", "iyy", "ixy")], axis=1)
    model = np.full_like(own, np.nan)
    x, y = float_column(stars, "x"), float_column(stars, "y")
    rows = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if rows.size:
        stamps, x0, y0 = psf_stamps(psf, x[rows], y[rows])
        model[rows] = stamp_shapes(stamps, x[rows] - x0, y[rows] - y0, sigma)
    e1, e2, size = _ellipticity_and_size(own)
    model_e1, model_e2, model_size = _ellipticity_and_size(model)
    values = {"starEMedian": _median(np.hypot(e1, e2))}
    values["starUnNormalizedEMedian"] = _median(np.hypot(own[:, 0] - own[:, 1], 2 * own[:, 2]))
    for name, delta in (("E1", e1 - model_e1), ("E2", e2 - model_e2), ("Size", size - model_size)):
        values[f"psfStarDelta{name}Median"] = _median(delta)
        values[f"psfStarDelta{name}Scatter"] = 1.4826 * _median(np.abs(delta - _median(delta)))
    values["psfStarScaledDeltaSizeScatter"] = values["psfStarDeltaSizeScatter"] / _median(size)
    return values


def higher_moment_medians(exposure: Exposure, stars: Table, unusable_planes: tuple[str, ...]) -> dict[str, float]:
    """Medians of the coma-, trefoil-, kurtosis- and ellipticity-like moments of third and fourth order of stars."""
    box, image = exposure.bbox, exposure.image.array
    unusable = ~np.isfinite(image) | ((exposure.bits & bitmask(*unusable_planes)) != 0)
    second = np.stack([float_column(stars, name) for name in ("ixx", "iyy", "ixy")], axis=1)
    x, y = float_column(stars, "x") - box.x.min, float_column(stars, "y") - box.y.min
    moments = higher_moments(image, unusable, x, y, second)
    column = {powers: moments[:, k] for k, powers in enumerate(HIGHER_MOMENTS)}
    return {
        name: _median(np.sum([factor * column[powers] for powers, factor in terms.items()], axis=0))
        for name, terms in _COMBINATIONS.items()
    }


def _ellipticity_and_size(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    xx, yy, xy = moments.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return (xx - yy) / (xx + yy), 2 * xy / (xx + yy), np.sqrt(0.5 * (xx + yy))


def _median(values: np.ndarray) -> float:
    """Median of the finite values, NaN of none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
