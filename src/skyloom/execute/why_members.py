"""What is in a product that is there: which frames, with what weight, and what became of those that are not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lsst.daf.butler import DataCoordinate, DatasetRef

from skyloom.repo.file_record import FileRecord, read_file_record

from .records import Connection, RunRecord, TaskRecord
from .why_chain import Kind, Link, without_repeats
from .why_cures import cure_of_words
from .why_scope import Scope

__all__ = ["Members", "no_overlap"]

type Explain = Callable[[str, DataCoordinate, Mapping[str, Any] | None], Link]

_MOST = 200
_JOINT = ("joint_wcs", "joint_photo_calib")
_REFUSED = "Look at its stars; warps can be made with its own calibration: -c make_direct_warp:use_joint_wcs=False"


class Members:
    """The members of one product.

    Parameters
    ----------
    scope
        Where to look.
    ref
        The product.
    data_id
        Its data id with all that follows from it.
    """

    def __init__(self, scope: Scope, ref: DatasetRef, data_id: DataCoordinate) -> None:
        self._scope, self._ref, self._data_id = scope, ref, data_id
        self._name = scope.name(ref.datasetType.name, ref.dataId)

    def plain(self, focus: Mapping[str, Any]) -> Link:
        """A product of which nobody knows how it was made."""
        return Link(self._name, Kind.THERE, f"in {self._ref.run}" + (", whatever is in it" if focus else ""))

    def tell(
        self,
        task: TaskRecord,
        record: RunRecord,
        focus: Mapping[str, Any],
        explain: Explain,
        unexpected: Callable[[Connection, DataCoordinate, Mapping[str, Any]], Link],
    ) -> Link:
        """What is in it; of what is not, why.

        Parameters
        ----------
        task, record
            What made it.
        focus
            Values that choose a member, such as ``visit``; empty for all.
        explain
            Tells of another product why it is as it is.
        unexpected
            Tells of an input that cannot be why that is so.
        """
        rows = self._rows(focus)
        if focus and rows:
            return Link(self._name, Kind.THERE, f"{_words(focus)} is in it: {'; '.join(map(_row_words, rows))}")
        if rows is None and self._ref.datasetType.name in _JOINT:
            return self._joint(focus)
        if not focus and rows is None:
            return Link(self._name, Kind.THERE, f"in {self._ref.run}")
        absent = without_repeats(self._absent(task, record, focus, explain, unexpected, rows))
        if not focus:
            return Link(self._name, Kind.THERE, f"in {self._ref.run}, {_made_of(rows or [])}", because=tuple(absent))
        if absent:
            return Link(self._name, Kind.WITHOUT, _words(focus), because=tuple(absent))
        inputs = self._inputs_with(task, focus)
        told = f"made with {', '.join(inputs)}" if inputs else f"{_words(focus)} has no part in it that is recorded"
        return Link(self._name, Kind.THERE, told)

    def _joint(self, focus: Mapping[str, Any]) -> Link:
        """A table of the joint calibration, and the detectors that it has no solution for."""
        table = self._scope.butler.get(self._ref)
        rows = [row for row in table if focus.get("detector", row["detector"]) == row["detector"]]
        refused = tuple(
            Link(f"{self._name} detector={row['detector']}", Kind.LEFT_OUT, str(row["reason"]), _REFUSED)
            for row in rows
            if row["refused"]
        )
        there = f"in {self._ref.run}, with {len(rows) - len(refused)} of {len(rows)} detectors"
        if focus and (refused or not rows):
            return Link(self._name, Kind.WITHOUT, _words(focus), "" if rows else _REFUSED, because=refused)
        return Link(self._name, Kind.THERE, there, because=refused)

    def _rows(self, focus: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The rows of the table of inputs that fit; None where the product has no such table."""
        if "inputs" not in self._ref.datasetType.storageClass.allComponents():
            return None
        table = self._scope.butler.get(self._ref.makeComponentRef("inputs"))
        if table is None:
            return None
        known = [key for key in focus if key in table.colnames]
        rows = [{name: row[name] for name in table.colnames if name != "psf"} for row in table]
        return [row for row in rows if all(row[key] == focus[key] for key in known)]

    def _absent(
        self,
        task: TaskRecord,
        record: RunRecord,
        focus: Mapping[str, Any],
        explain: Explain,
        unexpected: Callable[[Connection, DataCoordinate, Mapping[str, Any]], Link],
        rows: list[dict[str, Any]] | None,
    ) -> Iterator[Link]:
        """Members that could be in the product and are not, each with its cause."""
        inside = {row["visit"] for row in rows or ()}
        quantum = self._scope.expand(dict(self._data_id.mapping), task.dimensions)
        if quantum is None:
            return
        for connection in task.inputs:
            dimensions = self._scope.butler.dimensions.conform(connection.dimensions)
            keys = set(dimensions.names)
            if not keys & set(focus) and not (not focus and "visit" in keys):
                continue
            found = self._scope.expected(task, connection, quantum)
            chosen = [one for one in found if all(one.mapping.get(key, value) == value for key, value in focus.items())]
            if focus and not chosen:
                yield unexpected(connection, quantum, focus)
            for one in chosen[:_MOST]:
                if rows is not None and not focus and one["visit"] in inside:
                    continue
                rest = {key: value for key, value in focus.items() if key not in one.mapping}
                link = explain(connection.name, one, rest)
                if not link.is_there:
                    yield link
                elif rest or rows is not None:
                    yield self._dropped(task, record, quantum, connection, one, rest)

    def _dropped(
        self,
        task: TaskRecord,
        record: RunRecord,
        quantum: DataCoordinate,
        connection: Connection,
        one: DataCoordinate,
        rest: Mapping[str, Any],
    ) -> Link:
        """A member that is there, and that the task left out."""
        name = self._scope.name(connection.name, one)
        reason = self._reason(task, record, quantum, one)
        if not reason and self._scope.find(connection.name, one) is not None and not self._read(connection.name, one):
            settings = record.settings[-1] if record.settings else None
            command = self._scope.commands.run(settings, record.run.rpartition("/")[0])
            return Link(name, Kind.NEWER, f"it was not there when {task.label} made this", "Run again.", command)
        reason = reason or "it was read, and nothing says why it is not in it"
        cure, setting = cure_of_words(reason, task.label)
        settings = record.settings[-1] if record.settings else None
        command = self._scope.commands.run(settings, record.run.rpartition("/")[0], setting) if setting else ""
        return Link(name, Kind.LEFT_OUT, f"{task.label}: {reason}", cure, command)

    def _reason(self, task: TaskRecord, record: RunRecord, quantum: DataCoordinate, one: DataCoordinate) -> str:
        """What a task says of a visit that it left out."""
        if "visit" not in one.mapping:
            return ""
        visit = one["visit"]
        for text in record.warnings(task.label, quantum):
            if "left out" in text and re.search(rf"visit {visit}\b", text):
                return text
        if getattr(task.config, "doSelectVisits", False):
            chosen = self._selected(task, quantum)
            if chosen is not None and visit not in chosen:
                return f"visit {visit} is not among the selected visits"
        return ""

    def _selected(self, task: TaskRecord, quantum: DataCoordinate) -> set[int] | None:
        for connection in task.inputs:
            if connection.name.endswith("_visits"):
                for ref in self._scope.refs(connection.name, dict(quantum.required)):
                    return {int(one) for one in self._scope.butler.get(ref)}
        return None

    def _read(self, name: str, one: DataCoordinate) -> bool:
        """Whether an input was read for the product, by what its file says; True where it says nothing."""
        record = self._file_record()
        ref = self._scope.find(name, one)
        return record is None or ref is None or not record.inputs or ref.id in {given.id for given in record.inputs}

    def _file_record(self) -> FileRecord | None:
        return read_file_record(self._scope.butler.getURI(self._ref))

    def _inputs_with(self, task: TaskRecord, focus: Mapping[str, Any]) -> list[str]:
        """Names of the inputs that a product was made with and that fit."""
        record = self._file_record()
        given = set() if record is None else {one.id for one in record.inputs}
        return [
            self._scope.name(connection.name, ref.dataId)
            for connection in task.inputs
            for ref in self._scope.refs(connection.name, {**self._data_id.mapping, **focus})
            if ref.id in given and any(key in ref.dataId.mapping for key in focus)
        ]


