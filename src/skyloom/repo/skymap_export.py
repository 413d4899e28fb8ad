"""Outlines of tracts and patches as files of other programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from astropy.io import fits
from lsst.sphgeom import ConvexPolygon

from skyloom.errors import RepositoryError
from skyloom.files import write_beside
from skyloom.skymap import SkyMap, coverage_cells, ds9_polygons

__all__ = ["export_outlines"]


def export_outlines(
    sky_map: SkyMap, tracts: Iterable[int], path: Path, *, patches: bool = False, order: int = 10
) -> Path:
    """Write the outlines of tracts, or of all of their patches, to a file; one that is there is replaced.

    Parameters
    ----------
    sky_map
        The sky map.
    tracts
        Numbers of tracts.
    path
        The ending tells what is written: ``.reg`` polygons for DS9, ``.json`` or ``.fits`` a coverage map (MOC).
    patches
        Whether to write patches.
    order
        Order of the smallest cells of a coverage map.

    Raises
    ------
    RepositoryError
        If the ending is another, or the sky map has no such tract.
    """
    try:
        outlines = list(_outlines(sky_map, tracts, patches))
    except IndexError as error:
        raise RepositoryError(str(error)) from error
    if path.suffix == ".reg":
        text = ds9_polygons(outlines)
        return write_beside(path, lambda part: part.write_text(text, encoding="utf-8"))
    if path.suffix not in (".json", ".fits"):
        raise RepositoryError(f"outlines are written to .reg, .json or .fits, not {path.suffix!r}", file=str(path))
    cells = coverage_cells((polygon for _, polygon in outlines), order)
    if path.suffix == ".json":
        text = json.dumps({str(level): numbers for level, numbers in cells.items()}) + "\n"
        return write_beside(path, lambda part: part.write_text(text, encoding="utf-8"))
    table = _moc_table(cells, order)
    return write_beside(path, lambda part: table.writeto(part))


def _outlines(sky_map: SkyMap, tracts: Iterable[int], patches: bool) -> Iterator[tuple[str, ConvexPolygon]]:
    for tract in map(sky_map.tract, tracts):
        if patches:
            yield from ((f"{tract.id} {patch.ix},{patch.iy}", patch.region) for patch in tract.patches())
        else:
            yield str(tract.id), tract.region


def _moc_table(cells: dict[int, list[int]], order: int) -> fits.BinTableHDU:
    """A coverage map as FITS holds it: cells of all orders as numbers of one kind (NUNIQ)."""
    unique = np.sort(np.array([4 * 4**level + number for level in cells for number in cells[level]], np.int64))
    table = fits.BinTableHDU.from_columns([fits.Column(name="UNIQ", format="K", array=unique)])
    table.header["PIXTYPE"] = "HEALPIX"
    table.header["ORDERING"] = "NUNIQ"
    table.header["COORDSYS"] = "C"
    table.header["MOCVERS"] = "2.0"
    table.header["MOCDIM"] = "SPACE"
    table.header["MOCORD_S"] = order
    table.header["MOCORDER"] = order
    return table
