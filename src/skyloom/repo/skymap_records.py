"""Tracts and patches of sky maps in the registry: all of a small sky map, of a large one those that are asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from lsst.daf.butler import Butler
from lsst.sphgeom import ConvexPolygon

from skyloom.skymap import SkyMap, Tract

__all__ = [
    "MAX_AT_ONCE",
    "is_small",
    "outlines_in_registry",
    "register_around",
    "register_patches",
    "register_tracts",
    "registered_tracts",
]

MAX_AT_ONCE = 5_000
"""Patches up to which a sky map is registered whole."""


def is_small(sky_map: SkyMap) -> bool:
    """Whether all tracts of a sky map are registered with it."""
    return len(sky_map) <= MAX_AT_ONCE and len(sky_map) * math.prod(sky_map.n_patches_max) <= MAX_AT_ONCE


def register_tracts(butler: Butler, sky_map: SkyMap, numbers: Iterable[int]) -> int:
    """Write the records of tracts with all of their patches, as far as they are missing.

    Returns
    -------
    n_patches
        How many patches are new.

    Raises
    ------
    IndexError
        If the sky map has no such tract.
    """
    return sum(_register(butler, tract, np.arange(len(tract))) for tract in map(sky_map.tract, numbers))


def register_patches(butler: Butler, sky_map: SkyMap, patches: Mapping[int, np.ndarray]) -> int:
    """Write the records of some patches of each of some tracts, as far as they are missing.

    Returns
    -------
    n_patches
        How many patches are new.
    """
    with butler.transaction():
        return sum(_register(butler, sky_map.tract(number), ids) for number, ids in patches.items())


def register_around(butler: Butler, sky_map: SkyMap, ra: np.ndarray, dec: np.ndarray) -> int:
    """Write the records of the patches that frames touch, given their corners in degrees, ``[n, k]``.

    Of a small sky map all are there already.

    Returns
    -------
    n_patches
        How many patches are new.
    """
    if is_small(sky_map) or not len(ra):
        return 0
    return register_patches(butler, sky_map, sky_map.patch_ids_around(ra, dec, bent=True))


def registered_tracts(butler: Butler, name: str) -> dict[int, int]:
    """Numbers of the tracts of a sky map that have records, and how many patches of each have; sorted."""
    counts = Counter(
        int(r.tract) for r in butler.query_dimension_records("patch", skymap=name, explain=False, limit=None)
    )
    return dict(sorted(counts.items()))


def outlines_in_registry(butler: Butler, instrument: str, where: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Corners in degrees, ``[n, k]``, of the frames of an instrument as the registry has them.

    They are the regions that decide which frames overlap a patch.
    """
    records = butler.query_dimension_records(
        "visit_detector_region", where=where, instrument=instrument, explain=False, limit=None
    )
    polygons = [record.region.getVertices() for record in records if isinstance(record.region, ConvexPolygon)]
    return _in_rows(polygons)


def _in_rows(polygons: Sequence[Sequence[Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Right ascension and declination of the corners of polygons; the last of a polygon repeated to fill its row."""
    width = max(map(len, polygons), default=0)
    rows = [[*polygon, *[polygon[-1]] * (width - len(polygon))] for polygon in polygons]
    vectors = np.array([[(v.x(), v.y(), v.z()) for v in row] for row in rows]).reshape(len(rows), width, 3)
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def _register(butler: Butler, tract: Tract, ids: np.ndarray) -> int:
    """Write the record of a tract and of some of its patches, as far as they are missing; how many patches are new."""
    key: dict[str, Any] = {"skymap": tract.skymap, "tract": tract.id}
    there = {int(r.id) for r in butler.query_dimension_records("patch", data_id=key, explain=False, limit=None)}
    new = [tract.patch(int(number)) for number in ids if int(number) not in there]
    if not new:
        return 0
    butler.registry.insertDimensionData(
        "tract", {"skymap": tract.skymap, "id": tract.id, "region": tract.region}, skip_existing=True
    )
    records = [{**key, "id": patch.id, "cell_x": patch.ix, "cell_y": patch.iy, "region": patch.region} for patch in new]
    butler.registry.insertDimensionData("patch", *records, skip_existing=True)
    return len(new)
