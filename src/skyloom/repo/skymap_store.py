"""Sky maps as datasets of a repository, with their dimension records."""

from __future__ import annotations

from lsst.daf.butler import Butler, CollectionType, DatasetType  # type: ignore[attr-defined]

from skyloom.errors import RepositoryError
from skyloom.skymap import SkyMap

from .collections import SKYMAPS
from .skymap_records import is_small, register_tracts

__all__ = ["read_sky_map", "register_sky_map"]

DATASET_TYPE = "sky_map"
"""The name of the dimension itself is not allowed."""


def read_sky_map(butler: Butler, name: str) -> SkyMap | None:
    """The stored sky map of a name, or None."""
    if not butler.registry.queryDatasetTypes(DATASET_TYPE):
        return None
    if not butler.query_dimension_records("skymap", skymap=name, explain=False):
        return None
    ref = butler.find_dataset(DATASET_TYPE, skymap=name, collections=SKYMAPS)
    if ref is None:
        return None
    sky_map: SkyMap = butler.get(ref)
    return sky_map


def register_sky_map(butler: Butler, sky_map: SkyMap) -> None:
    """Write the dimension record of a sky map, and store it in the run ``skymaps``.

    Of a small sky map all tracts and patches are written too; those of a large one are by `register_around` and
    `skyloom.repo.skymap_records.register_tracts`.  Registering the same definition again changes nothing.

    Raises
    ------
    RepositoryError
        If the name stands for another geometry, or the geometry has another name.
    """
    _check_registrable(butler, sky_map)
    butler.registry.registerDatasetType(
        DatasetType(DATASET_TYPE, ("skymap",), "SkyloomSkyMap", universe=butler.dimensions)
    )
    butler.collections.register(SKYMAPS, CollectionType.RUN)
    with butler.transaction():
        _write_records(butler, sky_map)
        if butler.find_dataset(DATASET_TYPE, skymap=sky_map.name, collections=SKYMAPS) is None:
            butler.put(sky_map, DATASET_TYPE, skymap=sky_map.name, run=SKYMAPS)


def _check_registrable(butler: Butler, sky_map: SkyMap) -> None:
    for record in butler.query_dimension_records("skymap", explain=False):
        if (record.name == sky_map.name) != (record.hash == sky_map.sha1):
            same = "name" if record.name == sky_map.name else "geometry"
            raise RepositoryError(
                f"Sky map {sky_map.name!r} has the same {same} as {record.name!r} but not the same "
                f"{'geometry' if same == 'name' else 'name'}.",
                cure="Use another name." if same == "name" else f"Use {record.name!r}.",
            )


def _write_records(butler: Butler, sky_map: SkyMap) -> None:
    nx, ny = sky_map.n_patches_max
    butler.registry.syncDimensionData(
        "skymap",
        {
            "name": sky_map.name,
            "hash": sky_map.sha1,
            "tract_max": len(sky_map),
            "patch_nx_max": nx,
            "patch_ny_max": ny,
        },
    )
    if is_small(sky_map):
        register_tracts(butler, sky_map, range(len(sky_map)))
