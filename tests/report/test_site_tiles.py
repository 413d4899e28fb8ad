"""The tiles of a site: every pixel of a coadd where it belongs, at every level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lsst.images import Box
from PIL import Image

from skyloom.report.site_tiles import TILE, Layer, layers_of, write_pyramid

GREY = Layer(name="band r", bands=("r", "r", "r"))
BOXES = {4: Box.from_shape((700, 620), start=(40, 100)), 5: Box.from_shape((700, 620), start=(40, 700))}
"""Two patches side by side, which share 20 columns."""


def read(patch: int, band: str) -> np.ndarray:
    """White noise with a bright square whose lower left corner is (200, 100) from that of the patch; nothing on top."""
    image = np.random.default_rng(patch).normal(0.0, 1.0, BOXES[patch].shape).astype(np.float32)
    image[100:160, 200:260] = 1e5
    image[-60:] = np.nan
    return image


def square_of(path: Path) -> tuple[int, int, int, int]:
    """Columns and rows, the last excluded, of what is bright."""
    bright = np.asarray(Image.open(path)).min(axis=2) > 200
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    return int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1


def test_pixels_are_at_their_places_with_north_up(tmp_path: Path) -> None:
    made = write_pyramid(GREY, BOXES, read, tmp_path / "layer")
    width, height = 1220, 700
    assert [len(level) for level in made.levels] == [1, 2, 6]
    tiles = {name: tmp_path / f"layer/2/{name}.jpg" for name in made.levels[2]}
    assert Image.open(tiles["0_0"]).size == (TILE, TILE)
    assert Image.open(tiles["2_1"]).size == (width - 2 * TILE, height - TILE)
    # The squares: columns 200 and 800 of the picture, rows counted from the top.
    top = height - 160
    assert square_of(tiles["0_1"]) == (200, 260, top - TILE, top - TILE + 60)
    assert square_of(tiles["1_1"]) == (800 - TILE, 860 - TILE, top - TILE, top - TILE + 60)
    # Half as large, in the level above, and a quarter.
    assert square_of(tmp_path / "layer/1/0_0.jpg") == (100, 430, top // 2, top // 2 + 30)
    assert Image.open(tmp_path / "layer/0/0_0.jpg").size == (305, 175)
    assert made.filled == (0, 60, width, height - 60)


def test_what_has_no_data_has_one_colour_and_no_tiles(tmp_path: Path) -> None:
    apart = {4: BOXES[4], 9: Box.from_shape((700, 620), start=(40, 100 + 4 * TILE))}
    made = write_pyramid(GREY, apart, lambda patch, band: read(4, band) if patch == 4 else None, tmp_path / "layer")
    assert set(made.levels[-1]) == {"0_0", "1_0", "0_1", "1_1"}
    assert made.filled[2] < 2 * TILE
    top = np.asarray(Image.open(tmp_path / "layer" / str(len(made.levels) - 1) / "0_0.jpg"))[:40, :500]
    assert np.ptp(top) == 0


def test_one_scale_serves_all_patches(tmp_path: Path) -> None:
    """The sky of a patch with ten times the flux of its neighbour's is drawn brighter, not the same."""
    write_pyramid(GREY, BOXES, lambda patch, band: read(4, band) + 20.0 * (patch == 5), tmp_path / "layer")
    left = np.asarray(Image.open(tmp_path / "layer/2/0_0.jpg"))[100:400, 100:400]
    right = np.asarray(Image.open(tmp_path / "layer/2/2_0.jpg"))[100:400, :100]
    assert np.median(right) > 2.0 * np.median(left)


def test_three_bands_make_colours_and_fewer_are_shown_each_in_grey(tmp_path: Path) -> None:
    (colours,) = layers_of(["g", "i", "r"])
    assert colours.bands == ("i", "r", "g")
    assert [one.bands for one in layers_of(["r", "g"])] == [("g", "g", "g"), ("r", "r", "r")]

    def red(patch: int, band: str) -> np.ndarray:
        image = read(4, band)
        image[100:160, 200:260] = 300.0 if band == "i" else 30.0
        return image

    write_pyramid(colours, {4: BOXES[4]}, red, tmp_path / "layer")
    pixel = np.asarray(Image.open(tmp_path / "layer/1/0_1.jpg"))[560 - TILE, 230].astype(int)
    assert pixel[0] > 3 * pixel[1]
    assert abs(pixel[1] - pixel[2]) < 8
