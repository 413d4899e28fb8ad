"""How masters are made from frames of the sky: crosstalk, fringes, sky flats."""

from __future__ import annotations

from dataclasses import dataclass, field

from skyloom.isr import FringeSettings

from .settings import MasterSettings

__all__ = ["CrosstalkMasterSettings", "FringeMasterSettings", "SkyFlatSettings", "SkyMasterSettings"]


@dataclass(frozen=True, kw_only=True)
class CrosstalkMasterSettings(MasterSettings):
    """How crosstalk is measured."""

    source_adu: float = 5000.0
    """Pixels this far above their background (ADU) disturb others enough to be measured."""
    block: int = 32
    """Side of the squares (pixels) in which the victim's own light, masked sources apart, is taken for a plane."""
    own_sigma: float = 3.0
    """Sources of the victim that stand out by this many sigma of 3 x 3 pixels are left out."""
    own_grow: int = 4
    """And what is this near to them (pixels)."""
    passes: int = 2
    """How often to measure; from the second time on with the crosstalk found before taken off."""
    significance: float = 3.0
    """Coefficients smaller than this many of their errors are not valid: they would add noise and nothing else."""
    minimum_pixels: int = 20
    """Coefficients from fewer source pixels are not valid."""


@dataclass(frozen=True, kw_only=True)
class SkyMasterSettings(MasterSettings):
    """How the sky of a frame is told from its sources."""

    source_fwhm: float = 3.5
    """FWHM of stars (pixels); sources are looked for through a filter of this width."""
    source_sigma: float = 4.0
    """Sources that stand out by this many sigma are left out."""
    source_grow: float = 4.0
    """And what is this near to them, in sigmas of the filter's width."""
    sky_bin: int = 256
    """Side of the cells (pixels) whose levels make the smooth sky of a frame."""
    minimum_sky_electrons: float = 50.0
    """Frames of a fainter sky are left out."""
    passes: int = 3
    """How often to look for sources and combine; from the second time on with the master before taken off."""


@dataclass(frozen=True, kw_only=True)
class FringeMasterSettings(SkyMasterSettings):
    """How the pattern of the fringes is found."""

    smoothing: float = 2.0
    """Sigma (pixels) of the smoothing of the pattern, which is smooth itself; 0 for none."""
    maximum_scatter: float = 0.5
    """A frame whose fringes over its sky are this far (relatively) from the others' is left out."""
    fringes: FringeSettings = field(default_factory=lambda: FringeSettings(positions=3000))
    """How the strength of the fringes in a frame is found."""


@dataclass(frozen=True, kw_only=True)
class SkyFlatSettings(SkyMasterSettings):
    """How frames of the sky become a flat."""

    flat_shape_deviation: float = 0.1
    """A frame whose blocks of 64 pixels differ from the others' by more than this (relative rms) is left out."""
