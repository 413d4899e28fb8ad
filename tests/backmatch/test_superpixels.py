"""Superpixels of a tract: their places, what they hold, how parts are added, what counts once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from lsst.images import Box

from backmatch.tract_visits import BIN, Visit, flat, grid, make_warp, patch_warp, places, sky_map, warps_of
from skyloom.backmatch import (
    BinStatistic,
    CellSums,
    Planes,
    SuperpixelGrid,
    TractModelSettings,
    by_visit,
    counted_box,
    measure_visits,
)
from skyloom.errors import BadFrameError
from skyloom.images import bitmask

MODEL = TractModelSettings(x_bin=BIN, y_bin=BIN)


def planes(image: np.ndarray, *, x0: int = 0, y0: int = 0, bits: np.ndarray | None = None) -> Planes:
    return Planes(
        box=Box.from_shape(image.shape, start=(y0, x0)),
        image=image.astype(np.float32),
        bits=np.zeros(image.shape, np.int32) if bits is None else bits,
        variance=np.ones(image.shape, np.float32),
    )


def summed(grid: SuperpixelGrid, *parts: Planes) -> CellSums:
    sums = CellSums(grid)
    for part in parts:
        sums.add(part, MODEL.mask, BinStatistic())
    return sums


def test_superpixels_are_two_pitches_wide_and_one_apart() -> None:
    one = SuperpixelGrid(Box.from_shape((300, 520)), 128, 100.0)
    assert one.shape == (3, 4)
    assert one.x.tolist() == [63.5, 191.5, 319.5, 447.5]
    assert one.y.tolist() == [49.5, 149.5, 249.5]
    assert one.x_edges.tolist() == [-64, 64, 192, 320, 448, 576]
    assert SuperpixelGrid(Box.from_shape((50, 50)), 128, 128).shape == (1, 1)
    odd = SuperpixelGrid(Box.from_shape((100, 100)), 33.0, 10.5)
    assert odd.x_edges.tolist() == [-16, 17, 50, 83, 116]
    assert odd.y_edges[:4].tolist() == [-5, 5, 16, 26]


def test_means_of_a_plane_lie_on_it_wherever_pixels_are_missing() -> None:
    box = Box.from_shape((512, 640))
    x, y = places(box)
    image = 1000.0 + 0.3 * x - 0.2 * y
    image[100:260, 300:390] = np.nan  # a gap that cuts superpixels
    image[:, :17] = np.nan
    one = SuperpixelGrid(box, 64, 64)
    sums = summed(one, planes(image))
    known = sums.measured(0.1)
    truth = 1000.0 + 0.3 * one.x - 0.2 * one.y[:, np.newaxis]
    assert known.sum() > 0.95 * known.size
    np.testing.assert_allclose(sums.centred(known)[known], truth[known], rtol=2e-7)
    assert np.abs(sums.superpixels.value - truth)[known].max() > 1.0  # plain means do not
    assert np.isnan(sums.centred(known)[~known]).all()


def test_a_single_superpixel_keeps_its_mean() -> None:
    one = SuperpixelGrid(Box.from_shape((512, 512)), 64, 64)
    sums = summed(one, planes(np.full((30, 30), 5.0), x0=200, y0=200))
    known = sums.measured(0.2)
    assert 0 < known.sum() <= 4
    np.testing.assert_allclose(sums.centred(known)[known], 5.0)


@pytest.mark.parametrize(("share", "is_measured"), [(0.09, False), (0.11, True)])
def test_least_share_of_a_pitch_squared(share: float, is_measured: bool) -> None:
    one = SuperpixelGrid(Box.from_shape((800, 800)), 100, 100)
    image = np.full((800, 800), np.nan)
    n = round(share * 100 * 100)
    image[340 : 340 + n // 20, 330:350] = 1.0  # within superpixel 3
    sums = summed(one, planes(image))
    assert sums.superpixels.count[3, 3] == n
    assert sums.measured(0.1)[3, 3] == is_measured


@pytest.mark.parametrize("name", ["BAD", "SAT", "EDGE", "NO_DATA"])
def test_masked_values_do_not_matter(name: str) -> None:
    image, bits = np.full((512, 512), 3.0), np.zeros((512, 512), np.int32)
    image[70:90, 30:400], bits[70:90, 30:400] = 1e9, bitmask(name)
    bits[200:300, 200:300] = bitmask("DETECTED")
    image[200:300, 200:300] = 3.5
    sums = summed(SuperpixelGrid(Box.from_shape((512, 512)), 64, 64), planes(image, bits=bits))
    value = sums.superpixels.value
    assert value[0].max() == pytest.approx(3.0)
    assert value[3, 3] > 3.1  # detected pixels count


def test_parts_give_the_same_in_any_order_and_after_pickling() -> None:
    rng = np.random.default_rng(2)
    one = SuperpixelGrid(Box.from_shape((512, 512)), 64, 64)
    parts = [summed(one, planes(rng.normal(1e4, 9.0, (256, 256)), x0=x, y0=y)) for x in (0, 256) for y in (0, 256)]
    forth, back = CellSums(one), CellSums(one)
    for part in parts:
        forth += part
    for part in reversed(parts):
        back += pickle.loads(pickle.dumps(part))
    np.testing.assert_allclose(forth.sums, back.sums, rtol=1e-14)
    assert forth.superpixels.count.sum() == 4 * parts[0].superpixels.count.sum()


def test_other_superpixels_cannot_be_added() -> None:
    box = Box.from_shape((512, 512))
    sums = CellSums(SuperpixelGrid(box, 64, 64))
    with pytest.raises(BadFrameError, match="cannot be added"):
        sums += CellSums(SuperpixelGrid(box, 64, 32))
    with pytest.raises(ValueError, match="Sums of shape"):
        CellSums(SuperpixelGrid(box, 64, 64), np.zeros((6, 8, 8)))


def test_pixels_outside_of_all_superpixels_are_left_out() -> None:
    one = SuperpixelGrid(Box.from_shape((250, 250)), 100, 100)
    sums = summed(one, planes(np.ones((20, 20)), x0=-300, y0=10), planes(np.ones((40, 40)), x0=230, y0=230))
    assert sums.cells.count.sum() == 20 * 20
    assert np.isfinite(sums.cells.value).sum() == 1


def test_pixels_of_overlapping_patches_count_once() -> None:
    tract = sky_map().tract(0)
    visit = Visit(number=1, sky=flat(5.0))
    parts = [patch_warp(*one) for one in warps_of([visit], tract)]
    found = measure_visits(by_visit(parts), grid(tract), MODEL, BinStatistic())[1]
    assert found.cells.count.sum() == tract.bbox.area
    fewer = measure_visits(by_visit(parts[:3]), grid(tract), MODEL, BinStatistic())[1]
    corner = 48**2  # reached by the borders of two patches that are no neighbours
    assert fewer.cells.count.sum() == tract.bbox.area - (512 - 48) ** 2 + corner


def test_border_counts_where_there_is_no_neighbour() -> None:
    tract = sky_map().tract(0)
    patch = tract.patch(0)
    box = make_warp(Visit(number=1, sky=flat(0.0)), patch).bbox
    assert counted_box(patch, {0, 1, 2, 3}, box) == patch.inner_bbox
    assert counted_box(patch, {0, 3}, box) == patch.outer_bbox
    assert counted_box(patch, {0, 1}, box) == Box.factory[0:560, 0:512]
    assert counted_box(patch, {0, 1}, Box.factory[0:560, 520:560]) is None


def test_cell_full_of_wild_values_hardly_counts() -> None:
    rng = np.random.default_rng(4)
    image = 50.0 + rng.standard_normal((512, 512))
    image[96:160, 96:160] = rng.uniform(0.0, 1000.0, (64, 64))  # one of the four cells of a superpixel
    one = SuperpixelGrid(Box.from_shape((512, 512)), 64, 64)
    sums = summed(one, planes(image))
    known = sums.measured(0.1)
    assert known.all()
    np.testing.assert_allclose(sums.centred(known), 50.0, atol=0.1)
    assert sums.cells.value[2, 2] > 200.0
    assert sums.superpixels.scatter[1, 1] > 1e4  # and the figures tell
