"""Visits on a small tract of which scene, sky and noise are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import astropy.units as u
import numpy as np
from lsst.images import Box

from skyloom.backmatch import PatchWarp, Planes, SuperpixelGrid
from skyloom.images import Exposure, bitmask
from skyloom.skymap import ClippedPatches, DiscreteSkyMap, Patch, Tract, TractCircle

PATCH, BORDER, BIN = 512, 48, 64
"""Inner side and border of a patch, and pitch of superpixels, px."""

type Surface = Callable[[np.ndarray, np.ndarray], Any]


@cache
def sky_map(size: tuple[int, int] = (PATCH, PATCH), border: int = BORDER, side: int = 2 * PATCH) -> DiscreteSkyMap:
    """One tract of as many patches as hold a square of so many pixels."""
    circle = TractCircle(ra=150.0, dec=2.0, radius=(0.5 * side - 1.0) * 0.25 / 3600)
    layout = ClippedPatches(size=size, border=border)
    return DiscreteSkyMap(name="field", tracts=(circle,), pixel_scale=0.25, layout=layout)


def flat(level: float) -> Surface:
    return lambda x, y: level + 0.0 * x


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What makes the warps of a visit."""

    number: int
    sky: Surface
    """nJy at x, y of the tract."""
    sigma: float = 1.0
    scene: Surface = field(default_factory=lambda: flat(0.0))
    """What all visits show."""
    covered: Surface | None = None
    """Whether the visit has data at x, y; everywhere where None."""
    masked: Surface | None = None
    """Where pixels are saturated, and hold 1e9."""
    patches: tuple[int, ...] | None = None
    """Those that it has warps on; all where None."""


def grid(tract: Tract, pitch: float = BIN) -> SuperpixelGrid:
    return SuperpixelGrid(tract.bbox, pitch, pitch)


def places(box: Box) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixels of a box, ``[y, x]``."""
    y, x = np.mgrid[box.y.start : box.y.stop, box.x.start : box.x.stop].astype(np.float64)
    return x, y


@cache
def _noise(number: int, shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(shape)


def make_warp(visit: Visit, patch: Patch) -> Exposure:
    """The warp on a patch, trimmed to where it has data; overlapping patches show the same pixels."""
    box = patch.outer_bbox
    x, y = places(box)
    whole = patch.tract.bbox
    image = (
        visit.sky(x, y) + visit.scene(x, y) + visit.sigma * _noise(visit.number, whole.shape)[box.slice_within(whole)]
    )
    bits, variance = np.zeros(box.shape, np.int32), np.full(box.shape, max(visit.sigma, 0.01) ** 2)
    if visit.masked is not None:
        bits[visit.masked(x, y)] |= bitmask("SAT")
        image[visit.masked(x, y)] = 1e9
    if visit.covered is not None:
        missing = ~visit.covered(x, y)
        image[missing], variance[missing] = np.nan, np.inf
        bits[missing] |= bitmask("NO_DATA")
    exposure = Exposure.from_arrays(
        image,
        bits,
        variance,
        unit=u.nJy,
        x0=box.x.start,
        y0=box.y.start,
        projection=patch.tract.projection,
        band="r",
    )
    held = np.isfinite(image)
    if not held.any():
        return exposure
    rows, columns = np.flatnonzero(held.any(axis=1)), np.flatnonzero(held.any(axis=0))
    return exposure[
        Box.factory[
            box.y.start + rows[0] : box.y.start + rows[-1] + 1,
            box.x.start + columns[0] : box.x.start + columns[-1] + 1,
        ]
    ]


def warps_of(visits: list[Visit], tract: Tract) -> list[tuple[Visit, Patch, Exposure]]:
    """All warps, by visit and patch."""
    return [
        (visit, patch, make_warp(visit, patch))
        for visit in visits
        for patch in tract.patches()
        if visit.patches is None or patch.id in visit.patches
    ]


def patch_warp(visit: Visit, patch: Patch, exposure: Exposure) -> PatchWarp:
    """A warp as the algorithms take it."""

    def read(box: Box) -> Planes:
        part = exposure[box]
        return Planes(box=box, image=part.image.array, bits=part.bits, variance=part.variance.array)

    return PatchWarp(visit=visit.number, patch=patch, bbox=exposure.bbox, read=read)


@dataclass
class Handle:
    """A reference to a warp that counts how often it is read."""

    exposure: Exposure
    dataId: dict[str, int]  # noqa: N815
    n_read: int = 0

    def get(self, *, component: str | None = None, parameters: dict[str, Any] | None = None) -> Any:
        assert component is None
        self.n_read += 1
        return self.exposure.copy()


def handles_of(visits: list[Visit], tract: Tract) -> list[Handle]:
    """References to all warps, by visit and patch."""
    return [
        Handle(exposure, {"visit": visit.number, "tract": tract.id, "patch": patch.id})
        for visit, patch, exposure in warps_of(visits, tract)
    ]
