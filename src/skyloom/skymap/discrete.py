"""`DiscreteSkyMap`: tracts at chosen places, each around a circle on the sky."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Literal, Self, override

import numpy as np
import pydantic

from .base import SkyMap
from .build import explicit_tract
from .grid import PROJECTIONS
from .layout import ClippedPatches, PatchLayout
from .tract import Tract

__all__ = ["DiscreteSkyMap", "TractCircle"]


class TractCircle(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The circle on the sky that a tract encloses, in degrees (ICRS)."""

    ra: float
    dec: float = pydantic.Field(ge=-90.0, le=90.0)
    radius: float = pydantic.Field(gt=0.0, lt=60.0)


class DiscreteSkyMap(SkyMap, frozen=True):
    """One tract for each circle, numbered in the order of the list.

    The radius and the overlap are half the side of a square, which is rounded up to whole patches.  An unrotated
    square encloses the circle; one rotated by 45 degrees needs a radius larger by a factor of 1.42 for that.
    """

    kind: Literal["discrete"] = "discrete"
    tracts: tuple[TractCircle, ...] = pydantic.Field(min_length=1)
    pixel_scale: float = pydantic.Field(gt=0.0)
    projection: Literal[PROJECTIONS] = "TAN"  # type: ignore[valid-type]
    tract_overlap: float = pydantic.Field(default=0.0, ge=0.0)
    """Degrees added to every radius."""
    layout: PatchLayout = ClippedPatches(size=(2000, 2000), border=100)

    @property
    @override
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([circle.ra for circle in self.tracts]), np.array([circle.dec for circle in self.tracts])

    @property
    @override
    def _widest(self) -> int:
        return int(np.argmax([circle.radius for circle in self.tracts]))

    @override
    def _make(self, number: int) -> Tract:
        circle = self.tracts[number]
        grid = self._grid(circle.ra, circle.dec)
        return explicit_tract(self.name, number, grid, self.layout, circle.radius + self.tract_overlap)

    @override
    def _identity(self) -> tuple[str, bytes]:
        values = [getattr(circle, field) for field in ("ra", "dec", "radius") for circle in self.tracts]
        return "DiscreteSkyMap", struct.pack(f"<{len(values)}d", *values)

    def with_tracts(self, circles: Iterable[TractCircle], name: str) -> Self:
        """The same tracts, and further ones after them, as a sky map of another name."""
        more = [circle.model_dump() for circle in circles]
        definition = self.model_dump()
        return self.from_dict({**definition, "name": name, "tracts": [*definition["tracts"], *more]})
