"""`HealpixSkyMap`: the pixels of HEALPix as tracts."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Literal, override

import numpy as np
import pydantic

from . import healpix_pixels as healpix
from .base import SkyMap
from .build import implicit_tract
from .tract import Tract

__all__ = ["HealpixSkyMap"]

_SIDE = np.arange(8) / 8.0
_EDGE_X = np.concatenate([_SIDE, np.ones(8), 1.0 - _SIDE, np.zeros(8)])
_EDGE_Y = np.concatenate([np.zeros(8), _SIDE, np.ones(8), 1.0 - _SIDE])
"""Places along the edge of a pixel, eight a side."""


class HealpixSkyMap(SkyMap, frozen=True):
    """One tract for each pixel of HEALPix (Gorski et al. 2005, ApJ 622, 759), with the standard numbers.

    A tract holds all of its pixel and half the overlap around it.  Other implementations have a sky map of this name
    whose numbers are those of the sky mirrored at the equator.
    """

    kind: Literal["healpix"] = "healpix"
    nside: int = pydantic.Field(gt=0, le=128)
    """Pixels along the side of each of the twelve base pixels, a power of 2."""
    nest: bool = False
    """Whether tracts are numbered in the nested scheme, not in rings."""
    rotation: float = 45.0

    @pydantic.field_validator("nside")
    @classmethod
    def _nside_is_a_power_of_two(cls, nside: int) -> int:
        if nside & (nside - 1):
            raise ValueError(f"nside must be a power of 2; {nside} is none.")
        return nside

    @override
    def __len__(self) -> int:
        return 12 * self.nside**2

    def _pixels(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Base pixel, column and row of tracts."""
        return (healpix.from_nested if self.nest else healpix.from_ring)(self.nside, number)

    @property
    @override
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        face, x, y = self._pixels(np.arange(len(self)))
        return healpix.angles(self.nside, face, x + 0.5, y + 0.5)

    @override
    def _make(self, number: int) -> Tract:
        face, x, y = self._pixels(np.array(number))
        centre = tuple(float(angle) for angle in healpix.angles(self.nside, face, x + 0.5, y + 0.5))
        # The edges of a pixel are no great circles: they bulge out of the hull of its corners.
        vertices = np.stack(healpix.angles(self.nside, face, x + _EDGE_X, y + _EDGE_Y), axis=-1)
        grid = self._grid(*centre)
        return implicit_tract(
            self.name, number, (centre[0], centre[1]), grid, self.layout, vertices, self.tract_overlap
        )

    @override
    def tract_ids(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Number of the pixel that holds each position (degrees); int32, shape of the positions."""
        ra, dec = np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))
        number = (healpix.to_nested if self.nest else healpix.to_ring)(
            self.nside, *healpix.face_pixels(self.nside, ra, dec)
        )
        return number.astype(np.int32)

    @override
    def _shapes(self) -> Iterator[int]:
        """Pixels of a quarter of the sky, or of its northern half where the grids can be mirrored."""
        ra, dec = self.centres
        mirrored = self.rotation % 45.0 == 0.0
        return iter(int(number) for number in np.flatnonzero((ra < 90.0) & ((dec > -1e-9) | (not mirrored))))

    @override
    def _farthest_pixel(self) -> float:
        if self.nside <= 8:
            return super()._farthest_pixel()
        # Narrow tracts are hardly stretched: half the diagonal is below twice the distance of what a tract holds.
        held = healpix.max_radius(self.nside) + self.tract_overlap / 2.0
        return min(2.0 * held + 1.5 * max(self.patch_size) * self.pixel_scale / 3600.0, 180.0)

    @override
    def _identity(self) -> tuple[str, bytes]:
        # Not the name of the mirrored sky map, for the tracts of a number are elsewhere.
        return "StandardHealpixSkyMap", struct.pack("<i?", int(math.log2(self.nside)), self.nest)
