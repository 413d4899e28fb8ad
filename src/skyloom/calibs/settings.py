"""How masters are made from raw frames, and how defects are told from stars and noise."""

from __future__ import annotations

from dataclasses import dataclass, field

from skyloom.isr import InterpolationSettings, IsrSettings

__all__ = ["DefectSettings", "MasterSettings"]


def _plain_isr() -> IsrSettings:
    """The corrections that come before a master: nothing is interpolated, and no defect is known yet."""
    return IsrSettings(use_defects=False, interpolation=InterpolationSettings(planes=()))


@dataclass(frozen=True, kw_only=True)
class MasterSettings:
    """How raw calibration frames become a master."""

    minimum_frames: int = 3
    """With fewer frames a cosmic ray cannot be told from the rest."""
    n_sigma: float = 4.0
    """A sample further than this from the others of its pixel, in units of its noise, is left out."""
    iterations: int = 3
    """How often to look for such samples."""
    level_deviation: float = 5.0
    """A bias or dark frame whose level is further than this from the others', in units of their scatter, is left out
    (and further than `level_tolerance`)."""
    level_tolerance: float = 0.5
    """Deviations of the level below this are never too large, in units of the noise of a pixel."""
    flat_shape_deviation: float = 0.03
    """A flat whose blocks of 64 pixels differ from the others' by more than this (relative rms) is left out."""
    flat_saturated_fraction: float = 0.01
    """A flat with more saturated pixels than this is left out."""
    flat_minimum_electrons: float = 1000.0
    """A flat of a lower level (median) is left out."""
    pedestal_only: bool = False
    """Take nothing but its level from a bias: for biases that were read out in another mode than what they serve."""
    memory_mb: float = 400.0
    """Frames are held in memory up to this size, beyond it in a scratch file."""
    isr: IsrSettings = field(default_factory=_plain_isr)
    """The corrections that come before."""


@dataclass(frozen=True, kw_only=True)
class DefectSettings:
    """Thresholds of the search for defects in ordinary frames."""

    threshold: float = 4.0
    """Persistent excess or deficit of a defect, in units of the noise of one frame."""
    significance: float = 6.0
    """The same in units of its own scatter over the detector."""
    minimum_frames: int = 5
    """Fewer cannot tell what stays from what moves."""
    window: int = 5
    """Side of the square whose median is a pixel's surroundings (pixels, odd)."""
    star_fraction: float = 0.15
    """Where each of the four neighbours of a peak holds more than this fraction of its excess, it is a star."""
    run_length: int = 64
    """Columns and rows are also tested as a whole, in pieces of this many pixels."""
    grow: int = 0
    """Radius in pixels (city-block) by which defects grow."""
    memory_mb: float = 400.0
    """Frames are held in memory up to this size, beyond it in a scratch file."""
    maximum_fraction: float = 0.05
    """More than this of a detector cannot be defects: the search fails."""
