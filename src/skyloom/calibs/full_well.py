"""Where the wells of an amplifier are full."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FullWell", "full_well"]


@dataclass(frozen=True, kw_only=True)
class FullWell:
    """The full well of an amplifier, as the variance of flats tells it."""

    level_adu: float
    """Highest level (ADU above the bias) before the variance falls; the highest measured where it never does.  NaN
    without any level."""
    reached: bool
    """Whether the variance fell at some level."""


def full_well(levels_adu: np.ndarray, variances_adu2: np.ndarray, pixels: np.ndarray, drop: float) -> FullWell:
    """Find the level at which the variance turns over.

    Up to there more light is more noise.  Where charge spills over to neighbours, or counts pile up at the end of the
    converter's range, pixels become alike, and the variance falls.  The full well is the level of the last pair before
    the first one whose variance is by the fraction ``drop`` (and by five times its error) below the greatest at lower
    levels.

    Parameters
    ----------
    levels_adu, variances_adu2, pixels
        Level, variance and number of pixels of each pair, in any order; not a number where unusable.
    drop
        Fraction.
    """
    order = np.argsort(levels_adu)
    order = order[np.isfinite(levels_adu[order]) & np.isfinite(variances_adu2[order])]
    greatest, last = 0.0, np.nan
    for index in order:
        tolerance = max(drop, 5.0 * float(np.sqrt(2.0 / pixels[index])))
        if variances_adu2[index] < (1.0 - tolerance) * greatest:
            return FullWell(level_adu=float(last), reached=True)
        greatest, last = max(greatest, float(variances_adu2[index])), float(levels_adu[index])
    return FullWell(level_adu=float(last), reached=False)
