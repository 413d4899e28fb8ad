"""Coadds of a tract as a pyramid of image tiles, which a browser pans and zooms without a server."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lsst.images import Box
from PIL import Image

from .patch_picture import colour_bands, colour_picture, noise_of_bands

__all__ = ["TILE", "Layer", "Pyramid", "bounding_box", "layers_of", "write_pyramid"]

TILE = 512
"""Pixels along a side."""
_QUALITY = 88
_EMPTY = (24, 24, 24)
"""Colour of what has no data."""
_STRIP = 512
"""Rows that are drawn at once: drawing takes many times the memory of the pixels."""

type ReadBand = Callable[[int, str], np.ndarray | None]
"""Patch and band to the coadd, ``[y, x]`` of the outer box, NaN without data; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One picture of a tract: three bands in colours, or one in grey."""

    name: str
    bands: tuple[str, str, str]
    """Red, green and blue."""


@dataclass(frozen=True, kw_only=True)
class Pyramid:
    """A layer that was written, as the viewer takes it."""

    name: str
    folder: str
    """Where its tiles are: ``LEVEL/COLUMN_ROW.jpg``, from the top left."""
    levels: Sequence[Sequence[str]]
    """Tiles that were written, ``COLUMN_ROW``, by level, the coarsest first."""
    filled: tuple[int, int, int, int]
    """The smallest box around all data: first column and row from the top left, width and height, px."""


def layers_of(bands: Sequence[str]) -> list[Layer]:
    """The pictures that some bands make: colours of three, else each in grey."""
    chosen = colour_bands(bands)
    if chosen is not None:
        return [Layer(name=f"colours of {', '.join(chosen)}", bands=chosen)]
    return [Layer(name=f"band {band}", bands=(band, band, band)) for band in sorted(bands)]


def write_pyramid(layer: Layer, boxes: Mapping[int, Box], read: ReadBand, folder: Path) -> Pyramid:
    """Draw a layer of a tract and cut it into tiles.

    One scale of brightness serves all patches.  The whole picture lies in a scratch file, so that memory does not grow
    with the tract; tiles without data are not written.

    Parameters
    ----------
    layer
        What to draw.
    boxes
        Outer boxes of the patches by their numbers, pixels of the tract.
    read
        Reads a patch in a band.
    folder
        Receives the tiles.
    """
    whole = bounding_box(boxes.values())
    sigma = _noise(layer, boxes, read)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        picture = _canvas(Path(scratch) / "0", whole.shape)
        for patch, box in boxes.items():
            bands = _read(layer, patch, read)
            if bands is not None:
                _paint(picture, whole, box, bands, sigma)
        levels = []
        number = 0
        while True:
            levels.append(picture)
            if max(picture.shape[:2]) <= TILE:
                break
            number += 1
            picture = _halved(picture, Path(scratch) / str(number))
        filled = _filled(levels[-1], 2**number, whole.shape)
        tiles = [_cut(one, folder / str(number)) for number, one in enumerate(reversed(levels))]
    return Pyramid(name=layer.name, folder=folder.name, levels=tiles, filled=filled)


def bounding_box(boxes: Iterable[Box]) -> Box:
    """The smallest box around some."""
    found = list(boxes)
    y0, x0 = min(one.y.start for one in found), min(one.x.start for one in found)
    y1, x1 = max(one.y.stop for one in found), max(one.x.stop for one in found)
    return Box.from_shape((y1 - y0, x1 - x0), start=(y0, x0))


def _read(layer: Layer, patch: int, read: ReadBand) -> list[np.ndarray] | None:
    known: dict[str, np.ndarray | None] = {band: read(patch, band) for band in dict.fromkeys(layer.bands)}
    found = [known[band] for band in layer.bands]
    there = next((one for one in found if one is not None), None)
    if there is None:
        return None
    return [np.full_like(there, np.nan) if one is None else one for one in found]


def _noise(layer: Layer, boxes: Mapping[int, Box], read: ReadBand) -> float:
    """The median of the noise of up to five patches that are spread over the tract."""
    some = list(boxes)[:: max(1, len(boxes) // 5)]
    read_bands = (_read(layer, patch, read) for patch in some)
    found = [noise_of_bands([band[::3, ::3] for band in bands]) for bands in read_bands if bands is not None]
    return float(np.median(found)) if found else 1.0


def _canvas(path: Path, shape: Sequence[int]) -> np.ndarray:
    """An empty picture ``[row, column, colour]`` in a file: 0 is no data."""
    return np.memmap(path, dtype=np.uint8, mode="w+", shape=(*shape, 3))


def _paint(picture: np.ndarray, whole: Box, box: Box, bands: Sequence[np.ndarray], sigma: float) -> None:
    """Draw a patch where it lies, its first row at the bottom."""
    left = box.x.start - whole.x.start
    for start in range(0, box.shape[0], _STRIP):
        strip = [band[start : start + _STRIP] for band in bands]
        known = np.all([np.isfinite(one) for one in strip], axis=0)
        if not known.any():
            continue
        drawn = np.maximum(colour_picture(strip, sigma), 1)
        bottom = whole.y.stop - (box.y.start + start)
        part = picture[bottom - known.shape[0] : bottom, left : left + known.shape[1]]
        np.copyto(part, drawn[::-1], where=known[::-1, :, np.newaxis])


def _halved(picture: np.ndarray, path: Path) -> np.ndarray:
    """Half as large: means of the pixels with data of 2 x 2."""
    rows, columns = ((size + 1) // 2 for size in picture.shape[:2])
    smaller = _canvas(path, (rows, columns))
    for start in range(0, rows, _STRIP):
        part = picture[2 * start : 2 * (start + _STRIP)].astype(np.uint16)
        part = np.pad(part, ((0, part.shape[0] % 2), (0, part.shape[1] % 2), (0, 0)))
        blocks = part.reshape(part.shape[0] // 2, 2, columns, 2, 3)
        filled = (blocks > 0).all(axis=4).sum(axis=(1, 3))[..., np.newaxis]
        smaller[start : start + blocks.shape[0]] = blocks.sum(axis=(1, 3)) // np.maximum(filled, 1)
    return smaller


def _filled(coarsest: np.ndarray, factor: int, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """The box around the data of a level, in pixels of the finest."""
    known = (np.asarray(coarsest) > 0).any(axis=2)
    if not known.any():
        return 0, 0, shape[1], shape[0]
    spans = []
    for axis, size in ((0, shape[1]), (1, shape[0])):
        where = np.flatnonzero(known.any(axis=axis))
        spans.append((int(where[0]) * factor, min((int(where[-1]) + 1) * factor, size)))
    (left, right), (top, bottom) = spans
    return left, top, right - left, bottom - top


def _cut(picture: np.ndarray, folder: Path) -> list[str]:
    """Write the tiles of a level; those without data are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for top in range(0, picture.shape[0], TILE):
        for left in range(0, picture.shape[1], TILE):
            tile = np.array(picture[top : top + TILE, left : left + TILE])
            empty = (tile == 0).all(axis=2)
            if empty.all():
                continue
            tile[empty] = _EMPTY
            name = f"{left // TILE}_{top // TILE}"
            Image.fromarray(tile).save(folder / f"{name}.jpg", quality=_QUALITY, subsampling=0)
            written.append(name)
    return written
