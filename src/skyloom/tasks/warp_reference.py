"""References to the warps of a tract: what the documented methods of background matching take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from lsst.daf.butler import DeferredDatasetHandle
from lsst.images import Box, Mask, TractFrame

from skyloom.backmatch import PatchWarp, Planes
from skyloom.errors import BadFrameError
from skyloom.images import MASK_SCHEMA, Exposure, WarpImage, bitmask, bits_of, from_warp

if TYPE_CHECKING:
    from skyloom.skymap import Patch, SkyMap, Tract

__all__ = ["WarpReference", "as_warp_references"]


@dataclass(frozen=True, kw_only=True, eq=False)
class WarpReference:
    """A warp that is read when it is asked for, and where it belongs."""

    source: Any
    """An `skyloom.images.Exposure`, or something with ``get()`` that returns one or an `skyloom.images.WarpImage`."""
    visit: int
    patch: Patch
    bbox: Box
    unit: u.UnitBase | None

    @property
    def is_usable(self) -> bool:
        """Whether it is in nJy."""
        return bool(self.unit == u.nJy)

    def exposure(self) -> Exposure:
        """The warp, with pixels of its own."""
        found = _read(self.source)
        return found if isinstance(self.source, DeferredDatasetHandle) else found.copy()

    def planes(self, box: Box) -> Planes:
        """Image, mask and variance inside a part of its box; what the butler has is read in part."""
        if isinstance(self.source, DeferredDatasetHandle):
            parts = self.source.get(
                component="components", parameters={"components": ["image", "mask", "variance"], "bbox": box}
            )
        else:
            part = _read(self.source)[box]
            parts = {name: getattr(part, name) for name in ("image", "mask", "variance")}
        return Planes(box=box, image=parts["image"].array, bits=_bits(parts["mask"]), variance=parts["variance"].array)

    def patch_warp(self) -> PatchWarp:
        """The same as the algorithm takes it."""
        return PatchWarp(visit=self.visit, patch=self.patch, bbox=self.bbox, read=self.planes)


def as_warp_references(warps: Iterable[Any], sky_map: SkyMap) -> tuple[list[WarpReference], Tract]:
    """Warps in their order, and the tract that they are on.

    Parameters
    ----------
    warps
        Deferred handles, other objects with ``dataId`` and ``get()``, or exposures.  Visit, tract and patch are those
        of ``dataId``; where it lacks them, what the warp says: its inputs or its observation, its projection, and the
        patch whose inner box has most of its pixels.
    sky_map
        The sky map.

    Raises
    ------
    BadFrameError
        If a warp does not tell its visit or tract, lies outside its patch, or the warps are of several tracts.
    """
    found: list[WarpReference] = []
    tracts: dict[int, Tract] = {}
    for place, warp in enumerate(warps):
        known = _data_id(warp)
        outline = _Outline(warp)
        visit = known.get("visit", outline.visit)
        number = known.get("tract", outline.tract)
        if number is None and len(sky_map) == 1:
            number = 0
        if visit is None or number is None:
            raise BadFrameError(
                f"warp {place} does not tell its {'visit' if visit is None else 'tract'}.",
                cure="Give a handle whose dataId has visit, tract and patch.",
            )
        tract = tracts.setdefault(int(number), sky_map.tract(int(number)))
        patch = tract.patch(int(known["patch"])) if "patch" in known else _patch_of(tract, outline.bbox)
        if not patch.outer_bbox.contains(outline.bbox):
            raise BadFrameError(
                f"the warp of visit {visit} covers {outline.bbox}, outside patch {patch.id} ({patch.outer_bbox}).",
                cure="Give the sky map with which it was made.",
            )
        found.append(WarpReference(source=warp, visit=int(visit), patch=patch, bbox=outline.bbox, unit=outline.unit))
    if len(tracts) != 1:
        raise BadFrameError(f"the warps are of tracts {sorted(tracts)}.", cure="Match one tract at a time.")
    return found, next(iter(tracts.values()))


class _Outline:
    """Box, unit, and where the data id does not have them visit and tract of a warp."""

    def __init__(self, warp: Any) -> None:
        self.visit: int | None = None
        self.tract: int | None = None
        if isinstance(warp, DeferredDatasetHandle):
            parts = warp.get(component="components", parameters={"components": ["bbox", "unit"]})
            self.bbox, self.unit = parts["bbox"], parts["unit"]
            return
        exposure = _read(warp)
        self.bbox, self.unit = exposure.bbox, exposure.unit
        if exposure.inputs is not None and len(exposure.inputs):
            self.visit = int(exposure.inputs["visit"][0])
        elif exposure.obs_info is not None and exposure.obs_info.visit_id is not None:
            self.visit = int(exposure.obs_info.visit_id)
        frame = None if exposure.projection is None else exposure.projection.pixel_frame
        if isinstance(frame, TractFrame):
            self.tract = int(frame.tract)


def _bits(mask: Mask) -> np.ndarray:
    """Mask bits ``[y, x]`` of our schema; planes that the mask lacks are not set, and others do not matter."""
    if mask.schema == MASK_SCHEMA:
        return bits_of(mask)
    bits = np.zeros(mask.bbox.shape, np.int32)
    for name in set(mask.schema.names) & set(MASK_SCHEMA.names):
        bits[mask.get(name)] |= bitmask(name)
    return bits


def _read(source: Any) -> Exposure:
    """The warp as an exposure that may share pixels with others."""
    found = source if isinstance(source, Exposure) else source.get()
    if isinstance(found, WarpImage):
        return from_warp(found)
    if not isinstance(found, Exposure):
        raise BadFrameError(f"a {type(found).__name__} is no warp.", cure="Give an Exposure or a WarpImage.")
    return found


def _data_id(warp: Any) -> dict[str, Any]:
    """Those values of its data id that matter here."""
    data_id = getattr(warp, "dataId", {})
    return {name: data_id[name] for name in ("visit", "tract", "patch") if name in data_id}


def _patch_of(tract: Tract, box: Box) -> Patch:
    """The patch whose outer box holds a box and whose centre is nearest to its middle."""
    able = [patch for patch in tract.patches() if patch.outer_bbox.contains(box)]
    if not able:
        raise BadFrameError(f"no patch of tract {tract.id} holds {box}.", cure="Give the sky map of the warps.")

    def distance(patch: Patch) -> float:
        pairs = ((box.y, patch.inner_bbox.y), (box.x, patch.inner_bbox.x))
        return float(sum((a.start + a.stop - b.start - b.stop) ** 2 for a, b in pairs))

    return min(able, key=distance)
