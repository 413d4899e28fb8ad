"""Coadds of a tract as HiPS (IVOA recommendation 1.0), which Aladin and other viewers open: FITS tiles and colours."""

from __future__ import annotations

import importlib
import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from PIL import Image

from skyloom.errors import RepositoryError
from skyloom.skymap import Patch

from .patch_picture import colour_picture, noise_of_bands
from .site_tiles import ReadBand

__all__ = ["hips_order", "need_reproject", "write_colour_hips", "write_hips"]

_TILE = 512
_PIXEL_ARCSEC = 3600.0 * math.degrees(math.sqrt(math.pi / 3.0)) / _TILE
"""Side of a pixel of a tile of order 0."""
_COARSEST = 3
"""Order of the tiles that are also kept small, all on one picture."""
_THUMB = 64
_ACROSS = 27


def need_reproject() -> tuple[Any, Any]:
    """The package that makes the tiles, and its module for HiPS.

    Raises
    ------
    RepositoryError
        If it is not installed.
    """
    try:
        return importlib.import_module("reproject"), importlib.import_module("reproject.hips")
    except ImportError as error:
        raise RepositoryError(
            "HiPS need the package reproject.", cure="Install it: pip install skyloom[hips]"
        ) from error


def hips_order(scale_arcsec: float) -> int:
    """The lowest order whose pixels are at most a tenth larger than those of the coadd."""
    return max(_COARSEST, math.ceil(math.log2(_PIXEL_ARCSEC / (1.1 * scale_arcsec))))


def write_hips(
    patches: Sequence[Patch], band: str, read: ReadBand, folder: Path, properties: Mapping[str, str]
) -> bool:
    """Write the coadd of a band as FITS tiles, float32 in nJy, NaN without data.

    Patches are resampled one by one (bilinear).  Where several cover a pixel of a tile, the first counts.

    Parameters
    ----------
    patches
        Of one tract.
    band
        The band.
    read
        Reads a patch in a band.
    folder
        The HiPS; what is there is replaced.
    properties
        What describes the HiPS beyond its geometry; ``creator_did`` and ``obs_title`` at least.

    Returns
    -------
    written
        False where there is no data.

    Raises
    ------
    RepositoryError
        If the package reproject is not installed.
    """
    reproject, hips = need_reproject()
    if folder.exists():
        shutil.rmtree(folder)
    order = hips_order(patches[0].tract.grid.pixel_scale)
    described: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        for patch in patches:
            image = read(patch.id, band)
            if image is None or not np.isfinite(image).any():
                continue
            one = Path(scratch) / str(patch.id)
            hips.reproject_to_hips(
                _cropped(image, patch),
                coord_system_out="equatorial",
                reproject_function=reproject.reproject_interp,
                output_directory=str(one),
                level=order,
                tile_size=_TILE,
                properties=dict(properties),
            )
            if not described:
                sigma = noise_of_bands([image])
                described = read_properties(one / "properties")
                described["hips_pixel_cut"] = f"{-3.0 * sigma:.6g} {50.0 * sigma:.6g}"
            _merge(one, folder)
    if not described:
        return False
    _describe(folder, described, patches, "fits")
    allsky = _allsky((number, fits.getdata(tile)) for number, tile in _tiles(folder, "fits", _COARSEST))
    fits.PrimaryHDU(allsky).writeto(folder / f"Norder{_COARSEST}" / "Allsky.fits")
    return True


