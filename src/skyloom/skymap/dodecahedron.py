"""`DodecahedronSkyMap`: twelve tracts, the faces of a regular dodecahedron."""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Literal, override

import numpy as np
import pydantic

from .base import SkyMap
from .build import implicit_tract
from .layout import ClippedPatches, PatchLayout
from .polygons import positions_of
from .tract import Tract

__all__ = ["DodecahedronSkyMap"]

_GOLDEN = (1.0 + np.sqrt(5.0)) / 2.0
_POLE = 1e-12
"""A direction whose distance from the axis, in radians, is less is a pole; what is left is rounding."""


class DodecahedronSkyMap(SkyMap, frozen=True):
    """The faces of a regular dodecahedron, numbered from north to south and by right ascension."""

    kind: Literal["dodecahedron"] = "dodecahedron"
    tracts_on_poles: bool = False
    """Whether the centre of a face is on each pole; else a corner is."""
    pixel_scale: float = pydantic.Field(default=0.2, gt=0.0)
    tract_overlap: float = pydantic.Field(default=3.5, ge=0.0)
    layout: PatchLayout = ClippedPatches(size=(4000, 4000), border=250)

    @cached_property
    def _solid(self) -> tuple[np.ndarray, np.ndarray]:
        """Directions of the faces in the order of the tracts, ``[12, 3]``, and of the corners, ``[20, 3]``."""
        faces, corners = _unturned_faces(), _unturned_corners()
        turn = _turn(faces, 1.0) if self.tracts_on_poles else _turn(corners, -1.0)
        faces, corners = faces @ turn.T, corners @ turn.T
        around = np.round(np.arctan2(faces[:, 1], faces[:, 0]), 2)
        order = np.lexsort([np.where(around < 0.0, around + 2.0 * np.pi, around), -np.round(faces[:, 2], 1)])
        return faces[order], corners

    @property
    @override
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        faces, _ = self._solid
        on_pole = np.hypot(faces[:, 0], faces[:, 1]) < _POLE
        ra, dec = positions_of(faces)
        return np.where(on_pole, 0.0, ra), np.where(on_pole, np.copysign(90.0, dec), dec)

    @override
    def _make(self, number: int) -> Tract:
        faces, corners = self._solid
        centre = tuple(float(values[number]) for values in self.centres)
        mine = corners[np.argsort(corners @ faces[number])[-5:]]
        ra, dec = positions_of(mine)
        ra = np.where(np.hypot(mine[:, 0], mine[:, 1]) < _POLE, centre[0], ra)
        vertices = np.stack([ra, dec], axis=-1)
        grid = self._grid(*centre)
        return implicit_tract(
            self.name, number, (centre[0], centre[1]), grid, self.layout, vertices, self.tract_overlap
        )

    @override
    def _identity(self) -> tuple[str, bytes]:
        return "DodecaSkyMap", struct.pack("<?", self.tracts_on_poles)


def _unturned_faces() -> np.ndarray:
    """Directions of the faces of a dodecahedron that stands on an edge, ``[12, 3]``."""
    signs = [(a, b * _GOLDEN) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    rolled = [np.roll([0.0, a, b], shift) for shift in range(3) for a, b in signs]
    faces: np.ndarray = np.array(rolled) / np.hypot(1.0, _GOLDEN)
    return faces


def _unturned_corners() -> np.ndarray:
    """Directions of its corners, ``[20, 3]``: the sums of three faces of which each is next to the others."""
    faces = _unturned_faces()
    adjacent = np.isclose(faces @ faces.T, 1.0 / np.sqrt(5.0))
    triples = [
        (i, j, k)
        for i in range(12)
        for j in range(i + 1, 12)
        for k in range(j + 1, 12)
        if adjacent[i, j] and adjacent[j, k] and adjacent[i, k]
    ]
    corners: np.ndarray = faces[np.array(triples)].sum(axis=1)
    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
    return corners


def _turn(directions: np.ndarray, side: float) -> np.ndarray:
    """The rotation that takes the first direction to the pole, and the one next to it to right ascension 0 or 180.

    ``side`` is 1 for the first and -1 for the second.
    """
    pole = directions[0]
    cosine = directions @ pole
    next_to_it = directions[np.argmax(np.where(cosine > 1.0 - 1e-9, -1.0, cosine))]
    x = side * (next_to_it - (next_to_it @ pole) * pole)
    x /= np.linalg.norm(x)
    return np.array([x, np.cross(pole, x), pole])
