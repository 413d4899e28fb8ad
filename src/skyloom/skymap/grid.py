"""`TractGrid`: the pixels of a tract on the sky."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from astropy.io.fits import Header
from astropy.wcs import WCS
from lsst.images import Box

__all__ = ["PROJECTIONS", "TractGrid"]

PROJECTIONS = ("TAN", "STG", "SIN", "ARC", "ZEA", "AIR", "CEA", "CYP", "MER", "SFL", "PAR", "MOL", "AIT")
"""The FITS projections of one piece that need no parameters, on which AST and WCSLIB agree."""


@dataclass(frozen=True, kw_only=True)
class TractGrid:
    """A linear grid of square pixels on a projection of the sky; unrotated, x runs to the west and y to the north."""

    ra: float
    dec: float
    """The fiducial point of the projection in degrees (ICRS)."""
    pixel_scale: float
    """Arcseconds a pixel at the fiducial point."""
    projection: str = "TAN"
    """Code of the projection in FITS headers."""
    rotation: float = 0.0
    """Angle of the grid, degrees."""
    origin: tuple[int, int] = (0, 0)
    """Pixel (x, y) of the fiducial point."""

    @property
    def cd(self) -> np.ndarray:
        """The CD matrix, degrees a pixel."""
        c, s = np.cos(np.radians(self.rotation)), np.sin(np.radians(self.rotation))
        matrix: np.ndarray = self.pixel_scale / 3600.0 * np.array([[-c, s], [s, c]])
        return matrix

    @property
    def axes(self) -> tuple[str, str]:
        """The CTYPEs."""
        return f"RA---{self.projection}", f"DEC--{self.projection}"

    def shifted(self, origin: tuple[int, int]) -> TractGrid:
        """The same grid counted so that the fiducial point is in the pixel ``origin`` (x, y)."""
        return replace(self, origin=origin)

    def header(self, x0: int = 0, y0: int = 0) -> Header:
        """The FITS header of an image whose first pixel is (x0, y0)."""
        header = Header()
        header["CTYPE1"], header["CTYPE2"] = self.axes
        header["CUNIT1"], header["CUNIT2"] = "deg", "deg"
        header["CRVAL1"], header["CRVAL2"] = self.ra, self.dec
        header["CRPIX1"], header["CRPIX2"] = self.origin[0] - x0 + 1.0, self.origin[1] - y0 + 1.0
        for (row, column), value in np.ndenumerate(self.cd):
            header[f"CD{row + 1}_{column + 1}"] = float(value)
        header["RADESYS"] = "ICRS"
        return header

    @cached_property
    def wcs(self) -> WCS:
        """The same as `header` says, made without one, which takes a tenth of the time."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.cunit = self.axes, ("deg", "deg")
        wcs.wcs.crval = self.ra, self.dec
        wcs.wcs.crpix = self.origin[0] + 1.0, self.origin[1] + 1.0
        wcs.wcs.cd, wcs.wcs.radesys = self.cd, "ICRS"
        wcs.wcs.set()
        return wcs

    def pixels_of(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel positions (x, y) of positions in degrees; NaN where the projection does not reach."""
        x, y = self.wcs.wcs_world2pix(np.asarray(ra, float), np.asarray(dec, float), 0)
        return x, y

    def positions_of(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Right ascension and declination in degrees of pixel positions."""
        ra, dec = self.wcs.wcs_pix2world(np.asarray(x, float), np.asarray(y, float), 0)
        return ra, dec

    def whole_patches_around(
        self, ra: np.ndarray, dec: np.ndarray, patch_size: tuple[int, int]
    ) -> tuple[TractGrid, tuple[int, int]]:
        """The grid counted from the lower left corner of the fewest whole patches that hold some positions.

        The pixels left over are shared out to both sides, an odd one going to the upper or right one.

        Returns
        -------
        grid, n_patches
            The grid of which pixel (0, 0) is the lower left one, and the number of patches along x and y.

        Raises
        ------
        ValueError
            If the projection does not reach all positions.
        """
        pixels = np.stack(self.pixels_of(ra, dec))
        if not np.isfinite(pixels).all():
            raise ValueError(f"A tract about ({self.ra}, {self.dec}) is too wide for the projection {self.projection}.")
        low, high = np.ceil(pixels.min(axis=1) - 0.5).astype(int), np.floor(pixels.max(axis=1) + 0.5).astype(int)
        size = high - low + 1
        count = -(-size // np.array(patch_size))
        low -= (count * patch_size - size) // 2
        nx, ny = (int(n) for n in count)
        return self.shifted((self.origin[0] - int(low[0]), self.origin[1] - int(low[1]))), (nx, ny)

    def covers(self, box: Box, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Whether the pixel nearest to each position is in a box; shape of the positions."""
        x, y = self.pixels_of(ra, dec)
        with np.errstate(invalid="ignore"):
            inside: np.ndarray = (
                (x >= box.x.start - 0.5) & (x < box.x.stop - 0.5) & (y >= box.y.start - 0.5) & (y < box.y.stop - 0.5)
            )
        return inside
