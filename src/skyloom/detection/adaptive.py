"""`detect_adaptively`: the threshold at which a frame, however crowded, shows enough stars that stand alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .detect import Detections, DetectionSettings, filter_exposure, threshold_sources

if TYPE_CHECKING:
    import numpy as np

    from skyloom.images.exposure import Exposure

__all__ = ["AdaptiveDetections", "AdaptiveSettings", "detect_adaptively"]


@dataclass(frozen=True, kw_only=True)
class AdaptiveSettings:
    """Knobs of the search for a threshold."""

    start: DetectionSettings = field(
        default_factory=lambda: DetectionSettings(threshold=10.0, include_multiplier=5.0, negative=True)
    )
    max_iterations: int = 20
    max_peaks: int = 5000
    """More are not needed, and the threshold is raised."""
    sufficient_isolated: int = 100
    """Footprints of one peak that are enough, where they are also `isolated_fraction` of all."""
    isolated_fraction: float = 0.45
    min_isolated: int = 6
    """With fewer the frame is too crowded at this threshold."""
    min_footprints: int = 15
    """With fewer the threshold is lowered."""
    max_peaks_in_footprint: int = 800
    """One with more covers a field that does not come apart."""
    min_negative_peaks: int = 15
    """So many peaks below the sky are no sign of a poor background."""
    negative_fraction: float = 0.025
    """Nor are as many as this share of the peaks above it."""
    min_threshold: float = 3.0
    """In sigma; it is not lowered further, but the multiplier is."""
    min_significance: float = 5.0
    """In sigma: the least height that a footprint may be asked for, or noise would be taken for stars."""


@dataclass(frozen=True, kw_only=True)
class AdaptiveDetections:
    """What was found, and at which threshold."""

    detections: Detections
    threshold: float
    """In sigma."""
    include_multiplier: float
    """A footprint holds a pixel of this many thresholds."""
    iterations: int
    isolated: int
    """Footprints of one peak."""


def detect_adaptively(
    exposure: Exposure,
    psf_sigma: float | None = None,
    settings: AdaptiveSettings | None = None,
    *,
    wide_background: np.ndarray | None = None,
) -> AdaptiveDetections:
    """Detect sources at the threshold that suits the frame: lower on an empty one, higher on a crowded one.

    Parameters
    ----------
    exposure
        Background-subtracted; its planes DETECTED, DETECTED_NEGATIVE and EDGE are made anew.
    psf_sigma
        Width of the matched filter, px; that of the exposure's PSF where not given.
    settings
        Knobs; the defaults where not given.
    wide_background
        ``[y, x]`` taken off for the search only.

    Raises
    ------
    BadFrameError
        As `detect_sources`.
    """
    settings = settings or AdaptiveSettings()
    own = settings.start
    filtered = filter_exposure(exposure, psf_sigma, own, wide_background)
    iteration = 0
    while True:
        iteration += 1
        found = threshold_sources(exposure, filtered, own)
        isolated = sum(len(footprint.peaks) == 1 for footprint in found.footprints)
        factor, multiplier = _next_step(found, isolated, own.include_multiplier, settings)
        wanted = own.threshold * factor
        threshold = max(wanted, settings.min_threshold)
        multiplier = max(multiplier * min(1.0, wanted / threshold), settings.min_significance / threshold)
        if iteration == settings.max_iterations or (threshold, multiplier) == (own.threshold, own.include_multiplier):
            break
        own = replace(own, threshold=threshold, include_multiplier=multiplier)
    return AdaptiveDetections(
        detections=found,
        threshold=own.threshold,
        include_multiplier=own.include_multiplier,
        iterations=iteration,
        isolated=isolated,
    )


def _next_step(found: Detections, isolated: int, multiplier: float, settings: AdaptiveSettings) -> tuple[float, float]:
    """By how much to change the threshold, and the multiplier to take; 1 and the same one when the frame is served."""
    footprints, peaks = len(found.footprints), found.significance.size
    most = max((len(footprint.peaks) for footprint in found.footprints), default=0)
    if peaks == 0:
        return 0.25, multiplier
    allowed = max(settings.min_negative_peaks, settings.negative_fraction * peaks)
    blended = isolated < settings.min_isolated and peaks >= 2 * max(footprints, settings.min_footprints)
    crowded = blended or most > settings.max_peaks_in_footprint
    if found.negative_peaks > allowed or crowded:
        # What the multiplier asked of a footprint is asked of every pixel from now on.
        return (1.5 if found.negative_peaks > 2 * allowed or crowded else 1.25) * multiplier, 1.0
    if isolated >= settings.sufficient_isolated and isolated >= settings.isolated_fraction * footprints:
        return 1.0, multiplier
    if peaks > settings.max_peaks:
        excess = peaks / settings.max_peaks
        return (1.7 if excess > 3 else 1.4 if excess > 1.5 else 1.2), multiplier
    if footprints < settings.min_footprints:
        return min(0.85, 0.4 * math.log10(10.0 * (footprints + 1))), multiplier
    return 1.0, multiplier
