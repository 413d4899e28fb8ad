"""`SpanSet`: a region of pixels as horizontal runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from lsst.images import Box

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["SpanSet"]

_ROW_STRIDE = np.int64(1) << 32
"""Rows are told apart by this step where a row and a column are packed into one integer."""


@dataclass(frozen=True, eq=False)
class SpanSet:
    """Disjoint horizontal runs of pixels, sorted by (y, x0)."""

    y: NDArray[np.int32]
    """Row of each run."""
    x0: NDArray[np.int32]
    """First column of each run."""
    x1: NDArray[np.int32]
    """One past the last column of each run."""

    def __post_init__(self) -> None:
        arrays = [np.ascontiguousarray(part, np.int32) for part in (self.y, self.x0, self.x1)]
        if not (arrays[0].ndim == 1 and arrays[0].shape == arrays[1].shape == arrays[2].shape):
            raise ValueError(f"y, x0 and x1 must be 1-d of one length; got {[part.shape for part in arrays]}.")
        for name, part in zip(("y", "x0", "x1"), arrays, strict=True):
            object.__setattr__(self, name, part)

    def __len__(self) -> int:
        return len(self.y)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SpanSet):
            return NotImplemented
        pairs = ((self.y, other.y), (self.x0, other.x0), (self.x1, other.x1))
        return all(np.array_equal(first, second) for first, second in pairs)

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def empty(cls) -> SpanSet:
        """No pixel at all."""
        none = np.empty(0, np.int32)
        return cls(none, none, none)

    @classmethod
    def from_box(cls, box: Box) -> SpanSet:
        """All pixels of a box."""
        rows = np.arange(box.y.start, box.y.stop, dtype=np.int32)
        return cls(rows, np.full_like(rows, box.x.start), np.full_like(rows, box.x.stop))

    @classmethod
    def from_mask(cls, mask: NDArray[np.bool_], x0: int = 0, y0: int = 0) -> SpanSet:
        """The true pixels of a ``[y, x]`` array whose first pixel is at (x0, y0)."""
        padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
        padded[:, 1:-1] = mask
        step = np.diff(padded, axis=1)
        rows, starts = np.nonzero(step == 1)
        _, stops = np.nonzero(step == -1)
        return cls(rows + y0, starts + x0, stops + x0)

    @classmethod
    def from_runs(cls, y: ArrayLike, x0: ArrayLike, x1: ArrayLike) -> SpanSet:
        """Runs in any order that may overlap or be empty, sorted and merged."""
        rows, starts, stops = (np.asarray(part, np.int64) for part in (y, x0, x1))
        kept = stops > starts
        # Row and column in one sortable integer: a run never reaches into the next row's numbers.
        first = (rows * _ROW_STRIDE + starts)[kept]
        last = (rows * _ROW_STRIDE + stops)[kept]
        order = np.argsort(first, kind="stable")
        first, last = first[order], last[order]
        if not first.size:
            return cls.empty()
        reach = np.maximum.accumulate(last)
        opens = np.concatenate([[True], first[1:] > reach[:-1]])
        closes = np.concatenate([opens[1:], [True]])
        # Columns may be negative: the row is that of the packed start, rounded.
        row = (first[opens] + _ROW_STRIDE // 2) // _ROW_STRIDE
        return cls(row, first[opens] - row * _ROW_STRIDE, reach[closes] - row * _ROW_STRIDE)

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.sum(self.x1 - self.x0, dtype=np.int64))

    @property
    def bbox(self) -> Box:
        """Smallest box that holds all pixels.

        Raises
        ------
        ValueError
            If there is no pixel.
        """
        if not len(self):
            raise ValueError("An empty span set has no bounding box.")
        return Box.factory[int(self.y[0]) : int(self.y[-1]) + 1, int(self.x0.min()) : int(self.x1.max())]

    def to_mask(self, box: Box) -> NDArray[np.bool_]:
        """A ``[y, x]`` array over ``box``, true where a pixel belongs to the set."""
        part = self.clipped(box)
        step = np.zeros((box.y.size, box.x.size + 1), np.int8)
        rows = part.y - box.y.start
        # Runs of a row may touch: the end of one is then the start of the next.
        np.add.at(step, (rows, part.x0 - box.x.start), 1)
        np.add.at(step, (rows, part.x1 - box.x.start), -1)
        return np.cumsum(step[:, :-1], axis=1, dtype=np.int8).astype(bool)

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Whether the pixels nearest to positions x, y belong to the set (halves round up)."""
        column = np.floor(np.asarray(x, np.float64) + 0.5).astype(np.int64)
        row = np.floor(np.asarray(y, np.float64) + 0.5).astype(np.int64)
        if not len(self):
            return np.zeros(np.broadcast(column, row).shape, bool)
        packed = self.y.astype(np.int64) * _ROW_STRIDE + self.x0
        at = np.searchsorted(packed, row * _ROW_STRIDE + column, side="right") - 1
        found = np.maximum(at, 0)
        return np.asarray((at >= 0) & (self.y[found] == row) & (column < self.x1[found]))

    def clipped(self, box: Box) -> SpanSet:
        """The part inside ``box``."""
        x0 = np.maximum(self.x0, box.x.start)
        x1 = np.minimum(self.x1, box.x.stop)
        kept = (x1 > x0) & (self.y >= box.y.start) & (self.y < box.y.stop)
        return SpanSet(self.y[kept], x0[kept], x1[kept])

    def shifted(self, dx: int, dy: int) -> SpanSet:
        """The set moved by whole pixels."""
        return SpanSet(self.y + dy, self.x0 + dx, self.x1 + dx)

    def dilated(self, radius: float) -> SpanSet:
        """All pixels whose centre is within ``radius`` pixels of the centre of a pixel of the set."""
        reach = math.floor(radius)
        if reach < 0:
            raise ValueError(f"The radius must not be negative; got {radius}.")
        offsets = np.arange(-reach, reach + 1)
        half_widths = np.floor(np.sqrt(radius**2 - offsets.astype(np.float64) ** 2)).astype(np.int64)
        rows = self.y[None, :] + offsets[:, None]
        x0 = self.x0[None, :] - half_widths[:, None]
        x1 = self.x1[None, :] + half_widths[:, None]
        return SpanSet.from_runs(rows.ravel(), x0.ravel(), x1.ravel())

    def union(self, other: SpanSet) -> SpanSet:
        """The pixels of either set."""
        return SpanSet.from_runs(
            np.concatenate([self.y, other.y]),
            np.concatenate([self.x0, other.x0]),
            np.concatenate([self.x1, other.x1]),
        )