def no_overlap(scope: Scope, connection: Connection, quantum: DataCoordinate, own: Mapping[str, Any]) -> Link:
    """Of an input of a quantum that does not lie where its product does; ``own`` is what its data id would be."""
    sky = [key for key in ("tract", "patch") if key in quantum]
    place = _words({key: quantum[key] for key in sky or quantum.required})
    frame = {key: value for key, value in own.items() if key in ("visit", "exposure", "detector")}
    colour = {key: quantum[key] for key in ("band", "physical_filter") if key in quantum}
    if not frame and colour and not _has_exposures(scope, colour):
        return Link(
            scope.name("raw", colour),
            Kind.NO_FRAMES,
            f"no frame of {_words(colour)} was ever ingested",
            "Ingest such frames.",
            f"skyloom ingest {scope.repository} PATHS",
        )
    cause = f"{_words(frame)} does not reach {place}" if frame else f"no frame reaches {place}"
    return Link(
        scope.name(connection.name, own),
        Kind.NO_OVERLAP,
        f"{cause}, by the regions of the frames",
        "Nothing, unless a position is wrong; 'skyloom skymap find' tells what lies where.",
    )


def _has_exposures(scope: Scope, values: Mapping[str, Any]) -> bool:
    """Whether there are exposures of a band or filter."""
    where = " AND ".join(f"{key} = {value!r}" for key, value in values.items())
    return bool(scope.butler.query_data_ids(["exposure"], where=where, explain=False, limit=1))


def _words(focus: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in focus.items() if key not in ("instrument", "skymap"))


def _row_words(row: Mapping[str, Any]) -> str:
    told = [f"detector {row['detector']}" if "detector" in row else ""]
    told += [f"weight {float(row['weight']):.4g}" if "weight" in row else ""]
    told += [f"{int(row['n_pixels'])} pixels" if "n_pixels" in row else ""]
    return ", ".join(filter(None, told))


def _made_of(rows: list[dict[str, Any]]) -> str:
    visits = sorted({int(row["visit"]) for row in rows})
    shown = ", ".join(map(str, visits[:20])) + (", ..." if len(visits) > 20 else "")
    return f"made of {len(visits)} visit(s): {shown}" if visits else "made of nothing"
