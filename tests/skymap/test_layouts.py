"""Clipped patches and patches of cells, and the numbers and pairs that name them."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import XY, Box

from skyloom.skymap import CellPatches, ClippedPatches, Tract
from skymap.whole_sky import coarse, discrete


@pytest.fixture(scope="module")
def clipped() -> Tract:
    return discrete(patch_size=(10000, 20000), patch_border=500).tract(4)


@pytest.fixture(scope="module")
def cells() -> Tract:
    return coarse(layout=CellPatches()).tract(13)


def test_outer_boxes_are_clipped_at_the_edges_of_the_tract(clipped: Tract) -> None:
    nx, ny = clipped.n_patches
    for patch in clipped.patches():
        box, inner = patch.outer_bbox, patch.inner_bbox
        assert (inner.x.start - box.x.start, box.x.stop - inner.x.stop) == (
            500 * (patch.ix > 0),
            500 * (patch.ix < nx - 1),
        )
        assert (inner.y.start - box.y.start, box.y.stop - inner.y.stop) == (
            500 * (patch.iy > 0),
            500 * (patch.iy < ny - 1),
        )
        assert patch.n_cells == (0, 0)
        assert list(patch.cells()) == []


def test_outer_boxes_of_cells_are_not_clipped(cells: Tract) -> None:
    first, last = cells.patch(0), cells.patch(len(cells) - 1)
    assert first.outer_bbox == Box.factory[-200:3200, -200:3200]
    assert (last.outer_bbox.x.size, last.outer_bbox.y.size) == (3400, 3400)
    assert last.outer_bbox.x.stop == cells.bbox.x.stop + 200
    assert (cells.patch_size, cells.patch_border) == ((3000, 3000), 200)


def test_cells_tile_a_patch_and_a_ring_around_it(cells: Tract) -> None:
    patch = cells.patch((2, 1))
    assert patch.n_cells == (22, 22)
    whole = patch.inner_bbox.padded(150)
    count = np.zeros(whole.shape, int)
    for number, cell in enumerate(patch.cells()):
        assert cell.id == number == 22 * cell.iy + cell.ix
        assert cell == patch.cell((cell.ix, cell.iy))
        assert cell.inner_bbox.shape == (150, 150)
        assert cell.outer_bbox == cell.inner_bbox.padded(50)
        assert patch.outer_bbox.contains(cell.outer_bbox)
        count[cell.inner_bbox.slice_within(whole)] += 1
        outside = min(cell.ix, cell.iy) == 0 or max(cell.ix, cell.iy) == 21
        assert patch.inner_bbox.contains(cell.inner_bbox) is not outside
    assert (count == 1).all()
    ring, inner = patch.cell((0, 5)).inner_bbox, patch.inner_bbox
    assert ring.x.stop == inner.x.start
    assert patch.cell((21, 5)).inner_bbox.x.start == inner.x.stop
    neighbour = cells.patch((3, 1))
    assert neighbour.cell((0, 5)).inner_bbox == patch.cell((20, 5)).inner_bbox


def test_any_kind_of_number_or_pair_names_a_patch(clipped: Tract) -> None:
    patch = clipped.patch(7)
    pair = (patch.ix, patch.iy)
    for index in (np.int64(7), np.uint8(7), pair, XY(x=pair[0], y=pair[1]), np.array(pair), list(pair)):
        assert clipped.patch(index) == patch
    assert clipped.patch(6) != patch
    with pytest.raises(ValueError, match="neither the number nor the pair"):
        clipped.patch((1, 2, 3))
    with pytest.raises(TypeError):
        clipped.patch((1.0, 2.0))
    nx, ny = clipped.n_patches
    for index in (-1, nx * ny, (nx, 0), (0, ny), (-1, 0)):
        with pytest.raises(IndexError, match=f"{nx} x {ny} patches"):
            clipped.patch(index)


def test_cells_that_are_not_there_are_refused(cells: Tract, clipped: Tract) -> None:
    for index in (-1, 484, (22, 0), (0, -1)):
        with pytest.raises(IndexError, match="22 x 22 cells"):
            cells.patch(0).cell(index)
    for index in (0, (0, 0)):
        with pytest.raises(IndexError, match="0 x 0 cells"):
            clipped.patch(0).cell(index)


def test_patches_of_an_older_tract_stay_as_they_were() -> None:
    skymap = discrete(tracts=[{"ra": 10, "dec": 0, "radius": 0.5}, {"ra": 20, "dec": 0, "radius": 2.0}])
    first = skymap.tract(0)
    before = first.patch(9)
    assert skymap.tract(1).n_patches[0] > first.n_patches[0]
    assert first.patch(9) == before
    assert (before.ix, before.iy) == (9 % first.n_patches[0], 9 // first.n_patches[0])


def test_one_number_is_a_square() -> None:
    assert ClippedPatches(size=700).size == (700, 700)