def write_colour_hips(bands: Sequence[Path], patches: Sequence[Patch], folder: Path, title: str) -> bool:
    """Write colours of three HiPS of `write_hips` as PNG tiles, transparent without data.

    Parameters
    ----------
    bands
        Red, green and blue.
    patches
        As before.
    folder
        The HiPS; what is there is replaced.
    title
        Its title.

    Returns
    -------
    written
        False where no tile has data in all three.
    """
    if folder.exists():
        shutil.rmtree(folder)
    described = read_properties(bands[0] / "properties")
    described |= {"obs_title": title, "creator_did": f"{described['creator_did'].rpartition('/')[0]}/colour"}
    order = int(described["hips_order"])
    finest = [tile for _, tile in _common(bands, order)]
    if not finest:
        return False
    some = ([fits.getdata(_of(other, tile, bands[0])) for other in bands] for tile in finest[:: -(-len(finest) // 20)])
    sigma = float(np.median([noise_of_bands(tile) for tile in some]))
    small = []
    for level in range(order + 1):
        for number, tile in _common(bands, level):
            pixels = [np.asarray(fits.getdata(_of(other, tile, bands[0]))) for other in bands]
            known = np.all([np.isfinite(one) for one in pixels], axis=0)
            drawn = np.dstack([colour_picture(pixels, sigma), np.where(known, 255, 0).astype(np.uint8)])
            # The first row of FITS is at the bottom, that of PNG at the top.
            target = _of(folder, tile, bands[0]).with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.where(known[..., np.newaxis], drawn, 0)[::-1]).save(target)
            if level == _COARSEST:
                small.append((number, np.where(known[..., np.newaxis], drawn, 0)[::-1]))
    described.pop("hips_pixel_bitpix", None)
    described.pop("hips_pixel_cut", None)
    _describe(folder, described | {"dataproduct_subtype": "color"}, patches, "png")
    Image.fromarray(_allsky(small, top_down=True)).save(folder / f"Norder{_COARSEST}" / "Allsky.png")
    return True


def read_properties(path: Path) -> dict[str, str]:
    """What a file of properties says."""
    pairs = (line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _cropped(image: np.ndarray, patch: Patch) -> tuple[np.ndarray, fits.Header]:
    """The smallest box with data, and its header."""
    known = np.isfinite(image)
    rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    header = patch.tract.wcs_header(patch.outer_bbox)
    header["CRPIX1"] -= int(columns[0])
    header["CRPIX2"] -= int(rows[0])
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], header


def _tiles(folder: Path, kind: str, level: int) -> Iterator[tuple[int, Path]]:
    """The tiles of an order by their numbers."""
    for path in sorted(folder.glob(f"Norder{level}/Dir*/Npix*.{kind}")):
        yield int(path.stem.removeprefix("Npix")), path


def _common(folders: Sequence[Path], level: int) -> Iterator[tuple[int, Path]]:
    """The tiles of the first folder that all have."""
    for number, path in _tiles(folders[0], "fits", level):
        if all(_of(other, path, folders[0]).exists() for other in folders):
            yield number, path


def _of(other: Path, tile: Path, folder: Path) -> Path:
    return other / tile.relative_to(folder)


def _merge(source: Path, target: Path) -> None:
    """Move tiles; those that are there already get the pixels that they lack."""
    for path in sorted(source.rglob("Npix*.fits")):
        place = _of(target, path, source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.move(path, place)
            continue
        with fits.open(place, mode="update", memmap=False) as there:
            pixels = there[0].data
            np.copyto(pixels, fits.getdata(path), where=~np.isfinite(pixels))


def _describe(folder: Path, described: Mapping[str, str], patches: Sequence[Patch], kind: str) -> None:
    tract = patches[0].tract
    boxes = [patch.inner_bbox for patch in patches]
    x = 0.5 * (min(box.x.start for box in boxes) + max(box.x.stop for box in boxes))
    y = 0.5 * (min(box.y.start for box in boxes) + max(box.y.stop for box in boxes))
    height = max(box.y.stop for box in boxes) - min(box.y.start for box in boxes)
    ra, dec = (float(one) for one in tract.grid.positions_of(np.asarray(x), np.asarray(y)))
    values = dict(described) | {
        "hips_tile_format": kind,
        "hips_initial_ra": f"{ra:.6f}",
        "hips_initial_dec": f"{dec:.6f}",
        "hips_initial_fov": f"{height * tract.grid.pixel_scale / 3600.0:.6f}",
        "hips_builder": "skyloom with astropy/reproject",
    }
    lines = [f"{key:<20} = {value}" for key, value in values.items()]
    (folder / "properties").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _allsky(tiles: Iterable[tuple[int, Any]], *, top_down: bool = False) -> np.ndarray:
    """All tiles of order 3, each 64 pixels wide, 27 in a row, from the top left; FITS has its rows bottom up."""
    rows = -(-12 * 4**_COARSEST // _ACROSS)
    whole: np.ndarray | None = None
    for number, pixels in tiles:
        tile = np.asarray(pixels)
        step = _TILE // _THUMB
        small = tile.reshape(_THUMB, step, _THUMB, step, -1).mean(axis=(1, 3)).reshape(_THUMB, _THUMB, *tile.shape[2:])
        if whole is None:
            empty = 0 if top_down else np.nan
            whole = np.full((rows * _THUMB, _ACROSS * _THUMB, *tile.shape[2:]), empty, tile.dtype)
        row, column = divmod(number, _ACROSS)
        row = row if top_down else rows - 1 - row
        whole[row * _THUMB : (row + 1) * _THUMB, column * _THUMB : (column + 1) * _THUMB] = small
    assert whole is not None
    return whole
