"""How the light of the stars grows with the radius of the circle, from circles around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from .star_apertures import StarApertures

__all__ = ["GrowthCurve", "fit_growth_curve"]

_SHAPE_ERROR = 0.03
"""Relative error of each annulus: how well a Moffat profile is believed to follow the wings of real stars."""
_SKY_PRIOR = 0.01
"""What the sky is expected to be wrong by at most, in units of the noise of a pixel."""
_FWHM, _FWHM_PRIOR = 2.1, 0.2
"""FWHM of the profile in units of the determinant radius of the adaptive moments: Moffat profiles have 2.0 to 2.3."""
_START = (3.3, _FWHM, 1.0, 0.0)
_LOWER, _UPPER = (1.3, 1.0, 0.3, -np.inf), (20.0, 3.5, 5.0, np.inf)
"""Moffat beta, FWHM, light in all, sky in units of its noise."""
_N_STARS_MIN = 2


@dataclass(frozen=True, kw_only=True)
class GrowthCurve:
    """The wings of a star of PSF flux 1: those of a Moffat profile (Moffat 1969, A&A 3, 455)."""

    fwhm: float
    """In units of the determinant radius of the PSF."""
    beta: float
    light: float
    """Of the profile in all; only its wings are fitted."""
    sky: float
    """Mean sky that is left under the stars, in the unit of the pixels."""

    def inside(self, radius: np.ndarray | float) -> np.ndarray:
        """Light of the profile within a radius, in units of the determinant radius."""
        scale = 0.5 * self.fwhm / np.sqrt(2.0 ** (1.0 / self.beta) - 1.0)
        return np.asarray(self.light * (1.0 - (1.0 + (np.asarray(radius) / scale) ** 2) ** (1.0 - self.beta)))

    def between(self, inner: float, outer: float) -> float:
        """Light between two radii."""
        return float(self.inside(outer) - self.inside(inner))


def fit_growth_curve(apertures: StarApertures) -> GrowthCurve | None:
    """Fit the light in the annuli around the stars, in units of their PSF fluxes.

    A sky that is left under the stars adds to an annulus by its area, the same for faint stars and bright ones, and is
    told from the wings by that.  Annuli that hold foreign light weigh less, by the soft L1 loss.

    Returns
    -------
    curve
        None where fewer than two stars are usable, or no fit is found.
    """
    known = apertures.usable & np.isfinite(apertures.psf_flux) & (apertures.psf_flux > 0)
    known &= np.isfinite(apertures.flux).all(axis=1)
    if known.sum() < _N_STARS_MIN:
        return None
    unit = apertures.psf_flux[known, None]
    light = np.diff(apertures.flux[known], axis=1) / unit
    noise = np.sqrt(np.maximum(np.diff(apertures.error[known] ** 2, axis=1), 1e-12)) / unit
    sky = apertures.sky_noise * np.pi * np.diff(apertures.radii**2) * apertures.widths[known, None] ** 2 / unit
    typical = np.sum(light / noise**2, axis=0) / np.sum(noise**-2, axis=0)
    error = np.hypot(noise, _SHAPE_ERROR * np.abs(typical))

    def residual(parameters: np.ndarray) -> np.ndarray:
        beta, fwhm, whole, level = parameters
        curve = GrowthCurve(fwhm=fwhm, beta=beta, light=whole, sky=0.0)
        rest = (light - np.diff(curve.inside(apertures.radii)) - level * sky) / error
        return np.concatenate([rest.ravel(), [level / _SKY_PRIOR, (fwhm - _FWHM) / _FWHM_PRIOR]])

    found = least_squares(residual, _START, bounds=(_LOWER, _UPPER), loss="soft_l1", x_scale=(1.0, 0.2, 0.2, 0.01))
    if not found.success:
        return None
    beta, fwhm, whole, level = (float(value) for value in found.x)
    return GrowthCurve(fwhm=fwhm, beta=beta, light=whole, sky=level * apertures.sky_noise)
