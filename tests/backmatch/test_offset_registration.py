"""Superpixels drawn on the pixels of warps: places, curves, patches at edges and corners."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box
from numpy.testing import assert_allclose
from scipy.interpolate import Akima1DInterpolator

from backmatch.tract_visits import places, sky_map
from skyloom.background import render_field
from skyloom.backmatch import SuperpixelGrid, offset_field, possible_style, sample_surface
from skyloom.errors import BadFrameError

CURVES = ("LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE")
MAP = sky_map((400, 300), 40, 1200)
TRACT = MAP.tract(0)


def ramp_on(grid: SuperpixelGrid) -> np.ndarray:
    return 3.0 + 0.02 * grid.x - 0.01 * grid.y[:, np.newaxis]


@pytest.mark.parametrize("style", CURVES)
@pytest.mark.parametrize("pitch", [(128.0, 128.0), (100.0, 61.5)])
@pytest.mark.parametrize("place", [(0, 0), (1, 0), (0, 1), (1, 1), (2, 3), (1, 2)])
def test_ramp_on_every_kind_of_patch(style: str, pitch: tuple[float, float], place: tuple[int, int]) -> None:
    grid = SuperpixelGrid(TRACT.bbox, *pitch)
    box = TRACT.patch(place).outer_bbox
    x, y = places(box)
    pixels = render_field(offset_field(grid, ramp_on(grid), box, 64, style), box)
    assert np.abs(pixels - (3.0 + 0.02 * x - 0.01 * y)).max() < 1e-4 * 0.03 * 1200
    assert_allclose(pixels, 3.0 + 0.02 * x - 0.01 * y, rtol=1e-6, atol=1e-6 * 24)


def test_warp_that_is_trimmed_and_reaches_beyond_the_tract() -> None:
    grid = SuperpixelGrid(TRACT.bbox, 128, 128)
    for box in (Box.factory[-40:17, 333:341], Box.factory[1150:1240, 1100:1250]):
        x, y = places(box)
        pixels = render_field(offset_field(grid, ramp_on(grid), box, 64, "AKIMA_SPLINE"), box)
        assert_allclose(pixels, 3.0 + 0.02 * x - 0.01 * y, rtol=1e-5)


def test_impulse_is_at_the_centre_of_its_superpixel() -> None:
    grid = SuperpixelGrid(TRACT.bbox, 100, 100)
    values = np.zeros(grid.shape)
    values[4, 5] = 1.0
    box = TRACT.bbox
    pixels = render_field(offset_field(grid, values, box, 10, "AKIMA_SPLINE"), box).astype(float)
    x, y = places(box)
    assert np.sum(x * pixels) / pixels.sum() == pytest.approx(549.5, abs=0.05)
    assert np.sum(y * pixels) / pixels.sum() == pytest.approx(449.5, abs=0.05)
    assert pixels[449, 549] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("style", ["CONSTANT", *CURVES])
def test_curves_pass_through_the_superpixels(style: str) -> None:
    grid = SuperpixelGrid(TRACT.bbox, 64, 64)
    values = np.random.default_rng(1).standard_normal(grid.shape)
    assert_allclose(sample_surface(grid, values, grid.y, grid.x, style), values, atol=1e-12)


def test_akima_is_that_of_akima_between_the_superpixels() -> None:
    grid = SuperpixelGrid(TRACT.bbox, 64, 64)
    values = np.random.default_rng(1).standard_normal(grid.shape)
    x = np.linspace(grid.x[0], grid.x[-1], 77)
    expected = Akima1DInterpolator(grid.x, values, axis=1)(x)
    assert_allclose(sample_surface(grid, values, grid.y, x, "AKIMA_SPLINE"), expected, atol=1e-12)


def test_overlapping_patches_get_the_same_offsets() -> None:
    grid = SuperpixelGrid(TRACT.bbox, 64, 64)
    values = np.random.default_rng(1).standard_normal(grid.shape)
    boxes = [TRACT.patch((ix, 1)).outer_bbox for ix in (0, 1)]
    shared = boxes[0].intersection(boxes[1])
    first, second = (
        render_field(offset_field(grid, values, box, 64, "AKIMA_SPLINE"), box)[shared.slice_within(box)]
        for box in boxes
    )
    assert_allclose(first, second, atol=2e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (3, 4)])
@pytest.mark.parametrize("style", ["CONSTANT", *CURVES])
def test_curves_through_few_superpixels_keep_planes(style: str, shape: tuple[int, int]) -> None:
    grid = SuperpixelGrid(Box.from_shape((64 * shape[0], 64 * shape[1])), 64, 64)
    drawn = possible_style(style, grid.shape, reduce=True)
    (x, y), truth = places(grid.box), ramp_on(grid)
    expected = 3.0 + 0.02 * x - 0.01 * y
    if drawn == "CONSTANT":
        truth, expected = np.full(shape, 2.5), np.full(x.shape, 2.5)
    assert_allclose(render_field(offset_field(grid, truth, grid.box, 16, drawn), grid.box), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (3, 4)])
def test_few_superpixels(shape: tuple[int, int]) -> None:
    grid = SuperpixelGrid(Box.from_shape((64 * shape[0], 64 * shape[1])), 64, 64)
    style = possible_style("AKIMA_SPLINE", grid.shape, reduce=True)
    assert style == {1: "CONSTANT", 2: "LINEAR", 3: "NATURAL_SPLINE"}[min(shape)]
    pixels = render_field(offset_field(grid, np.full(shape, 2.5), grid.box, 16, style), grid.box)
    assert_allclose(pixels, 2.5, rtol=1e-6)
    with pytest.raises(BadFrameError, match="needs 5 superpixels"):
        possible_style("AKIMA_SPLINE", grid.shape, reduce=False)
