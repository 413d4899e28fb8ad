"""How defects are told from stars and noise."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DefectSettings"]


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
    maximum_fraction: float = 0.05
    """More than this of a detector cannot be defects: the search fails."""
