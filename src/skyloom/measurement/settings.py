"""The knobs of the measurement."""

from __future__ import annotations

from dataclasses import dataclass

from skyloom.catalog.sources import APERTURE_RADII, PLUGINS

__all__ = ["PSF_PASS_PLUGINS", "STARS_PASS_PLUGINS", "MeasurementSettings"]

PSF_PASS_PLUGINS: tuple[str, ...] = ()
"""What the sources are measured with among which the PSF stars are sought: nothing that the selection does not ask."""
STARS_PASS_PLUGINS: tuple[str, ...] = PLUGINS
"""What the sources of the catalogue are measured with: everything."""


@dataclass(frozen=True)
class MeasurementSettings:
    """Knobs of the measurement; all lengths in pixels."""

    plugins: tuple[str, ...] = STARS_PASS_PLUGINS
    """Measurements, of `skyloom.catalog.sources.PLUGINS`, beside positions, shapes, circles, PSF fluxes and flags."""
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
    blend_precision: float = 0.01
    """Blends whose sources all moved by less than this take no part in further rounds."""
    min_psf_coverage: float = 0.9
    """A PSF flux that rests on a smaller share of the (squared) PSF is flagged."""
    unusable_planes: tuple[str, ...] = ("NO_DATA",)
    """Pixels of these planes are left out of fluxes, as are those without finite value and variance."""
    tophat_radius: float = 12.0
    """Circle of the compensated top-hat."""
    tophat_inner: float = 1.0
    """Inner radius of its annulus, in units of the circle's."""
    tophat_outer: float = 1.7
    """Outer radius of its annulus, in units of the circle's."""
    kron_reach: float = 6.0
    """Kron's first moment is taken within this many widths of the source."""
    kron_factor: float = 2.5
    """Kron's aperture in units of the first moment."""
    kron_min_radius: float = 1.25
    """Least first moment in widths of the PSF: that of a Gaussian of the PSF's width."""
