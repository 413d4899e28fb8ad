"""`Patch` and `Cell`: the rectangles that divide the pixels of a tract."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np
from lsst.images import Box
from lsst.sphgeom import ConvexPolygon

if TYPE_CHECKING:
    from .tract import Tract

__all__ = ["Cell", "Patch", "index_pair"]


@dataclass(frozen=True)
class Cell:
    """A small rectangle of a patch; the outer boxes of neighbours overlap."""

    id: int
    """Number within the patch, row by row."""
    ix: int
    iy: int
    inner_bbox: Box
    outer_bbox: Box


@dataclass(frozen=True)
class Patch:
    """A rectangle of a tract's pixels; coadds fill its outer box, and the inner boxes tile the tract.

    Patches are equal if their numbers and boxes are.
    """

    id: int
    """Number within the tract, row by row: ``id = nx * iy + ix``."""
    ix: int
    iy: int
    inner_bbox: Box
    outer_bbox: Box
    """The inner box grown by the border, as the layout of the sky map does it."""
    tract: Tract = field(compare=False, repr=False)

    @cached_property
    def region(self) -> ConvexPolygon:
        """The outer box on the sky."""
        return self.tract.box_region(self.outer_bbox)

    @cached_property
    def inner_region(self) -> ConvexPolygon:
        """The inner box on the sky."""
        return self.tract.box_region(self.inner_bbox)

    @property
    def n_cells(self) -> tuple[int, int]:
        """Number of cells along x and y, (0, 0) where the layout has none."""
        return (self.tract.layout.n_cells,) * 2

    def cell(self, index: SupportsIndex | tuple[SupportsIndex, SupportsIndex]) -> Cell:
        """The cell of a number or of a pair (ix, iy), counted from the lower left one of the border.

        Raises
        ------
        IndexError
            If the patch has no such cell.
        ValueError
            If ``index`` is neither a number nor a pair of them.
        """
        layout = self.tract.layout
        ix, iy = index_pair(index, self.n_cells, f"Patch {self.id}", "cells")
        return Cell(layout.n_cells * iy + ix, ix, iy, *layout.cell_boxes(self.inner_bbox, ix, iy))

    def cells(self) -> Iterator[Cell]:
        """All cells in the order of their numbers."""
        nx, ny = self.n_cells
        return (self.cell(number) for number in range(nx * ny))


def index_pair(
    index: SupportsIndex | tuple[SupportsIndex, SupportsIndex], count: tuple[int, int], whole: str, parts: str
) -> tuple[int, int]:
    """The pair (ix, iy) of a number, counted row by row, or of a pair.

    Raises
    ------
    IndexError
        If it is none of the ``count`` (x, y) ``parts`` of the ``whole``.
    ValueError
        If ``index`` is neither a number nor a pair of them.
    """
    nx, ny = count
    if isinstance(index, SupportsIndex) and not isinstance(index, np.ndarray):
        ix, iy = (operator.index(index) % nx, operator.index(index) // nx) if nx else (-1, -1)
    elif len(index) == 2:
        ix, iy = (operator.index(number) for number in index)
    else:
        raise ValueError(f"{index!r} is neither the number nor the pair (ix, iy) of one of the {parts}.")
    if not (0 <= ix < nx and 0 <= iy < ny):
        raise IndexError(f"{whole} has {nx} x {ny} {parts}; {index} is not one of them.")
    return ix, iy
