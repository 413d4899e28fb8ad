"""How the pixels of a tract are divided: patches clipped to the tract, or patches of cells."""

from __future__ import annotations

import struct
from typing import Annotated, Any, Literal

import pydantic
from lsst.images import Box

__all__ = ["CellPatches", "ClippedPatches", "PatchLayout"]


class ClippedPatches(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Patches whose outer boxes end at the edge of the tract."""

    kind: Literal["clipped"] = "clipped"
    size: tuple[int, int] = (4000, 4000)
    """Inner size of a patch (x, y), pixels; one number gives a square."""
    border: int = pydantic.Field(default=100, ge=0)
    """Pixels by which the outer box exceeds the inner one on each side."""

    @pydantic.field_validator("size", mode="before")
    @classmethod
    def _one_number_is_a_square(cls, size: Any) -> Any:
        return (size, size) if isinstance(size, int) else size

    @pydantic.field_validator("size")
    @classmethod
    def _sizes_are_positive(cls, size: tuple[int, int]) -> tuple[int, int]:
        if min(size) <= 0:
            raise ValueError(f"A patch of {size[0]} x {size[1]} pixels is empty.")
        return size

    def outer_box(self, inner: Box, tract: Box) -> Box:
        """The outer box of the patch with an inner box."""
        return inner.padded(self.border).intersection(tract)

    @property
    def n_cells(self) -> int:
        """Cells along each side of a patch: none."""
        return 0

    def cell_boxes(self, patch_inner: Box, ix: int, iy: int) -> tuple[Box, Box]:
        """Raise IndexError, for there are no cells."""
        raise IndexError("These patches have no cells; a layout of the kind 'cells' has.")

    def identity(self) -> bytes:
        """What the layout puts into the digest of a sky map."""
        return struct.pack("<iii", *self.size, self.border)


class CellPatches(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Patches of square cells, with a ring of cells around each; outer boxes are all of one size, clipped nowhere."""

    kind: Literal["cells"] = "cells"
    cell_size: int = pydantic.Field(default=150, gt=0)
    """Inner side of a cell, pixels."""
    cell_border: int = pydantic.Field(default=50, ge=0)
    """Pixels by which the outer box of a cell exceeds the inner one on each side."""
    cells_per_patch: int = pydantic.Field(default=20, gt=0)
    """Cells along each side of a patch's inner box."""
    border_cells: int = pydantic.Field(default=1, ge=0)
    """Rings of cells around the inner box."""

    @property
    def size(self) -> tuple[int, int]:
        """Inner size of a patch (x, y), pixels."""
        return (self.cells_per_patch * self.cell_size,) * 2

    @property
    def border(self) -> int:
        """Pixels by which the outer box of a patch exceeds the inner one on each side."""
        return self.border_cells * self.cell_size + self.cell_border

    def outer_box(self, inner: Box, tract: Box) -> Box:
        """The outer box of the patch with an inner box; at the edge of the tract it reaches beyond it."""
        return inner.padded(self.border)

    @property
    def n_cells(self) -> int:
        """Cells along each side of a patch, with those of the border."""
        return self.cells_per_patch + 2 * self.border_cells

    def cell_boxes(self, patch_inner: Box, ix: int, iy: int) -> tuple[Box, Box]:
        """Inner and outer box of the cell (ix, iy), counted from the lower left one of the border."""
        start = [
            edge + (index - self.border_cells) * self.cell_size
            for edge, index in ((patch_inner.y.start, iy), (patch_inner.x.start, ix))
        ]
        inner = Box.from_shape((self.cell_size,) * 2, start=start)
        return inner, inner.padded(self.cell_border)

    def identity(self) -> bytes:
        """What the layout puts into the digest of a sky map."""
        cell = (self.cell_size, self.cell_size, self.cell_border)
        return struct.pack("<iiiii", *cell, self.cells_per_patch, self.border_cells)


type PatchLayout = Annotated[ClippedPatches | CellPatches, pydantic.Field(discriminator="kind")]
"""Either of them; their ``kind`` tells which."""
