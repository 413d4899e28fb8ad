"""`RingsSkyMap`: rings of tracts of equal height in declination, and a tract on each pole."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from functools import cached_property
from typing import Literal, override

import numpy as np
import pydantic
from lsst.sphgeom import AngleInterval, Box, NormalizedAngleInterval

from .base import SkyMap
from .build import explicit_tract
from .tract import Tract

__all__ = ["RingsSkyMap"]

_DEGREES = 180.0 / math.pi


class RingsSkyMap(SkyMap, frozen=True):
    """Rings of constant declination, each divided into tracts of equal right ascension, between two polar caps.

    Tract 0 is the south cap and the last one the north cap.  Each stands for a box in right ascension and
    declination, and those boxes tile the sky.
    """

    kind: Literal["rings"] = "rings"
    num_rings: int = pydantic.Field(gt=0)
    ra_start: float = pydantic.Field(default=0.0, ge=0.0, lt=360.0)
    """Right ascension of the centre of the first tract of each ring, degrees."""
    numbering: Literal[0, 1] = 1
    """1 counts straight through.  0 is how the public data of Hyper Suprime-Cam are numbered: the first tract of a
    ring comes last in it, tract 1 is there twice, and the first tract of the last ring has no number."""

    @cached_property
    def _height(self) -> float:
        """Height of a ring, radians."""
        return math.pi / (self.num_rings + 1)

    @cached_property
    def _bottom(self) -> float:
        """Lower edge of the first ring, radians."""
        return self._height / 2.0 - math.pi / 2.0

    @cached_property
    def ring_sizes(self) -> np.ndarray:
        """Number of tracts in each ring from the south to the north, int64."""
        sizes = []
        for ring in range(self.num_rings):
            edges = (self._bottom + ring * self._height, self._bottom + (ring + 1) * self._height)
            widest = min(abs(edge) for edge in edges)
            sizes.append(int(2.0 * math.pi * math.cos(widest) / self._height) + 1)
        return np.array(sizes)

    @cached_property
    def _first(self) -> np.ndarray:
        """Number of the first tract of each ring as it would be without the slip of numbering 0."""
        return 1 + np.concatenate([[0], np.cumsum(self.ring_sizes)])

    @override
    def __len__(self) -> int:
        return int(self.ring_sizes.sum()) + 2

    def ring_indices(self, tract_id: int) -> tuple[int, int]:
        """The ring of a tract, from 0 in the south, and its place there; the caps are rings -1 and ``num_rings``.

        Raises
        ------
        IndexError
            If the sky map has no such tract.
        """
        if not 0 <= tract_id < len(self):
            raise IndexError(f"Sky map {self.name!r} has {len(self)} tracts; {tract_id} is not one of them.")
        if tract_id in (0, len(self) - 1):
            return (-1 if tract_id == 0 else self.num_rings), 0
        if self.numbering == 0 and tract_id > 1:
            # The first of a ring has the number that would be that of the first of the next one.
            ring = int(np.searchsorted(self._first, tract_id - 1, side="right")) - 1
        else:
            ring = int(np.searchsorted(self._first, tract_id, side="right")) - 1
        return ring, int(tract_id - self._first[ring])

    @cached_property
    def _rings(self) -> tuple[np.ndarray, np.ndarray]:
        """Ring, and place in it, of each tract but the caps."""
        number = np.arange(1, len(self) - 1)
        late = (number > 1) if self.numbering == 0 else np.zeros(number.size, bool)
        ring = np.searchsorted(self._first, number - late, side="right") - 1
        return ring, number - self._first[ring]

    @property
    @override
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        ring, place = self._rings
        ra = math.radians(self.ra_start) + 2.0 * math.pi * place / self.ring_sizes[ring]
        dec = self._height * (ring + 1) - 0.5 * math.pi
        ra = np.where(ra >= 2.0 * math.pi, ra - 2.0 * math.pi, ra)
        return np.concatenate([[0.0], ra * _DEGREES, [0.0]]), np.concatenate([[-90.0], dec * _DEGREES, [90.0]])

    @cached_property
    def _centres(self) -> tuple[np.ndarray, np.ndarray]:
        return self.centres

    @override
    def _make(self, number: int) -> Tract:
        ra, dec = (float(values[number]) for values in self._centres)
        half_size = self._height / 2.0 * _DEGREES + self.tract_overlap
        return explicit_tract(self.name, number, self._grid(ra, dec), self.layout, half_size, self._inner_box(number))

    def _inner_box(self, number: int) -> Box:
        ring, place = self.ring_indices(number)
        low = -90.0 if ring < 0 else (self._bottom + ring * self._height) * _DEGREES
        high = 90.0 if ring == self.num_rings else (self._bottom + (ring + 1) * self._height) * _DEGREES
        if ring in (-1, self.num_rings):
            around = NormalizedAngleInterval.full()
        else:
            step = 360.0 / self.ring_sizes[ring]
            west, east = ((self.ra_start + (place + half) * step) % 360.0 for half in (-0.5, 0.5))
            around = NormalizedAngleInterval.fromDegrees(west, east)
        return Box(around, AngleInterval.fromDegrees(low, high))

    @override
    def tract_ids(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Number of the tract whose box in right ascension and declination holds each position (degrees).

        With numbering 0, what belongs to the missing tract gets the number of the north cap.
        """
        ra, dec = np.broadcast_arrays(np.radians(ra), np.radians(dec))
        ring = ((dec - self._bottom) / self._height).astype(np.int64).clip(0, self.num_rings - 1)
        size = self.ring_sizes[ring]
        along = np.mod(ra - math.radians(self.ra_start), 2.0 * math.pi)
        place = (along / (2.0 * math.pi / size) + 0.5).astype(np.int64)
        place = np.where(place == size, 0, place)
        if self.numbering == 0:
            ring = np.where((place == 0) & (ring != 0), ring + 1, ring)
        number = self._first[ring] + place
        number = np.where(dec < self._bottom, 0, np.where(dec > -self._bottom, len(self) - 1, number))
        return number.astype(np.int32)

    @override
    def _shapes(self) -> Iterator[int]:
        return iter([0, *(int(number) for number in self._first)])

    @override
    def _identity(self) -> tuple[str, bytes]:
        after = struct.pack("<id", self.num_rings, self.ra_start)
        # The numbering is part of what a tract's number means, so it tells sky maps apart.
        return "RingsSkyMap", after if self.numbering == 1 else after + struct.pack("<i", self.numbering)
