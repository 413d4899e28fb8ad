"""A first photometric calibration from what the telescope is known to collect."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from skyloom.images.photo_calib import PhotoCalib

__all__ = ["RoughZeroPoint", "ZeroPointSettings", "rough_zero_point"]


@dataclass(frozen=True, kw_only=True)
class ZeroPointSettings:
    """What a source of AB magnitude 0 gives in one second, in counts of the image."""

    counts_per_second: Mapping[str, float] = field(default_factory=dict)
    """By physical filter."""
    default_counts_per_second: float = 10.0 ** (0.4 * 28.0)
    """For all other filters."""


@dataclass(frozen=True, kw_only=True)
class RoughZeroPoint:
    """The calibration of one exposure, without error."""

    calibration: PhotoCalib
    """NJy per count of the image."""
    known_filter: bool
    """Whether the settings name the filter; else their default was taken."""


def rough_zero_point(
    physical_filter: str | None, exposure_time: float, settings: ZeroPointSettings
) -> RoughZeroPoint | None:
    """The calibration of an exposure of ``exposure_time`` seconds; None where that is not positive, or unknown (NaN).

    Raises
    ------
    ValueError
        If the settings have no positive number of counts for the filter.
    """
    if not (math.isfinite(exposure_time) and exposure_time > 0):
        return None
    named = None if physical_filter is None else settings.counts_per_second.get(physical_filter)
    rate = settings.default_counts_per_second if named is None else named
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"Magnitude 0 in filter {physical_filter} gives {rate} counts per second.")
    zero_point_mag = 2.5 * math.log10(rate * exposure_time)
    return RoughZeroPoint(calibration=PhotoCalib.from_zero_point(zero_point_mag), known_filter=named is not None)
