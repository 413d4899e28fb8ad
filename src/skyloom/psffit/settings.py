"""Settings and result of the PSF fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from skyloom.psf import PixelGridPsf

__all__ = ["PsfFit", "PsfFitSettings", "PsfResiduals"]


@dataclass(frozen=True, kw_only=True)
class PsfFitSettings:
    """How the pixel-grid PSF of a frame is fitted."""

    size: int | None = None
    """Pixels along a side of the grid, odd; None takes it from the width of the stars."""
    half_size_in_widths: float = 6.0
    """Half a side in units of the stars' root mean second moment, where `size` is None; 7 to 20 pixels."""
    oversampling: int | None = None
    """Points of the grid a pixel; None takes 1, or 2 for a PSF narrower than ..."""
    oversample_below_fwhm: float = 3.2
    """... this full width at half maximum, pixels."""
    order_max: int = 2
    """Highest total degree of the polynomial variation over the frame."""
    n_stars_for_order: tuple[int, ...] = (12, 30, 80)
    """Stars needed for a linear, a quadratic and a cubic variation."""
    n_min: int = 3
    """Fewer stars than this raise `PsfError`."""
    reserve_fraction: float = 0.2
    """Part of the stars that is kept out of the fit to measure its residuals; drawn by the sources' ids and ..."""
    reserve_seed: int = 0
    """... this number: another one draws other stars."""
    n_stars_for_reserve: int = 25
    """Fewer stars than this are all fitted."""
    n_iterations: int = 4
    model_error: float = 0.01
    """Error of the model as a fraction of the pixel's value: keeps the brightest stars from deciding all."""
    reject_sigma: float = 5.0
    """Stars whose reduced chi2 lies this many robust standard deviations above the median are rejected, ..."""
    reject_fraction: float = 0.1
    """... at most this part of them an iteration, worst first."""
    refit_centres: bool = True
    prior_relative: float = 0.5
    """Width of the prior on a pixel of the grid, as a fraction of the smooth first guess there, ..."""
    prior_floor: float = 1e-3
    """... and as a fraction of its peak."""
    prior_smoothness: float = 30.0
    """Where the grid has several points a pixel: how much less its deviation from the smooth first guess is believed
    where it is rough, in units of its squared Laplacian.  Pixels average over what is that fine."""
    neighbour_flux_column: str = "aperture_flux_6_0"


@dataclass(frozen=True, kw_only=True)
class PsfResiduals:
    """How stars differ from the PSF at their places; NaN where there was none to measure."""

    n: int
    size_median: float
    """Median of star over model determinant radius, less one."""
    size_scatter: float
    e1_median: float
    """Median of star less model ellipticity (Ixx - Iyy) / (Ixx + Iyy)."""
    e2_median: float
    """The same of 2 Ixy / (Ixx + Iyy)."""


@dataclass(frozen=True, kw_only=True)
class PsfFit:
    """A PSF and the record of the stars that made it; the arrays run along the rows of the source table."""

    psf: PixelGridPsf
    order: int
    used: np.ndarray
    """``bool[n]``: fitted."""
    reserved: np.ndarray
    """``bool[n]``: kept out of the fit."""
    rejected: np.ndarray
    """``bool[n]``: candidates found to disagree with the rest."""
    chi2: np.ndarray
    """Reduced chi2 ``float[n]``; NaN where not a candidate."""
    fitted: PsfResiduals
    """Residuals of the stars that were fitted."""
    tested: PsfResiduals
    """Residuals of the reserved stars."""
    metadata: dict[str, float | int] = field(default_factory=dict)
