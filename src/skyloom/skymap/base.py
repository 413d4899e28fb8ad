"""`SkyMap`: what all sky maps share."""

from __future__ import annotations

import hashlib
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal, Self, override

import numpy as np
import pydantic
import yaml
from lsst.sphgeom import Region

from .grid import PROJECTIONS, TractGrid
from .layout import ClippedPatches, PatchLayout
from .patch import Patch
from .polygons import unit_vectors
from .tract import Tract
from .tract_tree import TractTree, circles_around, separation

__all__ = ["SkyMap"]

_KEPT = 1000
"""Tracts that are kept once they were asked for."""


class SkyMap(pydantic.BaseModel, ABC, frozen=True, extra="forbid"):
    """An ordered set of overlapping tracts, each with one pixel grid; the fields are all of its definition.

    Equality and the hash leave out the name: two sky maps with the same geometry are the same.
    """

    kind: str
    name: str
    pixel_scale: float = pydantic.Field(default=0.333, gt=0.0)
    """Arcseconds a pixel at the centre of a tract."""
    projection: Literal[PROJECTIONS] = "STG"  # type: ignore[valid-type]
    """Code of the projection in FITS headers."""
    rotation: float = 0.0
    """Angle of the pixel grids, degrees; 0 has north up and east to the left."""
    tract_overlap: float = pydantic.Field(default=1.0, ge=0.0)
    """Degrees that neighbouring tracts share at least."""
    layout: PatchLayout = ClippedPatches()
    """How a tract is divided."""

    _made: dict[int, Tract] = pydantic.PrivateAttr(default_factory=dict)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _take_sizes_of_clipped_patches(cls, definition: Any) -> Any:
        """Read ``patch_size`` and ``patch_border``, short for a layout of clipped patches, and all there once was."""
        short = {"patch_size": "size", "patch_border": "border"}
        if not isinstance(definition, dict) or "layout" in definition or not short.keys() & definition.keys():
            return definition
        given = {short[key]: value for key, value in definition.items() if key in short}
        default = cls.model_fields["layout"].default
        layout = (default if isinstance(default, ClippedPatches) else ClippedPatches()).model_dump() | given
        return {key: value for key, value in definition.items() if key not in short} | {"layout": layout}

    @pydantic.model_validator(mode="after")
    def _tracts_can_be_made(self) -> Self:
        self.tract(self._widest)
        return self

    @property
    def _widest(self) -> int:
        """Number of a tract that no other exceeds."""
        return 0

    @property
    @abstractmethod
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Right ascension and declination of the centre of each tract, degrees."""

    @abstractmethod
    def _make(self, number: int) -> Tract:
        """The tract of a number that exists."""

    @abstractmethod
    def _identity(self) -> tuple[str, bytes]:
        """What a kind puts into the digest: before and after what all kinds put there."""

    @property
    def patch_size(self) -> tuple[int, int]:
        """Inner size of a patch (x, y), pixels."""
        return self.layout.size

    @property
    def patch_border(self) -> int:
        """Pixels by which the outer box of a patch exceeds the inner one on each side."""
        return self.layout.border

    @cached_property
    def n_patches_max(self) -> tuple[int, int]:
        """The largest number of patches of a tract along x and along y."""
        counts = [self.tract(number).n_patches for number in self._shapes()]
        return max(nx for nx, _ in counts), max(ny for _, ny in counts)

    def _shapes(self) -> Iterator[int]:
        """Numbers of tracts among which there is one of each size."""
        return iter(range(len(self)))

    def __len__(self) -> int:
        return len(self._vectors)

    @cached_property
    def _vectors(self) -> np.ndarray:
        return unit_vectors(*self.centres)

    @cached_property
    def _tree(self) -> TractTree:
        return TractTree(self._vectors)

    def _grid(self, ra: float, dec: float) -> TractGrid:
        """The pixel grid about a fiducial point."""
        return TractGrid(
            ra=float(ra),
            dec=float(dec),
            pixel_scale=self.pixel_scale,
            projection=self.projection,
            rotation=self.rotation,
        )

    def tract(self, tract_id: int) -> Tract:
        """The tract of a number.

        Raises
        ------
        IndexError
            If the sky map has no such tract.
        """
        if not 0 <= tract_id < len(self):
            raise IndexError(f"Sky map {self.name!r} has {len(self)} tracts; {tract_id} is not one of them.")
        made = self._made.get(int(tract_id))
        if made is None:
            made = self._make(int(tract_id))
            if len(self._made) >= _KEPT:
                self._made.clear()
            self._made[int(tract_id)] = made
        return made

    def all_tracts(self) -> Iterator[Tract]:
        """The tracts in the order of their numbers; they are not kept, for there may be many."""
        return (self._made.get(number) or self._make(number) for number in range(len(self)))

    def tract_ids(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Number of the tract that stands for each position (degrees); int32, shape of the positions.

        It is the one whose centre is nearest, the lowest number where several are; where the sky map does not cover
        the sky, it need not contain the position.
        """
        return self._tree.nearest(unit_vectors(*np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))))

    def find_tract(self, ra: float, dec: float) -> Tract:
        """The tract that stands for a position in degrees, as `tract_ids` has it."""
        return self.tract(int(self.tract_ids(np.asarray(ra), np.asarray(dec))))

    def contains(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Whether any tract contains each position (degrees); shape of the positions."""
        ra, dec = np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))
        inside = np.zeros(ra.shape, bool)
        nearest = self.tract_ids(ra, dec)
        for number in np.unique(nearest):
            here = nearest == number
            inside[here] = self.tract(int(number)).contains(ra[here], dec[here])
        left = ~inside
        for number in self._near(unit_vectors(ra[left], dec[left]), 0.0):
            inside[left] |= self.tract(number).contains(ra[left], dec[left])
        return inside

    def tracts_containing(self, ra: float, dec: float) -> tuple[Tract, ...]:
        """All tracts that have a pixel at a position in degrees, in the order of their numbers."""
        where = np.asarray(ra, float), np.asarray(dec, float)
        tracts = (self.tract(number) for number in self._near(unit_vectors(*where), 0.0))
        return tuple(tract for tract in tracts if tract.contains(*where))

    def patch_ids_around(self, ra: np.ndarray, dec: np.ndarray, *, bent: bool = False) -> dict[int, np.ndarray]:
        """Numbers of the patches that the outlines of frames may touch, for each tract that has any.

        Parameters
        ----------
        ra, dec
            Corners in degrees, ``[n, k]`` for n outlines, or ``[k]`` for one; each must be narrow beside a tract.
        bent
            As `Tract.patch_ids_around` has it.
        """
        ra, dec = np.atleast_2d(ra), np.atleast_2d(dec)
        middle, radius = circles_around(unit_vectors(ra, dec))
        found = {}
        for number, outlines in self._tree.within(middle, self._reach + radius).items():
            patches = self.tract(number).patch_ids_around(ra[outlines], dec[outlines], bent=bent)
            if patches.size:
                found[number] = patches
        return found

    def patches_around(self, ra: np.ndarray, dec: np.ndarray) -> list[tuple[Tract, tuple[Patch, ...]]]:
        """Tracts, and their patches, that meet the bounding box of some positions; a few more than overlap.

        The bounding box is that on each tract, so that the positions must be close together beside a tract.
        """
        found = self.patch_ids_around(np.reshape(ra, (1, -1)), np.reshape(dec, (1, -1)))
        tracts = ((self.tract(number), patches) for number, patches in found.items())
        return [(tract, tuple(tract.patch(patch) for patch in patches)) for tract, patches in tracts]

    def nearest_patches(self, ra: np.ndarray, dec: np.ndarray) -> list[tuple[Tract, tuple[Patch, ...]]]:
        """As `patches_around`, on the tracts alone that stand for the positions, in the order of the positions."""
        numbers = dict.fromkeys(int(number) for number in np.atleast_1d(self.tract_ids(ra, dec)))
        return [
            (self.tract(number), self.tract(number).patches_around(np.ravel(ra), np.ravel(dec))) for number in numbers
        ]

    def patches_overlapping(self, region: Region) -> list[tuple[Tract, tuple[Patch, ...]]]:
        """Tracts, and their patches, whose outer boxes overlap a region of the sky."""
        circle = region.getBoundingCircle()
        centre = circle.getCenter()
        middle = np.array([centre.x(), centre.y(), centre.z()])
        tracts = (self.tract(number) for number in self._near(middle, circle.getOpeningAngle().asDegrees()))
        found = ((tract, tract.patches_overlapping(region)) for tract in tracts)
        return [(tract, patches) for tract, patches in found if patches]

    @cached_property
    def _reach(self) -> float:
        return self._farthest_pixel()

    def _farthest_pixel(self) -> float:
        """Degrees from the centre of a tract that none of its pixels exceeds."""
        tracts = (self.tract(number) for number in self._shapes())
        chords = [np.linalg.norm(unit_vectors(*tract.corners) - self._vectors[tract.id], axis=1) for tract in tracts]
        farthest = float(separation(np.max(chords)))
        # A corner beyond the edge of the projection is nowhere.
        return 1.001 * farthest if np.isfinite(farthest) else 180.0

    def _near(self, vectors: np.ndarray, radius: float) -> list[int]:
        """Numbers, sorted, of the tracts that may reach circles of a radius in degrees about directions."""
        vectors = vectors.reshape(-1, 3)
        return list(self._tree.within(vectors, np.full(len(vectors), self._reach + radius)))

    @cached_property
    def sha1(self) -> bytes:
        """20 bytes that identify the geometry; as other implementations of the same kind of sky map compute them."""
        before, after = self._identity()
        shared = (self.tract_overlap, self.pixel_scale, self.projection.encode(), self.rotation)
        digest = hashlib.sha1(before.encode() + self.layout.identity())
        digest.update(struct.pack("<dd3sd", *shared) + after)
        return digest.digest()

    @override
    def __eq__(self, other: object) -> bool:
        return self.sha1 == other.sha1 if isinstance(other, SkyMap) else NotImplemented

    @override
    def __hash__(self) -> int:
        return hash(self.sha1)

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        """The definition alone is pickled, and copied: the tracts come out the same."""
        return type(self).from_dict, (self.model_dump(),)

    @override
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A sky map with some fields of the definition changed, and checked anew."""
        return type(self).from_dict({**self.model_dump(), **(update or {})})

    @override
    def __copy__(self) -> Self:
        return self.model_copy()

    @override
    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def to_dict(self) -> dict[str, Any]:
        """The definition as plain values that JSON can hold."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The definition as YAML, in the order of the fields."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def from_dict(cls, definition: dict[str, Any]) -> Self:
        """The sky map of a definition.

        Raises
        ------
        pydantic.ValidationError
            If the definition lacks something or holds a value out of range.
        """
        return cls.model_validate(definition)
