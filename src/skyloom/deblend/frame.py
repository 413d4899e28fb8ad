"""What the kernels of the deblender need of an exposure and its footprints: plain arrays from (0, 0)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyloom.images.exposure import Exposure
from skyloom.images.footprints import FootprintSet
from skyloom.images.mask_planes import bitmask

from .settings import DeblendSettings

__all__ = ["FlatFootprints", "Frame", "ranges"]


@dataclass(frozen=True)
class Frame:
    """The pixels of an exposure, in array coordinates."""

    image: np.ndarray
    variance: np.ndarray
    unusable: np.ndarray
    """``[y, x]`` bool: of a plane that says so, or without finite value and variance."""
    unfit: np.ndarray
    """``[y, x]`` bool: kept out of the PSF fits."""
    x0: int
    y0: int

    @classmethod
    def of(cls, exposure: Exposure, settings: DeblendSettings) -> Frame:
        """The frame of an exposure."""
        # One memory layout for all: kernels are compiled for each that they meet.
        planes = (exposure.image.array, exposure.variance.array, exposure.bits)
        image, variance, bits = (np.ascontiguousarray(plane) for plane in planes)
        missing = ~(np.isfinite(image) & np.isfinite(variance) & (variance >= 0))
        unusable = missing | ((bits & bitmask(*settings.unusable_planes)) != 0)
        unfit = missing | ((bits & bitmask(*settings.fit_unusable_planes)) != 0)
        return cls(image, variance, unusable, unfit, exposure.bbox.x.min, exposure.bbox.y.min)


@dataclass(frozen=True)
class FlatFootprints:
    """Spans and peaks of footprints, one after the other, in array coordinates."""

    span_start: np.ndarray
    """Index of the first span of each footprint, and the number of spans."""
    span_y: np.ndarray
    span_x0: np.ndarray
    span_x1: np.ndarray
    peak_start: np.ndarray
    """Index of the first peak of each footprint, and the number of peaks."""
    x: np.ndarray
    y: np.ndarray
    value: np.ndarray
    """Height of each peak in the image that was searched."""

    @classmethod
    def of(cls, footprints: FootprintSet, frame: Frame) -> FlatFootprints:
        """Those of a set, clipped to the frame."""
        height, width = frame.image.shape
        counts = [len(footprint.spans) for footprint in footprints]
        owner = np.repeat(np.arange(len(counts)), counts)
        y = _joined([footprint.spans.y for footprint in footprints]) - frame.y0
        x0 = np.clip(_joined([footprint.spans.x0 for footprint in footprints]) - frame.x0, 0, width)
        x1 = np.clip(_joined([footprint.spans.x1 for footprint in footprints]) - frame.x0, 0, width)
        kept = (y >= 0) & (y < height) & (x1 > x0)
        return cls(
            span_start=_starts(np.bincount(owner[kept], minlength=len(counts))),
            span_y=y[kept],
            span_x0=x0[kept],
            span_x1=x1[kept],
            peak_start=_starts([len(footprint.peaks) for footprint in footprints]),
            x=_joined([footprint.peaks["x"] for footprint in footprints]) - frame.x0,
            y=_joined([footprint.peaks["y"] for footprint in footprints]) - frame.y0,
            value=np.concatenate([np.empty(0), *(footprint.peaks["value"] for footprint in footprints)]),
        )

    def __len__(self) -> int:
        return self.span_start.size - 1

    @property
    def n_peaks(self) -> np.ndarray:
        """Number of peaks of each footprint."""
        return np.diff(self.peak_start)

    def select(self, footprints: np.ndarray) -> FlatFootprints:
        """Some of the footprints, by index."""
        spans = ranges(self.span_start[footprints], self.span_start[footprints + 1])
        peaks = ranges(self.peak_start[footprints], self.peak_start[footprints + 1])
        return FlatFootprints(
            span_start=_starts(np.diff(self.span_start)[footprints]),
            span_y=self.span_y[spans],
            span_x0=self.span_x0[spans],
            span_x1=self.span_x1[spans],
            peak_start=_starts(self.n_peaks[footprints]),
            x=self.x[peaks],
            y=self.y[peaks],
            value=self.value[peaks],
        )


def ranges(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """The integers of the ranges start[i] ... stop[i] - 1, one after the other."""
    counts = stop - start
    first = np.cumsum(counts) - counts
    return np.asarray(np.arange(counts.sum()) + np.repeat(start - first, counts))


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Integer arrays one after the other, int64; none give an empty one."""
    return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)


def _starts(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Running sum of counts, from 0."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
