"""Which shards of the reference catalogue a frame may need: a question of its header alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType
from lsst.sphgeom import LonLat, Region

from skyloom.astrometry import BlindSettings
from skyloom.catalog.htm import circle_shards
from skyloom.instruments import Camera

from .visits import mosaic_radius_deg, padding_deg

__all__ = ["find_reference_shards", "find_tract_reference_shards"]


def find_reference_shards(
    dataset_type: DatasetType, registry: Any, data_id: DataCoordinate, collections: Sequence[str]
) -> Iterable[DatasetRef]:
    """The shards that touch the circle in which a frame of a visit can lie; for the connections of a task.

    The circle comes from the pointing in the header and the camera's errors, not from the region of the visit, which
    a fit replaces: a frame looks for its stars in the same sky each time, and a wrong fit cannot hide the right one.
    A visit whose header has no pointing takes the circle around its region.

    Parameters
    ----------
    dataset_type
        Of the catalogue, with the dimension ``htm7``.
    registry
        Of the repository.
    data_id
        Of a frame: ``instrument`` and ``visit`` count.
    collections
        Where to look for the catalogue and the camera.
    """
    return _shards_of_visit(
        registry, dataset_type, str(data_id["instrument"]), int(data_id["visit"]), tuple(collections)
    )


def find_tract_reference_shards(
    dataset_type: DatasetType, registry: Any, data_id: DataCoordinate, collections: Sequence[str]
) -> Iterable[DatasetRef]:
    """The shards that touch a tract; for the connections of a task.

    Parameters
    ----------
    dataset_type
        Of the catalogue, with the dimension ``htm7``.
    registry
        Of the repository.
    data_id
        Of a quantum: ``skymap`` and ``tract`` count.
    collections
        Where to look for the catalogue.
    """
    butler: Butler = registry._butler
    (record,) = butler.query_dimension_records("tract", skymap=data_id["skymap"], tract=data_id["tract"])
    return _find_shards(butler, dataset_type, _circle_of_region(record.region), collections)


_BLIND_DEG = BlindSettings().pointing_error_deg + 0.1
"""How far around a frame its stars are sought where its pointing proves wrong."""


@lru_cache(maxsize=16)
def _shards_of_visit(
    registry: Any, dataset_type: DatasetType, instrument: str, visit: int, collections: tuple[str, ...]
) -> tuple[DatasetRef, ...]:
    butler: Butler = registry._butler  # the camera is a file, which a registry does not read
    camera: Camera = butler.get("camera", instrument=instrument, collections=collections)
    return _find_shards(butler, dataset_type, _circle(butler, camera, visit), collections)


def _find_shards(
    butler: Butler, dataset_type: DatasetType, circle: tuple[float, float, float], collections: Sequence[str]
) -> tuple[DatasetRef, ...]:
    """The shards that touch a circle (centre and radius, degrees), in the order of their numbers."""
    shards = circle_shards(*circle)
    found = butler.query_datasets(
        dataset_type,
        collections=collections,
        where="htm7 IN (shards)",
        bind={"shards": shards},
        explain=False,
        limit=None,
    )
    return tuple(sorted(found, key=lambda ref: int(ref.dataId["htm7"])))


def _circle(butler: Butler, camera: Camera, visit: int) -> tuple[float, float, float]:
    """Centre and radius, degrees, of the circle that holds the visit's frames wherever they really are."""
    padding = max(padding_deg(camera), _BLIND_DEG)
    (exposure,) = butler.query_dimension_records("exposure", instrument=camera.name, exposure=visit)
    if exposure.tracking_ra is not None and exposure.tracking_dec is not None:
        return float(exposure.tracking_ra), float(exposure.tracking_dec), mosaic_radius_deg(camera) + padding
    (record,) = butler.query_dimension_records("visit", instrument=camera.name, visit=visit)
    ra, dec, radius = _circle_of_region(record.region)
    return ra, dec, radius + padding


def _circle_of_region(region: Region) -> tuple[float, float, float]:
    """Centre and radius, degrees, of the circle around a region."""
    circle = region.getBoundingCircle()
    centre = LonLat(circle.getCenter())
    return float(centre.getLon().asDegrees()), float(centre.getLat().asDegrees()), circle.getOpeningAngle().asDegrees()
