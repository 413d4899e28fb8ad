"""The knobs of the deblender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DeblendSettings", "StrayLight"]

type StrayLight = Literal["wings", "r_to_peak", "r_to_footprint", "nearest", "trim"]
"""Who gets the light that no template claims; see `DeblendSettings.stray_light`."""


@dataclass(frozen=True, kw_only=True)
class DeblendSettings:
    """Knobs of the deblender; lengths in pixels where not said otherwise."""

    psf_chi2_max: float = 1.5
    """A peak is a star where chi squared over degrees of freedom of the local PSF fit is below this; 0 for none."""
    psf_inner_radius: float = 1.0
    """Radius up to which pixels of the fit have full weight, FWHM of the PSF (rounded up to pixels), ..."""
    psf_outer_radius: float = 1.5
    """... and at which the weight has fallen to 0."""
    psf_rounds: int = 3
    """Fits that move all peaks of the blend to better positions before the one that decides."""
    psf_max_shift: float = 1.0
    """A star whose position differs by this much from its peak's pixel, along x or y, is none."""
    psf_model_error: float = 0.02
    """Relative error of the PSF model, added to the noise: keeps bright stars from failing by an imperfect PSF."""
    max_neighbours: int = 16
    """Neighbours of a peak whose PSFs are fitted along with its own, the nearest so many."""
    fit_unusable_planes: tuple[str, ...] = ("NO_DATA", "SAT")
    """Pixels of these planes take no part in the PSF fits, and a peak on one is no star."""
    unusable_planes: tuple[str, ...] = ("NO_DATA",)
    """Pixels of these planes are not mirrored; their light is shared out like that of others."""
    psf_sigma: float = 1.5
    """Width of the PSF for an exposure that has none."""
    smooth_below: float = 3.0
    """Symmetric templates are smoothed where they are below this many sigma; 0 for not at all."""
    smooth_half_size: int = 2
    """Half the side of the square of the smoothing median: 2 makes it 5 x 5."""
    monotone: bool = True
    """Whether symmetric templates may not rise from the peak outward."""
    template_rounds: int = 12
    """Rounds in which symmetric templates are made, from the second on out of the shares that they had got."""
    stray_light: StrayLight = "wings"
    """Who gets light that no template claims: ``wings`` all peaks, by F / (1 + R^2)^1.5 for the flux F of the template
    at distance R; ``r_to_peak`` all by 1 / (1 + R^2); ``r_to_footprint`` likewise with the distance from the disk of
    the template's area; ``nearest`` the one nearest in that way; ``trim`` nobody."""
    min_share: float = 1e-3
    """Smaller shares of a pixel go to the others."""
    max_area: int = 1_000_000
    """Footprints of more pixels are skipped."""
    max_peaks: int = 10_000
    """Footprints of more peaks are skipped."""
    max_masked_fraction: float = 0.25
    """Footprints with a larger share of pixels in `unusable_planes`, or not finite, are skipped."""
    max_template_pixels: int = 5_000_000
    """Bound on the pixels of all symmetric templates of a footprint: it limits how far from its peak one reaches."""
