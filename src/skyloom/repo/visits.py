"""Define a visit for every exposure of the sky, with regions that hold the frames wherever they really are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from lsst.daf.butler import Butler
from lsst.sphgeom import ConvexPolygon, UnitVector3d

from skyloom.instruments import Camera
from skyloom.skymap import unit_vectors

from .exposures import exposure_record
from .frames import Frame

__all__ = ["define_visits", "padded_polygon", "padding_deg"]

_SIDES = 8


def padding_deg(camera: Camera) -> float:
    """How far a corner of a detector may lie from where the header puts it, in degrees.

    The sum of the pointing error and of what the errors of scale and rotation do at the mosaic's outermost corner.
    """
    reach = mosaic_radius_deg(camera)
    return camera.pointing_error_deg + reach * (camera.scale_error + float(np.radians(camera.rotation_error_deg)))


def mosaic_radius_deg(camera: Camera) -> float:
    """Angle from the boresight to the farthest pixel corner."""
    description = camera.description
    to_pixels = 1.0 if description.position_unit == "px" else 1.0 / description.pixel_size
    radius = max(
        float(np.hypot(*detector.position)) * to_pixels + float(np.hypot(*detector.size)) / 2
        for detector in description.detectors
    )
    return radius * description.pixel_scale / 3600.0


def padded_polygon(ra: np.ndarray, dec: np.ndarray, padding: float) -> ConvexPolygon:
    """A convex polygon that holds every point within ``padding`` degrees of the hull of some positions.

    The hull of regular octagons about the positions, whose sides touch the circle of that radius.

    Parameters
    ----------
    ra, dec
        Degrees, any number of positions.
    padding
        Degrees, 0 or more.
    """
    corners = unit_vectors(np.ravel(ra), np.ravel(dec))
    if padding > 0:
        corners = np.concatenate([_octagon(corner, padding) for corner in corners])
    return ConvexPolygon([UnitVector3d(*map(float, corner)) for corner in corners])


def _octagon(centre: np.ndarray, radius_deg: float) -> np.ndarray:
    """Corners ``[8, 3]`` of an octagon around the circle of a radius about a direction."""
    reach = np.tan(np.radians(radius_deg)) / np.cos(np.pi / _SIDES)
    helper = np.eye(3)[np.argmin(np.abs(centre))]
    one = np.cross(centre, helper)
    one /= np.linalg.norm(one)
    other = np.cross(centre, one)
    turns = np.arange(_SIDES) * (2 * np.pi / _SIDES)
    points = centre + reach * (np.cos(turns)[:, None] * one + np.sin(turns)[:, None] * other)
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


def define_visits(butler: Butler, camera: Camera, frames: Iterable[Frame]) -> int:
    """Define the visits of frames of the sky, one an exposure, and the regions of their detectors.

    Where a visit exists already, its new detectors are added and its region grows to hold them.

    Returns
    -------
    count
        How many visits were new.
    """
    padding = padding_deg(camera)
    by_exposure: dict[int, list[Frame]] = {}
    for frame in frames:
        if frame.corners is not None:
            by_exposure.setdefault(frame.exposure, []).append(frame)
    existing = _existing_visits(butler, camera.name, by_exposure)
    new = 0
    with butler.transaction():
        for exposure, members in by_exposure.items():
            new += _define_visit(butler, members, existing.get(exposure), padding)
    return new


def _existing_visits(butler: Butler, instrument: str, wanted: Iterable[int]) -> dict[int, Any]:
    records = butler.query_dimension_records("visit", instrument=instrument, explain=False, limit=None)
    numbers = set(wanted)
    return {record.id: record for record in records if record.id in numbers}


def _define_visit(butler: Butler, frames: list[Frame], existing: Any, padding: float) -> bool:
    """Write one visit; whether it was new."""
    registry = butler.registry
    regions = {f.detector: padded_polygon(*f.corners, padding) for f in frames if f.corners is not None}
    vertices = [vertex for region in regions.values() for vertex in region.getVertices()]
    record = _visit_record(frames[0])
    if existing is not None:
        record = dict(existing.toDict())
        vertices.extend(existing.region.getVertices() if existing.region is not None else [])
    record["region"] = ConvexPolygon(vertices)
    key = {"instrument": record["instrument"], "visit": record["id"]}
    if existing is None:
        registry.insertDimensionData("visit", record)
        registry.insertDimensionData("visit_definition", {**key, "exposure": record["id"]})
        registry.insertDimensionData("visit_system_membership", {**key, "visit_system": 0})
    else:
        registry.syncDimensionData("visit", record, update=True)
    rows = [{**key, "detector": detector, "region": region} for detector, region in regions.items()]
    registry.insertDimensionData("visit_detector_region", *rows, skip_existing=True)
    return existing is None


def _visit_record(frame: Frame) -> dict[str, Any]:
    exposure = exposure_record(frame.info)
    shared = (
        "instrument",
        "id",
        "physical_filter",
        "day_obs",
        "seq_num",
        "exposure_time",
        "target_name",
        "observation_reason",
        "science_program",
        "azimuth",
        "zenith_angle",
        "timespan",
    )
    return {"name": exposure["obs_id"], **{name: exposure[name] for name in shared}}
