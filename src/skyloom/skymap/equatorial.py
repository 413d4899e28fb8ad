"""`EquatorialSkyMap`: slices of equal right ascension of a band along the equator."""

from __future__ import annotations

import struct
from typing import Literal, Self, override

import numpy as np
import pydantic

from .base import SkyMap
from .build import implicit_tract
from .grid import PROJECTIONS
from .tract import Tract

__all__ = ["EquatorialSkyMap"]


class EquatorialSkyMap(SkyMap, frozen=True):
    """A band of declination, cut into tracts of equal right ascension, the first of which begins at 0.

    The projection of each tract is centred on the equator, whatever the band, so that rows of pixels of a cylindrical
    projection have constant declination.
    """

    kind: Literal["equatorial"] = "equatorial"
    num_tracts: int = pydantic.Field(default=4, ge=3)
    """Fewer than three would each span half of the sky."""
    dec_range: tuple[float, float] = (-1.25, 1.25)
    """Lower and upper declination, degrees."""
    projection: Literal[PROJECTIONS] = "CEA"  # type: ignore[valid-type]

    @pydantic.model_validator(mode="after")
    def _band_is_upright(self) -> Self:
        low, high = self.dec_range
        if not -90.0 < low < high < 90.0:
            raise ValueError(f"The band from {low} to {high} degrees is empty or reaches a pole.")
        return self

    @property
    @override
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        ra = (np.arange(self.num_tracts) + 0.5) * (360.0 / self.num_tracts)
        return ra, np.full(self.num_tracts, np.mean(self.dec_range))

    @override
    def _make(self, number: int) -> Tract:
        width = 360.0 / self.num_tracts
        west, east = number * width, (number + 1) * width % 360.0
        low, high = self.dec_range
        vertices = np.array([[west, low], [east, low], [east, high], [west, high]])
        centre = ((number + 0.5) * width, (low + high) / 2.0)
        grid = self._grid(centre[0], 0.0)
        return implicit_tract(self.name, number, centre, grid, self.layout, vertices, self.tract_overlap)

    @override
    def _identity(self) -> tuple[str, bytes]:
        return "EquatSkyMap", struct.pack("<i2d", self.num_tracts, *self.dec_range)
