"""`Tract` and `Patch`: one tangent plane, and the rectangles that divide its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.io.fits import Header
from astropy.wcs import WCS
from lsst.images import Box, SkyProjection, TractFrame
from lsst.sphgeom import ConvexPolygon

from .polygons import convex_polygon

__all__ = ["Patch", "Tract"]


@dataclass(frozen=True)
class Patch:
    """A rectangle of a tract's pixels; coadds fill its outer box, and the inner boxes tile the tract."""

    id: int
    """Number within the tract, row by row: ``id = nx * iy + ix``."""
    ix: int
    iy: int
    inner_bbox: Box
    outer_bbox: Box
    """The inner box grown by the border and clipped to the tract."""
    region: ConvexPolygon
    """The outer box on the sky."""


@dataclass(frozen=True)
class Tract:
    """A tangent-plane (TAN) pixel grid that encloses a circle on the sky, divided into patches.

    The circle's radius plus the overlap is half the side of a square, which is rounded up to whole patches; pixel
    (0, 0) is the lower left one, and with no rotation x runs to the west and y to the north.
    """

    skymap: str
    id: int
    ra: float
    dec: float
    """The tangent point in degrees (ICRS)."""
    half_size: float
    """Radius plus overlap, degrees."""
    pixel_scale: float
    """Arcseconds a pixel at the tangent point."""
    rotation: float
    """Angle of the pixel grid, degrees."""
    patch_size: tuple[int, int]
    """Inner size of a patch (x, y), pixels."""
    patch_border: int

    @cached_property
    def _layout(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Number of patches (x, y), and the tangent point's pixel (x, y)."""
        reach = np.degrees(np.tan(np.radians(self.half_size)))
        bearing = np.radians([0.0, 90.0, 180.0, 270.0])
        standard = reach * np.stack([np.cos(bearing), np.sin(bearing)])
        pixels = np.linalg.solve(self._cd, standard)
        low = np.ceil(pixels.min(axis=1) - 0.5).astype(int)
        high = np.floor(pixels.max(axis=1) + 0.5).astype(int)
        size = high - low + 1
        inner = np.array(self.patch_size)
        count = -(-size // inner)
        low -= (count * inner - size) // 2
        return (int(count[0]), int(count[1])), (int(-low[0]), int(-low[1]))

    @property
    def _cd(self) -> np.ndarray:
        """The CD matrix, degrees a pixel."""
        c, s = np.cos(np.radians(self.rotation)), np.sin(np.radians(self.rotation))
        matrix: np.ndarray = self.pixel_scale / 3600.0 * np.array([[-c, s], [s, c]])
        return matrix

    @property
    def n_patches(self) -> tuple[int, int]:
        """Number of patches along x and y."""
        return self._layout[0]

    def __len__(self) -> int:
        nx, ny = self.n_patches
        return nx * ny

    @cached_property
    def bbox(self) -> Box:
        """All pixels of the tract."""
        (nx, ny), (dx, dy) = self.n_patches, self.patch_size
        return Box.from_shape((ny * dy, nx * dx))

    def wcs_header(self, box: Box | None = None) -> Header:
        """The plain TAN header of an image that covers ``box`` (default: the whole tract)."""
        x0, y0 = (0, 0) if box is None else (box.x.start, box.y.start)
        tangent_x, tangent_y = self._layout[1]
        cd = self._cd
        header = Header()
        header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
        header["CUNIT1"], header["CUNIT2"] = "deg", "deg"
        header["CRVAL1"], header["CRVAL2"] = self.ra, self.dec
        header["CRPIX1"], header["CRPIX2"] = tangent_x - x0 + 1.0, tangent_y - y0 + 1.0
        for row in (0, 1):
            for column in (0, 1):
                header[f"CD{row + 1}_{column + 1}"] = cd[row, column]
        header["RADESYS"] = "ICRS"
        return header

    @cached_property
    def _wcs(self) -> WCS:
        return WCS(self.wcs_header())

    @cached_property
    def frame(self) -> TractFrame:
        """The frame of the tract's pixels."""
        return TractFrame(skymap=self.skymap, tract=self.id, bbox=self.bbox)

    @cached_property
    def projection(self) -> SkyProjection[TractFrame]:
        """Maps pixels of the tract to ICRS."""
        return SkyProjection.from_fits_wcs(self._wcs, self.frame)

    @cached_property
    def region(self) -> ConvexPolygon:
        """The tract on the sky."""
        return self.box_region(self.bbox)

    def box_region(self, box: Box) -> ConvexPolygon:
        """The part of the sky that a box of pixels covers, to the outer edges of its pixels."""
        x = np.array([box.x.start, box.x.stop, box.x.stop, box.x.start]) - 0.5
        y = np.array([box.y.start, box.y.start, box.y.stop, box.y.stop]) - 0.5
        return convex_polygon(*self._wcs.wcs_pix2world(x, y, 0))

    def patch(self, index: int | tuple[int, int]) -> Patch:
        """The patch of a number or of a pair (ix, iy).

        Raises
        ------
        IndexError
            If the tract has no such patch.
        """
        nx, ny = self.n_patches
        ix, iy = index if isinstance(index, tuple) else (int(index) % nx, int(index) // nx)
        if not (0 <= ix < nx and 0 <= iy < ny):
            raise IndexError(f"Tract {self.id} of {self.skymap!r} has {nx} x {ny} patches; {index} is not one of them.")
        dx, dy = self.patch_size
        inner = Box.from_shape((dy, dx), start=(iy * dy, ix * dx))
        outer = inner.padded(self.patch_border).intersection(self.bbox)
        return Patch(nx * iy + ix, ix, iy, inner, outer, self.box_region(outer))

    def patches(self) -> Iterator[Patch]:
        """All patches in the order of their numbers."""
        return (self.patch(number) for number in range(len(self)))

    def pixels_of(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel positions (x, y) of positions in degrees; NaN on the far side of the sphere."""
        x, y = self._wcs.wcs_world2pix(np.asarray(ra, float), np.asarray(dec, float), 0)
        behind = self._cosine_from_centre(ra, dec) <= 0.0
        return np.where(behind, np.nan, x), np.where(behind, np.nan, y)

    def _cosine_from_centre(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        d0, d = np.radians(self.dec), np.radians(np.asarray(dec, float))
        cosine: np.ndarray = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(
            np.radians(np.asarray(ra, float) - self.ra)
        )
        return cosine

    def contains(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Whether the pixel nearest to each position is one of the tract's; shape of the positions."""
        x, y = self.pixels_of(ra, dec)
        box = self.bbox
        with np.errstate(invalid="ignore"):
            inside: np.ndarray = (x >= -0.5) & (x < box.x.stop - 0.5) & (y >= -0.5) & (y < box.y.stop - 0.5)
        return inside

    def patch_ids(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Number of the patch whose inner box holds each position, -1 outside the tract; shape of the positions."""
        inside = self.contains(ra, dec)
        x, y = self.pixels_of(ra, dec)
        dx, dy = self.patch_size
        column = np.floor(np.where(inside, x + 0.5, 0.0)).astype(np.int64) // dx
        row = np.floor(np.where(inside, y + 0.5, 0.0)).astype(np.int64) // dy
        return np.where(inside, row * self.n_patches[0] + column, -1)
