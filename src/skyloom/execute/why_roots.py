"""Why there is no raw frame or no calibration: of what no task of a pipeline makes."""

from __future__ import annotations

import re
from typing import Any

from lsst.daf.butler import (  # type: ignore[attr-defined]
    CollectionType,
    DataCoordinate,
    MissingCollectionError,
    MissingDatasetTypeError,
    Timespan,
)

from skyloom.repo.collections import calib_collection
from skyloom.repo.ingest_record import LeftOut, read_left_out

from .why_chain import Kind, Link
from .why_scope import Scope

__all__ = ["missing_calibration", "missing_frame", "missing_other"]

_IMPORTED = {
    "refcat": ("Import a reference catalogue that covers the field.", "skyloom refcat import {repo} FILE ..."),
    "sky_map": ("Make a sky map.", "skyloom skymap make {repo} NAME ..."),
    "camera": ("Describe the camera to the repository.", "skyloom init {repo} --camera CAMERA"),
}


def missing_frame(scope: Scope, dataset_type: str, values: dict[str, Any]) -> Link:
    """Why a frame is not in the repository, by the record of ingest.

    Parameters
    ----------
    scope
        Where to look.
    dataset_type
        ``raw``, or ``post_isr`` of a camera whose frames come corrected.
    values
        ``exposure`` or ``visit``, and ``detector`` where it is known.
    """
    exposure, detector = values.get("exposure", values.get("visit")), values.get("detector")
    name = scope.name(dataset_type, {key: value for key, value in values.items() if value is not None})
    told = _refusal(scope, exposure, detector)
    if told is not None:
        where = f"{told.keyword}: " if told.keyword else ""
        return Link(
            name,
            Kind.REFUSED,
            f"{told.file}: {where}{told.cause}",
            told.cure,
            f"skyloom ingest {scope.repository} {told.file}",
        )
    others = _detectors(scope, exposure)
    known = f"detectors {', '.join(map(str, others))} of it are there" if others else "no detector of it is there"
    return Link(
        name,
        Kind.NOT_INGESTED,
        f"no frame of exposure {exposure}"
        + (f", detector {detector}, was ever ingested ({known})" if detector is not None else " was ever ingested"),
        "Ingest its file.",
        f"skyloom ingest {scope.repository} PATHS",
    )


def _refusal(scope: Scope, exposure: Any, detector: Any) -> LeftOut | None:
    """What ingest said of a frame: by its header, or of an unreadable one by the number in its file's name."""
    number = re.compile(rf"(?<!\d)0*{exposure}(?!\d)")
    guess: LeftOut | None = None
    for one in read_left_out(scope.butler):
        if one.exposure == exposure and (None in (one.detector, detector) or one.detector == detector):
            return one
        if guess is None and number.search(one.file.rpartition("/")[2]):
            guess = one
    return guess


def _detectors(scope: Scope, exposure: Any) -> list[int]:
    return sorted(int(ref.dataId["detector"]) for ref in scope.refs("raw", {"exposure": exposure}))


def missing_calibration(scope: Scope, dataset_type: str, frame: DataCoordinate, label: str = "") -> Link | None:
    """Why a frame has no calibration of a type that is valid at its date; None if it has one.

    Without a frame, why there is none at all.

    Parameters
    ----------
    scope
        Where to look.
    dataset_type
        A calibration.
    frame
        Data id of the frame, or of a quantum that works on it, with its records.
    label
        Label of the task that needs it.
    """
    kind = scope.butler.get_dataset_type(dataset_type)
    data_id = frame.subset(kind.dimensions)
    taken = _taken(frame)
    collection = calib_collection(str(frame["instrument"]))
    try:
        if taken is not None and scope.butler.find_dataset(
            kind, data_id, collections=scope.collections, timespan=taken
        ):
            return None
        ranges = _validity(scope, dataset_type, collection, data_id)
    except (MissingCollectionError, MissingDatasetTypeError):
        ranges = []
    begin: Any = None if taken is None else taken.begin
    when = "" if begin is None else str(begin.utc.strftime("%Y-%m-%dT%H:%M:%S"))
    have = f"those that are certified hold {', '.join(ranges)}" if ranges else "none was ever certified"
    if taken is None and ranges:
        return None
    name = scope.name(dataset_type, data_id)
    return Link(
        name,
        Kind.NO_CALIBRATION,
        f"no {dataset_type} is valid at {when}; {have}" if when else have,
        f"Build or import one that holds then, or switch the correction off{f' in {label}' if label else ''}.",
        f"skyloom calibs import {scope.repository} {_import_name(dataset_type)} FILES"
        + (f" --begin {when[:10]}" if when else ""),
    )


def _import_name(dataset_type: str) -> str:
    return {"brighterFatterKernel": "brighter_fatter"}.get(dataset_type, dataset_type)


def _taken(frame: DataCoordinate) -> Timespan | None:
    """When a frame was taken."""
    for element in ("exposure", "visit"):
        if element in frame.dimensions.names and frame.hasRecords():
            record: Any = frame.records[element]
            return None if record is None else record.timespan
    return None


def _validity(scope: Scope, dataset_type: str, collection: str, data_id: DataCoordinate) -> list[str]:
    """The dates for which calibrations of a data id are certified."""
    found = scope.butler.registry.queryDatasetAssociations(
        dataset_type, collections=[collection], collectionTypes={CollectionType.CALIBRATION}
    )
    spans = [one.timespan for one in found if one.ref.dataId == data_id and one.timespan is not None]
    return sorted(f"from {_date(span.begin, 'ever')} to {_date(span.end, 'ever')}" for span in spans)


def _date(time: Any, unbound: str) -> str:
    return str(time.utc.strftime("%Y-%m-%d")) if hasattr(time, "utc") else unbound


def missing_other(scope: Scope, dataset_type: str, values: dict[str, Any]) -> Link:
    """Of what no task and no ingest makes."""
    cure, command = _IMPORTED.get(dataset_type, ("Check its name, or run a pipeline that makes it.", ""))
    return Link(
        scope.name(dataset_type, values),
        Kind.NO_RUN,
        "nothing of it is in the repository, and no task that is known makes it",
        cure,
        command.format(repo=scope.repository),
    )
