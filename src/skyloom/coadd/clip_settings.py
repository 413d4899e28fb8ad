"""Settings of the search for artifacts that single warps bring into a coadd."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from skyloom.detection import DetectionSettings

__all__ = ["AttributionSettings", "ClipDetectionSettings", "SafeClipSettings"]


@dataclass(frozen=True, kw_only=True)
class ClipDetectionSettings:
    """How regions are found on a difference image, above and below zero."""

    threshold: float = 2.0
    """In sigma of each pixel, by its variance."""
    min_pixels: int = 4
    """Pixels above the threshold that a region must have before it grows."""
    grow_sigmas: float = 2.0
    """Regions grow by this many PSF sigmas, and merge where they then overlap."""
    isotropic_grow: bool = True
    """Whether they grow by discs, or by diamonds."""
    polarity: Literal["both", "positive", "negative"] = "both"
    """Whether regions above zero are wanted, those below, or both."""
    smooth: bool = True
    """Whether the image is smoothed with the PSF first, taken as a round Gaussian, and the variance with its square."""

    def __post_init__(self) -> None:
        if self.threshold <= 0.0 or self.min_pixels < 1 or self.grow_sigmas < 0.0:
            raise ValueError(
                f"A threshold of {self.threshold} sigma, {self.min_pixels} pixels or a growth of {self.grow_sigmas} "
                "sigma is out of range."
            )


@dataclass(frozen=True, kw_only=True)
class AttributionSettings:
    """How regions are attributed to visits, by the part of a region that a visit has detected."""

    min_overlap: float = 0.6
    """More than this in exactly one of several visits: that one is clipped."""
    min_overlap_single: float = 0.5
    """More than this in the only visit that detects anything there."""
    min_overlap_double: float = 0.45
    """More than this in exactly two of at least four visits, and ..."""
    max_overlap_double: float = 0.15
    """... no more than this in all the others: both are clipped."""
    min_big_overlap: int = 100
    """Pixels: a visit's own footprint with more clipped ones than this is clipped as a whole."""
    detected_planes: tuple[str, ...] = ("DETECTED", "DETECTED_NEGATIVE")
    """What tells the pixels that a visit has detected."""
    confirm: bool = True
    """Whether a visit must also differ from the clipped mean there by more than another seeing would make it."""
    structure: float = 1.0
    """What another seeing can do, as a part of the clipped mean's range within two pixels."""
    outlier_sigma: float = 3.0
    """A pixel that differs by so many sigma beyond that stands out."""
    min_outliers: int = 4
    """So many pixels that stand out confirm an artifact, ..."""
    peak_sigma: float = 8.0
    """... a single one by so many sigma does, ..."""
    confirm_sigma: float = 5.0
    """... and so does the sum over the region's pixels without structure, at such significance."""
    search_unmarked: bool = True
    """Whether warps without any such pixel are searched for sources here."""
    search: DetectionSettings = field(default_factory=lambda: DetectionSettings(negative=True))
    """How."""

    def __post_init__(self) -> None:
        shares = (self.min_overlap, self.min_overlap_single, self.min_overlap_double, self.max_overlap_double)
        if not all(0.0 <= share <= 1.0 for share in shares) or self.min_big_overlap < 0:
            raise ValueError(f"Overlaps of {shares} or {self.min_big_overlap} pixels are out of range.")
        if self.max_overlap_double > self.min_overlap_double:
            raise ValueError(f"Two visits cannot be told from the others by {shares[2:]}.")


@dataclass(frozen=True, kw_only=True)
class SafeClipSettings:
    """How artifacts are found by what clipping takes from the mean."""

    n_sigma: float = 1.5
    """Limit of the clipping that the mean is compared with, in standard deviations."""
    iterations: int = 3
    """How often to clip."""
    bad_planes: tuple[str, ...] = ("NO_DATA", "BAD", "SAT", "CR", "STREAK")
    """A sample with any of these takes no part."""
    detection: ClipDetectionSettings = field(default_factory=ClipDetectionSettings)
    attribution: AttributionSettings = field(default_factory=AttributionSettings)
    max_memory_mb: float = 16.0
    """Memory for the stack of pixels; sets how many rows are compared at once.  What fits the processor's cache is
    fastest."""

    def __post_init__(self) -> None:
        if self.n_sigma <= 0.0 or self.iterations < 1 or self.max_memory_mb <= 0.0:
            raise ValueError(
                f"n_sigma {self.n_sigma}, iterations {self.iterations} or max_memory_mb {self.max_memory_mb} is out "
                "of range."
            )
