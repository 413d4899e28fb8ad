"""How tracts are made: around a centre with a size of its own, or around given corners."""

from __future__ import annotations

import numpy as np
from lsst.sphgeom import Region

from .grid import TractGrid
from .layout import CellPatches, ClippedPatches
from .polygons import convex_polygon, displaced
from .tract import Tract

__all__ = ["explicit_tract", "implicit_tract"]


def explicit_tract(
    skymap: str,
    number: int,
    grid: TractGrid,
    layout: ClippedPatches | CellPatches,
    half_size: float,
    inner_region: Region | None = None,
) -> Tract:
    """The tract of whole patches that reaches a distance (degrees) from its centre along both axes of the sky.

    It stands for ``inner_region``, or for all of its pixels.

    Raises
    ------
    ValueError
        If the projection does not reach that far.
    """
    grid, n_patches = grid.whole_patches_around(
        *displaced(np.array(grid.ra), np.array(grid.dec), np.array([0.0, 90.0, 180.0, 270.0]), half_size), layout.size
    )
    # By a thousandth of a pixel within the edges, so that each corner is found on the tract.
    right, top = (n * size - 0.5 - 0.001 for n, size in zip(n_patches, layout.size, strict=True))
    left = bottom = -0.5 + 0.001
    corners = grid.positions_of(np.array([left, right, right, left]), np.array([bottom, bottom, top, top]))
    return Tract(
        skymap=skymap,
        id=number,
        ra=grid.ra,
        dec=grid.dec,
        grid=grid,
        n_patches=n_patches,
        layout=layout,
        vertices=np.stack(corners, axis=-1),
        inner_region=convex_polygon(*corners) if inner_region is None else inner_region,
    )


def implicit_tract(
    skymap: str,
    number: int,
    centre: tuple[float, float],
    grid: TractGrid,
    layout: ClippedPatches | CellPatches,
    vertices: np.ndarray,
    overlap: float,
) -> Tract:
    """The tract of whole patches that holds the corners of a part of the sky, and half the overlap around each.

    The neighbour adds the other half.  Angles are in degrees, ``vertices`` as in `Tract`.

    Raises
    ------
    ValueError
        If the projection does not reach that far.
    """
    held_ra, held_dec = vertices.T
    if overlap > 0.0:
        around = displaced(held_ra, held_dec, np.arange(0.0, 360.0, 15.0), overlap / 2.0)
        held_ra, held_dec = (np.ravel(angle) for angle in around)
    grid, n_patches = grid.whole_patches_around(held_ra, held_dec, layout.size)
    return Tract(
        skymap=skymap,
        id=number,
        ra=centre[0],
        dec=centre[1],
        grid=grid,
        n_patches=n_patches,
        layout=layout,
        vertices=vertices,
        inner_region=convex_polygon(vertices[:, 0], vertices[:, 1]),
    )
