"""What the measurement kernels need of an exposure and its footprints: plain arrays from (0, 0)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skyloom.images.exposure import Exposure
from skyloom.images.footprints import FootprintSet
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.own_light import working_planes
from skyloom.kernels.source_pass import Planes

__all__ = ["Frame", "Peaks", "Spans"]

type Spans = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""First span of each group, one past its last, and y, x0, x1 of all spans."""


@dataclass(frozen=True)
class Frame:
    """The pixels of an exposure, in array coordinates."""

    planes: Planes
    bits: np.ndarray
    x0: int
    y0: int

    @classmethod
    def of(cls, exposure: Exposure, unusable_planes: tuple[str, ...]) -> Frame:
        """The frame of an exposure; pixels of ``unusable_planes`` are not used."""
        # One memory layout for all: kernels are compiled for each that they meet.
        planes = (exposure.image.array, exposure.variance.array, exposure.bits)
        image, variance, bits = (np.ascontiguousarray(plane) for plane in planes)
        work, state = working_planes(image, variance, bits, bitmask(*unusable_planes))
        return cls(Planes(image, variance, work, state), bits, exposure.bbox.x.min, exposure.bbox.y.min)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.planes.image.shape
        return height, width


@dataclass(frozen=True)
class Peaks:
    """All peaks of a set of footprints, one a source, and the spans of the footprints; in array coordinates."""

    x: np.ndarray
    y: np.ndarray
    footprint: np.ndarray
    """Index of the footprint of each peak."""
    group_start: np.ndarray
    """Index of the first peak of each footprint, and the number of peaks."""
    span_start: np.ndarray
    """Index of the first span of each footprint, and the number of spans."""
    span_y: np.ndarray
    span_x0: np.ndarray
    span_x1: np.ndarray

    @classmethod
    def of(cls, footprints: FootprintSet, frame: Frame) -> Peaks:
        """Lay the peaks and spans of all footprints out one after the other, clipped to the frame."""
        spans = [footprint.spans for footprint in footprints]
        height, width = frame.shape
        y = _joined([span.y for span in spans]) - frame.y0
        rows_inside = (y >= 0) & (y < height)
        x0 = np.clip(_joined([span.x0 for span in spans]) - frame.x0, 0, width)
        x1 = np.clip(_joined([span.x1 for span in spans]) - frame.x0, 0, width)
        counts = [len(footprint.peaks) for footprint in footprints]
        return cls(
            x=_joined([footprint.peaks["x"] for footprint in footprints]) - frame.x0,
            y=_joined([footprint.peaks["y"] for footprint in footprints]) - frame.y0,
            footprint=np.repeat(np.arange(len(counts)), counts),
            group_start=_starts(counts),
            span_start=_starts([len(span) for span in spans]),
            span_y=np.where(rows_inside, y, 0),
            span_x0=x0,
            span_x1=np.where(rows_inside, x1, x0),
        )

    def __len__(self) -> int:
        return self.x.size

    @cached_property
    def blended(self) -> np.ndarray:
        """Bool: the footprint has other peaks."""
        return np.asarray(np.diff(self.group_start)[self.footprint] > 1)

    def owned(self, groups: np.ndarray) -> Spans:
        """The spans of some of the footprints."""
        return self.span_start[groups], self.span_start[groups + 1], self.span_y, self.span_x0, self.span_x1


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Integer arrays one after the other, int64; none give an empty one."""
    return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)


def _starts(counts: list[int]) -> np.ndarray:
    """Running sum of counts, from 0."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
