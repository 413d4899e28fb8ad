"""The coadds of a site: tiles and a page for each tract to pan and zoom, and HiPS."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.images import from_coadd

from .patch_picture import colour_bands
from .site_hips import write_colour_hips, write_hips
from .site_pages import SitePage, digest_of
from .site_run import SiteData
from .site_text import json_for_page, render, write_text
from .site_tiles import TILE, Pyramid, ReadBand, bounding_box, layers_of, write_pyramid
from .tract_inputs import tract_of

if TYPE_CHECKING:
    from lsst.daf.butler import DatasetRef

    from skyloom.skymap import Patch, Tract

__all__ = ["View", "write_surveys", "write_views"]

_LAYERS = "layers.json"
_MADE = "made_of.txt"


@dataclass(frozen=True, kw_only=True)
class View:
    """A tract to pan and zoom."""

    title: str
    path: str
    patches: Sequence[Patch]
    layers: Sequence[Pyramid]


def write_views(
    data: SiteData, folder: Path, pages: Mapping[str, SitePage], advance: Callable[[str], object]
) -> Iterator[View]:
    """The coadds of each tract as tiles, and a page that shows them."""
    for tract, patches, refs in _tracts(data):
        name = f"{tract.skymap}_{tract.id}"
        layers = _write_layers(data, refs, patches, folder / "tiles" / name)
        title = f"Tract {tract.id} of {tract.skymap}"
        settings = _viewer_settings(tract, patches, layers, pages, name)
        page = render(
            "site_viewer.html.j2",
            root="../",
            title=title,
            settings=json_for_page(settings),
            layers=[layer.name for layer in layers],
        )
        path = folder / "views" / f"{name}.html"
        path.parent.mkdir(exist_ok=True)
        write_text(page, path)
        advance(f"tiles of tract {tract.id} of {tract.skymap}: done")
        yield View(title=title, path=path.relative_to(folder).as_posix(), patches=patches, layers=layers)


def write_surveys(data: SiteData, folder: Path, advance: Callable[[str], object]) -> Iterator[Path]:
    """The coadds of each tract as HiPS: one a band, and one of colours where there are three."""
    for tract, patches, refs in _tracts(data):
        place = folder / f"{tract.skymap}_{tract.id}"
        bands = sorted({str(ref.dataId["band"]) for ref in refs})
        chosen = colour_bands(bands)
        digest, mark = digest_of(ref.id.hex for ref in refs), place / _MADE
        if not mark.exists() or mark.read_text(encoding="utf-8") != digest:
            place.mkdir(parents=True, exist_ok=True)
            mark.unlink(missing_ok=True)
            for band in bands:
                title = f"{data.output}: tract {tract.id} of {tract.skymap}, {band}"
                known = {"obs_title": title, "creator_did": f"ivo://skyloom/{tract.skymap}/{tract.id}/{band}"}
                write_hips(patches, band, _reader(data, refs), place / band, known)
            if chosen is not None and all((place / band).exists() for band in chosen):
                title = f"{data.output}: tract {tract.id} of {tract.skymap}, colours of {', '.join(chosen)}"
                write_colour_hips([place / band for band in chosen], patches, place / "colour", title)
            write_text(digest, mark)
            advance(f"HiPS of tract {tract.id} of {tract.skymap}: done")
        yield from (place / name for name in (*bands, "colour") if (place / name / "properties").exists())


def _tracts(data: SiteData) -> Iterator[tuple[Tract, list[Patch], list[DatasetRef]]]:
    """Tracts with coadds, their patches, and the coadds."""
    by_tract: dict[tuple[str, int], list[DatasetRef]] = {}
    for ref in data.refs("deep_coadd"):
        by_tract.setdefault((str(ref.dataId["skymap"]), int(ref.dataId["tract"])), []).append(ref)
    for (sky_map, number), refs in by_tract.items():
        tract = tract_of(data.butler, number, sky_map)
        yield tract, [tract.patch(index) for index in sorted({int(ref.dataId["patch"]) for ref in refs})], refs


def _reader(data: SiteData, refs: Sequence[DatasetRef]) -> ReadBand:
    known = {(int(ref.dataId["patch"]), str(ref.dataId["band"])): ref for ref in refs}

    def read(patch: int, band: str) -> np.ndarray | None:
        ref = known.get((patch, band))
        made = None if ref is None else data.get(ref)
        return None if made is None else np.asarray(from_coadd(made).image.array)

    return read


def _write_layers(data: SiteData, refs: Sequence[DatasetRef], patches: Sequence[Patch], folder: Path) -> list[Pyramid]:
    """The pyramids of a tract; those that are there are kept where the coadds are the same."""
    digest = digest_of(ref.id.hex for ref in refs)
    kept = _read_layers(folder / _LAYERS, digest)
    if kept is not None:
        return kept

    boxes = {patch.id: patch.outer_bbox for patch in patches}
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    wanted = layers_of(sorted({str(ref.dataId["band"]) for ref in refs}))
    layers = [
        write_pyramid(layer, boxes, _reader(data, refs), folder / f"layer_{index}")
        for index, layer in enumerate(wanted)
    ]
    text = json.dumps({"digest": digest, "layers": [asdict(layer) for layer in layers]})
    write_text(text, folder / _LAYERS)
    return layers


def _read_layers(path: Path, digest: str) -> list[Pyramid] | None:
    """What an earlier call wrote of the same coadds; None without."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return [Pyramid(**layer) for layer in kept["layers"]] if kept["digest"] == digest else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _viewer_settings(
    tract: Tract, patches: Sequence[Patch], layers: Sequence[Pyramid], pages: Mapping[str, SitePage], folder: str
) -> dict[str, Any]:
    """What the script of the viewer needs: sizes, tiles, the WCS and the patches, pixels counted from the top left."""
    whole = bounding_box([patch.outer_bbox for patch in patches])
    grid = tract.grid

    def rectangle(patch: Patch) -> list[int]:
        box = patch.inner_bbox
        left, top = max(box.x.start, whole.x.start), min(box.y.stop, whole.y.stop)
        right, bottom = min(box.x.stop, whole.x.stop), max(box.y.start, whole.y.start)
        return [left - whole.x.start, whole.y.stop - top, right - left, top - bottom]

    return {
        "width": whole.shape[1],
        "height": whole.shape[0],
        "tile": TILE,
        "layers": [
            {
                "name": one.name,
                "path": f"../tiles/{folder}/{one.folder}",
                "levels": [list(level) for level in one.levels],
            }
            for one in layers
        ],
        "filled": list(layers[0].filled),
        # Tract pixels are x = x0 + column, y = y0 - row.
        "x0": whole.x.start,
        "y0": whole.y.stop - 1,
        "wcs": {
            "projection": grid.projection,
            "ra": grid.ra,
            "dec": grid.dec,
            "cd": grid.cd.tolist(),
            "origin": list(grid.origin),
        },
        "scale": grid.pixel_scale,
        "patches": [
            {
                "name": f"patch {patch.id}",
                "box": rectangle(patch),
                "link": _back(pages.get(f"coadd {tract.skymap} {tract.id} {patch.id}", SitePage()).path),
            }
            for patch in patches
        ],
    }


def _back(path: str) -> str:
    return f"../{path}" if path else ""
