"""Corrected frames of one detector, and their clipped mean."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Self, cast

import numpy as np

from skyloom.images.mask_planes import MASK_SCHEMA, bitmask
from skyloom.kernels.stack import combine_stack

from .settings import MasterSettings

__all__ = ["Combined", "FrameStack"]

_ROWS_AT_ONCE = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class Combined:
    """The clipped mean of a stack; arrays ``[y, x]``."""

    image: np.ndarray
    """float32; not a number where no frame is usable."""
    variance: np.ndarray
    """float32, of the mean; infinite where no frame is usable."""
    clipped_fraction: float
    """Fraction of the samples that were left out as outliers."""


class FrameStack(AbstractContextManager["FrameStack"]):
    """Frames ``[y, x]`` of one shape, not a number where unusable: in memory while they fit, else in a scratch file.

    Parameters
    ----------
    capacity
        Most frames to come.
    memory_mb
        Memory that the frames may take.
    """

    def __init__(self, capacity: int, memory_mb: float) -> None:
        self._capacity, self._memory = capacity, memory_mb * 1e6
        self._frames: np.ndarray | None = None
        self._file: BinaryIO | None = None
        self._count = 0

    def __exit__(self, *_: object) -> None:
        self._frames = None
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> np.ndarray:
        frame: np.ndarray = self.frames[index]
        return frame

    @property
    def frames(self) -> np.ndarray:
        """All frames, ``[n, y, x]`` float32."""
        assert self._frames is not None, "the stack is empty"
        return self._frames[: self._count]

    def add(self, frame: np.ndarray) -> None:
        """Take in a frame; its values are copied."""
        if self._frames is None:
            self._frames = self._allocate((self._capacity, *frame.shape))
        self._frames[self._count] = frame
        self._count += 1

    def keep(self, wanted: list[int]) -> Self:
        """Keep the frames of these indices, in ascending order, and no others."""
        for place, index in enumerate(wanted):
            if place != index:
                self.frames[place] = self.frames[index]
        self._count = len(wanted)
        return self

    def _allocate(self, shape: tuple[int, ...]) -> np.ndarray:
        size = 4 * int(np.prod(shape))
        if size <= self._memory:
            return np.empty(shape, np.float32)
        self._file = cast(BinaryIO, tempfile.TemporaryFile(prefix="skyloom-frames-"))  # noqa: SIM115
        self._file.truncate(size)
        frames: np.ndarray = np.memmap(self._file, np.float32, "r+", shape=shape)
        return frames

    def combine(
        self,
        weights: np.ndarray,
        variance_of: Callable[[np.ndarray, slice], np.ndarray],
        settings: MasterSettings,
    ) -> Combined:
        """The weighted mean of the frames, outliers left out.

        Parameters
        ----------
        weights
            float64 ``[n]``.
        variance_of
            Gives the variances ``[n, y, x]`` of some rows, by the median of the frames there ``[y, x]`` and the rows.
            They come from the median, for an outlier's own value would excuse it.
        settings
            How to clip.
        """
        shape = self.frames.shape[1:]
        image, variance = np.empty(shape, np.float32), np.empty(shape, np.float32)
        clipped = samples = 0
        for rows in _strips(shape[0]):
            values = np.array(self.frames[:, rows])
            missing = ~np.isfinite(values)
            bits = np.where(missing, bitmask("NO_DATA"), 0).astype(np.int32)
            spread = np.asarray(variance_of(median_of(values), rows), np.float32)
            image[rows], variance[rows], _, used = combine_stack(
                values,
                np.broadcast_to(spread, values.shape).astype(np.float32, order="C"),
                bits,
                np.asarray(weights, np.float64),
                bitmask("NO_DATA"),
                tuple(bitmask(name) for name in ("NO_DATA", "EDGE", "REJECTED", "CLIPPED", "SENSOR_EDGE")),
                np.full(len(MASK_SCHEMA.names), 2.0),
                (settings.n_sigma, settings.iterations, 0.0),
                (0, values.shape[1]),
            )
            here = values.size - int(missing.sum())
            samples += here
            clipped += here - int(used.sum())
        return Combined(image=image, variance=variance, clipped_fraction=clipped / max(samples, 1))


def median_of(values: np.ndarray) -> np.ndarray:
    """Median ``[y, x]`` down a stack ``[n, y, x]`` of the values that are numbers; not a number without any."""
    ordered = np.sort(values, axis=0)
    count = np.sum(np.isfinite(values), axis=0)
    low, high = (np.maximum(count - 1, 0)) // 2, np.minimum(count // 2, len(values) - 1)
    pair = [np.take_along_axis(ordered, index[None], axis=0)[0] for index in (low, high)]
    return np.asarray(np.where(count > 0, 0.5 * (pair[0] + pair[1]), np.nan), np.float32)


def _strips(rows: int) -> Iterator[slice]:
    for first in range(0, rows, _ROWS_AT_ONCE):
        yield slice(first, min(first + _ROWS_AT_ONCE, rows))
