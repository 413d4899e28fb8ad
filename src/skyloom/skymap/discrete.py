"""`DiscreteSkyMap`: tangent planes at chosen places, each enclosing a circle on the sky."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import pydantic

from .polygons import unit_vectors
from .tract import Tract

__all__ = ["DiscreteSkyMap", "TractCircle"]


class TractCircle(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The circle on the sky that a tract encloses, in degrees (ICRS)."""

    ra: float
    dec: float = pydantic.Field(ge=-90.0, le=90.0)
    radius: float = pydantic.Field(gt=0.0, lt=60.0)


class DiscreteSkyMap(pydantic.BaseModel, frozen=True, extra="forbid"):
    """One TAN tract for each circle, numbered in the order of the list.

    Equality and the hash leave out the name: two sky maps with the same geometry are the same.
    """

    kind: Literal["discrete"] = "discrete"
    name: str
    tracts: tuple[TractCircle, ...]
    pixel_scale: float = pydantic.Field(gt=0.0)
    """Arcseconds a pixel."""
    patch_size: tuple[int, int] = (2000, 2000)
    """Inner size of a patch (x, y), pixels."""
    patch_border: int = pydantic.Field(default=100, ge=0)
    """Pixels by which the outer box of a patch exceeds the inner one on each side, up to the tract's edge."""
    tract_overlap: float = pydantic.Field(default=0.0, ge=0.0)
    """Degrees added to every radius."""
    rotation: float = 0.0
    """Angle of the pixel grids, degrees; 0 has north up and east to the left."""

    @pydantic.field_validator("patch_size")
    @classmethod
    def _sizes_are_positive(cls, size: tuple[int, int]) -> tuple[int, int]:
        if min(size) <= 0:
            raise ValueError(f"A patch of {size[0]} x {size[1]} pixels is empty.")
        return size

    @cached_property
    def _tracts(self) -> tuple[Tract, ...]:
        return tuple(
            Tract(
                skymap=self.name,
                id=number,
                ra=circle.ra,
                dec=circle.dec,
                half_size=circle.radius + self.tract_overlap,
                pixel_scale=self.pixel_scale,
                rotation=self.rotation,
                patch_size=self.patch_size,
                patch_border=self.patch_border,
            )
            for number, circle in enumerate(self.tracts)
        )

    def __len__(self) -> int:
        return len(self.tracts)

    def tract(self, tract_id: int) -> Tract:
        """The tract of a number.

        Raises
        ------
        IndexError
            If the sky map has no such tract.
        """
        if not 0 <= tract_id < len(self):
            raise IndexError(f"Sky map {self.name!r} has {len(self)} tracts; {tract_id} is not one of them.")
        return self._tracts[tract_id]

    def all_tracts(self) -> Iterator[Tract]:
        """The tracts in the order of their numbers."""
        return iter(self._tracts)

    def nearest_tract(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Number of the tract whose centre is nearest to each position (degrees); the lowest where two are equal.

        The tract need not contain the position.
        """
        centres = unit_vectors(np.array([t.ra for t in self.tracts]), np.array([t.dec for t in self.tracts]))
        nearest: np.ndarray = np.argmax(unit_vectors(np.asarray(ra), np.asarray(dec)) @ centres.T, axis=-1)
        return nearest

    def contains(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Whether any tract contains each position (degrees); shape of the positions."""
        inside = np.zeros(np.shape(ra), bool)
        for tract in self._tracts:
            inside |= tract.contains(ra, dec)
        return inside

    @cached_property
    def sha1(self) -> bytes:
        """20 bytes that identify the geometry; as other implementations of this kind of sky map compute them."""
        digest = hashlib.sha1(b"DiscreteSkyMap")
        digest.update(
            struct.pack(
                "<iiidd3sd",
                *self.patch_size,
                self.patch_border,
                self.tract_overlap,
                self.pixel_scale,
                b"TAN",
                self.rotation,
            )
        )
        for field in ("ra", "dec", "radius"):
            values = [getattr(circle, field) for circle in self.tracts]
            digest.update(struct.pack(f"<{len(values)}d", *values))
        return digest.digest()

    def __eq__(self, other: object) -> bool:
        return self.sha1 == other.sha1 if isinstance(other, DiscreteSkyMap) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.sha1)

    def to_dict(self) -> dict[str, Any]:
        """The definition as plain values that JSON can hold."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, definition: dict[str, Any]) -> Self:
        """The sky map of a definition.

        Raises
        ------
        pydantic.ValidationError
            If the definition lacks something or holds a value out of range.
        """
        return cls.model_validate(definition)
