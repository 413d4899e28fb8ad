"""Knobs of the sky of a visit over a whole camera."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FocalPlaneSettings"]


@dataclass(frozen=True, kw_only=True)
class FocalPlaneSettings:
    """Knobs of the sky of a visit."""

    spacing_um: float = 8192.0
    """Distance of the knots of the large-scale sky in the focal plane, micrometres: what is smaller is no sky."""
    residual_spacing_um: float = 4096.0
    """The same of the last, residual sky; 0 for none."""
    stiffness: float = 0.01
    """Weight of the bending of the sky against the cells."""
    start_stiffness: float = 1000.0
    """The same at first, when extended light is not masked yet; it falls from one iteration to the next."""
    residual_stiffness: float = 1.0
    """Weight of the size of the residual sky against the cells."""
    clip: float = 5.0
    """Cells further than that from the sky do not count, in scatters of the others."""
    bright_threshold: float = 5.0
    """Smoothed light that high above the sky is masked, in scatters of what lies below it."""
    bright_reach: float = 1.0
    """And as far as it goes on above this, in the same units."""
    bright_grow: float = 2.0
    """And what is as near to that, in sides of a cell."""
    bright_weight: float = 0.0
    """Weight of masked cells against that of others; a little holds the sky where the masks leave none of it."""
    bright_max_fraction: float = 0.3
    """Where more cells would be masked, the reach is shortened."""
    dark_fraction: float = 0.02
    """Cells darker than the sky by more than this share of it, and what is near to them, do not count: they are
    vignetted."""
    iterations: int = 4
    """How often light is masked, and the sky fitted to the rest, after the first fit."""
    odd_sigma: float = 6.0
    """A detector whose level stands apart by this many of its errors, and scatters of the others' levels, keeps a
    level of its own."""
    odd_noise: float = 0.1
    """But never one that stands apart by less than this, in units of the noise of a pixel of the sky."""
