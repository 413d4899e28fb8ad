"""`IdGenerator`: source ids that are unique over a survey and name the frame they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skyloom.errors import BadFrameError

__all__ = ["COUNTER_BITS", "IdGenerator"]

COUNTER_BITS = 22
"""Low bits of an id that count the sources of one detector of one visit, from 1."""


@dataclass(frozen=True)
class IdGenerator:
    """Ids of the sources of one detector of one visit: release, visit, detector and a counter packed into 63 bits.

    Raises
    ------
    BadFrameError
        If visit and detector do not fit beside the counter.
    ValueError
        If the detector is beyond ``detector_max``, or the release beyond ``n_releases``.
    """

    visit: int
    detector: int
    detector_max: int = 255
    """Largest detector id of the camera: the same for all frames of it."""
    release: int = 0
    """Number of the data release, from 0: tells apart the ids of the same frame in different releases."""
    n_releases: int = 1
    """Releases that the ids leave room for; the same for all."""

    def __post_init__(self) -> None:
        if not 0 <= self.detector <= self.detector_max:
            raise ValueError(f"Detector {self.detector} is not between 0 and {self.detector_max}.")
        if not 0 <= self.release < self.n_releases:
            raise ValueError(f"Release {self.release} is not between 0 and {self.n_releases - 1}.")
        limit = self._frames
        if not 0 <= self._frame < limit:
            raise BadFrameError(
                f"Visit {self.visit} is too large a number for source ids of 63 bits; below "
                f"{limit // (self.detector_max + 1)} it fits.",
                cure="Give the camera shorter exposure numbers.",
                keyword="visit",
            )

    @property
    def catalog_id(self) -> int:
        """One number for release, visit and detector; also the seed of random numbers that belong to the frame."""
        return self.release * self._frames + self._frame

    @property
    def _frame(self) -> int:
        """One number for visit and detector."""
        return self.visit * (self.detector_max + 1) + self.detector

    @property
    def _frames(self) -> int:
        """How many frames there is room for in a release."""
        return 1 << (63 - COUNTER_BITS - (self.n_releases - 1).bit_length())

    def ids(self, n: int, start: int = 1) -> np.ndarray:
        """``n`` ids, int64, with counters from ``start`` on.

        Raises
        ------
        ValueError
            If the counter does not fit.
        """
        if start < 1 or start + n > 1 << COUNTER_BITS:
            raise ValueError(f"{n} ids from {start} on do not fit in {COUNTER_BITS} bits.")
        return np.arange(start, start + n, dtype=np.int64) + (np.int64(self.catalog_id) << COUNTER_BITS)
