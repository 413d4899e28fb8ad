"""Settings and result of the aperture corrections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lsst.images.fields import Field

__all__ = ["ApertureCorrection", "ApertureCorrectionSettings"]


@dataclass(frozen=True, kw_only=True)
class ApertureCorrectionSettings:
    """How aperture corrections are measured."""

    reference_radius: float | None = None
    """Radius of the circle within which light counts as total, pixels: one that was measured.  None takes
    `total_radius_sigma`."""
    reference_radius_sigma: float = 7.0
    """Without extrapolation: least radius of the reference aperture in units of the PSF's determinant radius."""
    extrapolate: bool = True
    """Whether light counts up to `total_radius_sigma`, by the curve of growth of the stars; else it is what the
    reference aperture holds."""
    core_radius_sigma: float = 3.0
    """Radius of the circle that is measured on each star, in PSF sigmas; what lies outside is taken from the curve."""
    total_radius_sigma: float = 10.0
    """Light beyond this many PSF sigmas is no star's: a sky cannot be told from it."""
    fluxes: tuple[str, ...] = ("psf_flux", "gaussian_flux", "tophat_flux", "kron_flux")
    """Fluxes to correct; those that the table lacks are passed over."""
    allow_failure: tuple[str, ...] = ("gaussian_flux", "tophat_flux", "kron_flux")
    """Fluxes that may go without a correction: they are flagged then, while one of the others fails the frame."""
    constant: tuple[str, ...] = ("tophat_flux",)
    """Fluxes whose correction does not vary over the frame."""
    signal_to_noise_min: float = 100.0
    """Cut on the star's reference flux, where enough stars pass it."""
    n_wanted: int = 10
    """The brightest of so many stars are taken, whatever their signal-to-noise ratio."""
    n_min: int = 2
    order: int = 2
    """Highest total degree of the Chebyshev field; lower where there are few stars, or they show no variation."""
    stars_a_term: float = 2.0
    n_sigma: float = 4.0
    n_iterations: int = 4
    error_floor: float = 0.002
    """Relative error added to every star's in quadrature, so that a few very bright ones do not decide alone."""
    light_outside_max: float = 0.03
    """A larger share of light outside the outermost measured circle is not believed; the reference aperture is taken
    then."""


@dataclass(frozen=True, kw_only=True)
class ApertureCorrection:
    """The correction of one flux."""

    field: Field
    """Multiplies the flux to the total one."""
    scatter: float
    """Robust standard deviation of the ratio of single stars about the field."""
    used: np.ndarray
    """``bool[n]``: rows of the table that made it."""
    reference: str
    """Column of the reference aperture: the total flux itself, or, with extrapolation, how far it was measured."""
    light_outside: float = 0.0
    """Share of the total beyond all measured circles; NaN where that was asked for, and could not be found."""

    @property
    def n_stars(self) -> int:
        """Number of stars that made it."""
        return int(self.used.sum())
