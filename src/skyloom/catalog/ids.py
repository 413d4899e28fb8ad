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
    """Ids of the sources of one detector of one visit: visit, detector and a counter packed into 63 bits.

    Raises
    ------
    BadFrameError
        If visit and detector do not fit beside the counter.
    ValueError
        If the detector is beyond ``detector_max``.
    """

    visit: int
    detector: int
    detector_max: int = 255
    """Largest detector id of the camera: the same for all frames of it."""

    def __post_init__(self) -> None:
        if not 0 <= self.detector <= self.detector_max:
            raise ValueError(f"Detector {self.detector} is not between 0 and {self.detector_max}.")
        limit = 1 << (63 - COUNTER_BITS)
        if not 0 <= self.catalog_id < limit:
            raise BadFrameError(
                f"Visit {self.visit} is too large a number for source ids of 63 bits; below "
                f"{limit // (self.detector_max + 1)} it fits.",
                cure="Give the camera shorter exposure numbers.",
                keyword="visit",
            )

    @property
    def catalog_id(self) -> int:
        """One number for visit and detector; also the seed of random numbers that belong to the frame."""
        return self.visit * (self.detector_max + 1) + self.detector

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
