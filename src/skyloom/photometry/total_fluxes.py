"""Total fluxes of stars: what their cores hold, and what the curve of growth says of their wings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .aperture_correction_settings import ApertureCorrectionSettings
from .curve_of_growth import GrowthCurve, fit_growth_curve
from .star_apertures import StarApertures

__all__ = ["TotalFluxes", "total_fluxes"]


@dataclass(frozen=True, kw_only=True)
class TotalFluxes:
    """Total fluxes of the stars of a source table."""

    flux: np.ndarray
    """``[n]``, one a row of the table; NaN where it is no star or cannot be had."""
    error: np.ndarray
    """From the noise of the pixels within the core."""
    growth: GrowthCurve
    light_outside: float
    """Share of the light beyond the outermost circle that was measured."""


def total_fluxes(apertures: StarApertures, n_rows: int, settings: ApertureCorrectionSettings) -> TotalFluxes | None:
    """The light of each star within ``total_radius_sigma``.

    A circle of ``core_radius_sigma`` is measured on each star.  The light between that and the total is that of the
    common curve of growth: the noise of a large circle around one star does not enter.

    Parameters
    ----------
    apertures
        Of the stars, with a circle of ``core_radius_sigma``.
    n_rows
        Of the source table.

    Returns
    -------
    fluxes
        None where there is no curve of growth, or ``light_outside`` is more than ``light_outside_max``.
    """
    growth = fit_growth_curve(apertures)
    if growth is None:
        return None
    k = int(np.argmin(np.abs(apertures.radii - settings.core_radius_sigma)))
    core, last = float(apertures.radii[k]), float(apertures.radii[-1])
    sky = growth.sky * np.pi * (core * apertures.widths) ** 2
    found = apertures.flux[:, k] - sky + apertures.psf_flux * growth.between(core, settings.total_radius_sigma)
    outside = growth.between(last, settings.total_radius_sigma)
    share = outside / float(np.median((found / apertures.psf_flux)[apertures.usable]))
    if not share <= settings.light_outside_max:
        return None
    flux, error = np.full(n_rows, np.nan), np.full(n_rows, np.nan)
    rows = apertures.rows[apertures.usable]
    flux[rows], error[rows] = found[apertures.usable], apertures.error[apertures.usable, k]
    return TotalFluxes(flux=flux, error=error, growth=growth, light_outside=share)
