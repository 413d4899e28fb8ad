"""The knobs of the measurement."""

from __future__ import annotations

from dataclasses import dataclass

from skyloom.catalog.sources import APERTURE_RADII

__all__ = ["MeasurementSettings"]


@dataclass(frozen=True)
class MeasurementSettings:
    """Knobs of the measurement; all lengths in pixels."""

    aperture_radii: tuple[float, ...] = APERTURE_RADII
    """Radii of the circular apertures."""
    psf_sigma: float = 1.5
    """Width of the centroid window where neither the exposure nor the caller knows the PSF."""
    min_window_sigma: float = 1.2
    """The centroid window is never narrower: sums over the pixels of a narrower one are no longer integrals."""
    max_centroid_shift: float = 2.0
    """A centroid further than this from its peak is given up, and the peak taken."""
    max_shape_shift: float = 2.0
    """A shape whose centre moves further than this from the centroid is given up."""
    max_blend: int = 300
    """Footprints of more peaks get their PSF fluxes one by one instead of together."""
    blend_rounds: int = 3
    """Rounds in which blended sources are centred with PSF models of their neighbours taken off; 0 for none."""
    min_psf_coverage: float = 0.9
    """A PSF flux that rests on a smaller share of the (squared) PSF is flagged."""
    unusable_planes: tuple[str, ...] = ("NO_DATA",)
    """Pixels of these planes are left out of fluxes, as are those without finite value and variance."""
