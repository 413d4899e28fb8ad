"""`Tract`: a projection of part of the sky onto one grid of pixels, divided into patches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import SupportsIndex

import numpy as np
from astropy.io.fits import Header
from lsst.images import Box, SkyProjection, TractFrame
from lsst.sphgeom import ConvexPolygon, Region

from .grid import TractGrid
from .layout import CellPatches, ClippedPatches
from .patch import Patch, index_pair
from .polygons import box_polygon, displaced, positions_of

__all__ = ["Tract"]

_BEARINGS = np.arange(0.0, 360.0, 15.0)
_BEND = 0.01
"""Share of its side by which an edge of a patch is bent at most: 0.002 where patches of a dodecahedron span 2.2 deg."""


@dataclass(frozen=True, kw_only=True)
class Tract:
    """A pixel grid over part of the sky, divided into patches; pixel (0, 0) is the lower left one."""

    skymap: str
    id: int
    ra: float
    dec: float
    """The centre in degrees (ICRS)."""
    grid: TractGrid
    n_patches: tuple[int, int]
    """Number of patches along x and y."""
    layout: ClippedPatches | CellPatches
    vertices: np.ndarray = field(compare=False, repr=False)
    """Corners of the part of the sky that the tract stands for, degrees, ``[n, 2]`` (right ascension, declination)."""
    inner_region: Region = field(compare=False, repr=False)
    """The part of the sky that the tract stands for: those of all tracts tile what the sky map covers."""

    @property
    def patch_size(self) -> tuple[int, int]:
        """Inner size of a patch (x, y), pixels."""
        return self.layout.size

    @property
    def patch_border(self) -> int:
        """Pixels by which the outer box of a patch exceeds the inner one on each side."""
        return self.layout.border

    def __len__(self) -> int:
        nx, ny = self.n_patches
        return nx * ny

    @cached_property
    def bbox(self) -> Box:
        """All pixels of the tract."""
        (nx, ny), (dx, dy) = self.n_patches, self.patch_size
        return Box.from_shape((ny * dy, nx * dx))

    def wcs_header(self, box: Box | None = None) -> Header:
        """The plain header of the WCS of an image that covers ``box`` (default: the whole tract)."""
        return self.grid.header() if box is None else self.grid.header(box.x.start, box.y.start)

    @cached_property
    def frame(self) -> TractFrame:
        """The frame of the tract's pixels."""
        return TractFrame(skymap=self.skymap, tract=self.id, bbox=self.bbox)

    @cached_property
    def projection(self) -> SkyProjection[TractFrame]:
        """Maps pixels of the tract to ICRS."""
        return SkyProjection.from_fits_wcs(self.grid.wcs, self.frame)

    @property
    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Right ascension and declination, degrees, of the outer corners of the corner pixels."""
        right, top = self.bbox.x.stop - 0.5, self.bbox.y.stop - 0.5
        return self.grid.positions_of(np.array([-0.5, right, right, -0.5]), np.array([-0.5, -0.5, top, top]))

    @cached_property
    def region(self) -> ConvexPolygon:
        """The tract on the sky."""
        return self.box_region(self.bbox)

    def box_region(self, box: Box) -> ConvexPolygon:
        """The part of the sky that a box of pixels covers, to the outer edges of its pixels."""
        return box_polygon(self.grid.wcs, box)

    def patch(self, index: SupportsIndex | tuple[SupportsIndex, SupportsIndex]) -> Patch:
        """The patch of a number or of a pair (ix, iy).

        Raises
        ------
        IndexError
            If the tract has no such patch.
        ValueError
            If ``index`` is neither a number nor a pair of them.
        """
        nx, _ = self.n_patches
        ix, iy = index_pair(index, self.n_patches, f"Tract {self.id} of {self.skymap!r}", "patches")
        dx, dy = self.patch_size
        inner = Box.from_shape((dy, dx), start=(iy * dy, ix * dx))
        return Patch(nx * iy + ix, ix, iy, inner, self.layout.outer_box(inner, self.bbox), self)

    def patches(self) -> Iterator[Patch]:
        """All patches in the order of their numbers."""
        return (self.patch(number) for number in range(len(self)))

    def pixels_of(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel positions (x, y) of positions in degrees; NaN where the projection does not reach."""
        return self.grid.pixels_of(ra, dec)

    def contains(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Whether the pixel nearest to each position is one of the tract's; shape of the positions."""
        return self.grid.covers(self.bbox, ra, dec)

    def patch_ids(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Number of the patch whose inner box holds each position, -1 outside the tract; shape of the positions."""
        inside = self.contains(ra, dec)
        x, y = self.pixels_of(ra, dec)
        dx, dy = self.patch_size
        column = np.floor(np.where(inside, x + 0.5, 0.0)).astype(np.int64) // dx
        row = np.floor(np.where(inside, y + 0.5, 0.0)).astype(np.int64) // dy
        return np.where(inside, row * self.n_patches[0] + column, -1)

    def find_patch(self, ra: float, dec: float) -> Patch:
        """The patch whose inner box holds a position in degrees.

        Raises
        ------
        LookupError
            If the position is not on the tract.
        """
        number = int(self.patch_ids(np.asarray(ra), np.asarray(dec)))
        if number < 0:
            raise LookupError(f"Position ({ra}, {dec}) is not on tract {self.id} of {self.skymap!r}.")
        return self.patch(number)

    def patch_ids_around(self, ra: np.ndarray, dec: np.ndarray, *, bent: bool = False) -> np.ndarray:
        """Numbers, sorted, of the patches that the outlines of frames may touch.

        They are those that meet the bounding box of an outline in pixels, grown by the patch border: a few more than
        overlap.  Corners that the projection does not reach are left out.

        Parameters
        ----------
        ra, dec
            Corners in degrees, ``[n, k]`` for n outlines, or ``[k]`` for one.
        bent
            Whether to allow for edges of patches that are great circles between their corners on the sky, and so no
            straight lines of pixels, as those of `Patch.region` are.
        """
        (nx, ny), size = self.n_patches, np.array(self.patch_size)
        pixels = np.stack([np.atleast_2d(p) for p in self.pixels_of(ra, dec)], axis=-1)
        pixels = pixels[np.isfinite(pixels).all(axis=-1).any(axis=-1)]
        touched = np.zeros((ny, nx), bool)
        edge = np.array([nx, ny]) * size - 1
        grown = self.patch_border + (_BEND * size.max() if bent else 0)
        low = np.maximum(np.ceil(np.nanmin(pixels, axis=1) - 0.5) - grown, 0)
        high = np.minimum(np.floor(np.nanmax(pixels, axis=1) + 0.5) + grown, edge)
        for first, last in zip(low[(low <= high).all(axis=1)], high[(low <= high).all(axis=1)], strict=True):
            x0, y0, x1, y1 = (int(number) for number in (*(first // size), *(last // size)))
            touched[y0 : y1 + 1, x0 : x1 + 1] = True
        return np.flatnonzero(touched)

    def patches_around(self, ra: np.ndarray, dec: np.ndarray) -> tuple[Patch, ...]:
        """The patches of `patch_ids_around`."""
        return tuple(self.patch(number) for number in self.patch_ids_around(ra, dec))

    def patches_overlapping(self, region: Region) -> tuple[Patch, ...]:
        """The patches whose outer boxes overlap a region of the sky."""
        circle = region.getBoundingCircle()
        centre, radius = circle.getCenter(), circle.getOpeningAngle().asDegrees()
        ra, dec = positions_of(np.array([centre.x(), centre.y(), centre.z()]))
        # Bearings 15 degrees apart fall short of the circle by 1 - cos(7.5 deg), less than 2 per cent.
        around = displaced(ra, dec, _BEARINGS, min(1.02 * radius + self.grid.pixel_scale / 3600.0, 180.0))
        whole = np.isfinite(self.pixels_of(*around)).all()
        numbers = self.patch_ids_around(*around, bent=True) if whole else range(len(self))
        patches = (self.patch(int(number)) for number in numbers)
        return tuple(patch for patch in patches if patch.region.overlaps(region) is not False)
