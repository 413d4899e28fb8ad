"""`CosmicRaySettings`: how hits are told from stars, and what stands in their place."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CosmicRaySettings"]


@dataclass(frozen=True, kw_only=True)
class CosmicRaySettings:
    """Knobs of the search for cosmic rays."""

    min_sigma: float = 6.0
    """A hit pixel stands that far above the mean of two opposite neighbours, in sigma of the pixel."""
    min_electrons: float = 150.0
    """Charge that a hit must have left, in the unit of the image; fainter ones are dropped."""
    sharpness: float = 2.0
    """Power to which the ratio of the PSF is raised that a pixel must stay below: hits look narrower than the PSF by
    the square root of it.  The larger, the safer are stars and the more hits are missed."""
    noise_margin: float = 2.0
    """Sigma by which noise must not be the reason that a pixel looks sharp."""
    growth_sigma: float = 4.0
    """The same for pixels beside a hit, which need no margin for noise."""
    growth_passes: int = 6
    """How far hits are followed in that way, px."""
    max_pixels: int = 1_000_000
    """More pixels than that are no cosmic rays, but something wrong with the frame."""
    psf_sigma_guess: float = 1.5
    """Width of the PSF, px, where the exposure has none and shows too few stars to tell."""
    unusable_planes: tuple[str, ...] = ("BAD", "SAT", "INTRP", "NO_DATA", "UNMASKEDNAN")
    """Pixels of these planes are not judged, and judge no others."""
    cell_size: int = 1024
    """Wanted side of the parts of the frame that have one PSF, px."""
    max_run: int = 50
    """Longest run of hit pixels to bridge in a repair, px."""
