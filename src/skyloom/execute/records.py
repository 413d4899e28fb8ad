"""What runs have left behind of themselves: their tasks, and the account of every quantum.

A run of `skyloom run` is known by its journal; one of ``pipetask`` by the logs and metadata of its quanta.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from lsst.daf.butler import (  # type: ignore[attr-defined]
    Butler,
    CollectionType,
    DataCoordinate,
    MissingCollectionError,
)
from lsst.pipe.base import QuantumSuccessCaveats

from skyloom.errors import RepositoryError

from .journal import Journal, Key
from .outcome import Status

__all__ = ["Account", "Connection", "RunRecord", "TaskRecord", "output_of", "runs_with_tasks", "scope_of"]

_CONFIG, _LOG, _METADATA = "_config", "_log", "_metadata"
_NO_WORK = re.compile(r"(?:saving metadata and skipping|exited early with no work found): (.*?)\.?$")
"""What the executor says, if it logs as much."""
_LOUD = ("WARNING", "ERROR", "CRITICAL", "FATAL")


@dataclass(frozen=True)
class Connection:
    """One kind of dataset that a task reads or writes."""

    name: str
    """Dataset type, without the component."""
    dimensions: tuple[str, ...]
    multiple: bool
    minimum: int
    """How many there must be, lest a quantum has no work."""
    is_calibration: bool = False


@dataclass(frozen=True)
class TaskRecord:
    """A task of a run, as its stored configuration tells it."""

    label: str
    dimensions: tuple[str, ...]
    config: Any
    inputs: tuple[Connection, ...]
    prerequisites: tuple[Connection, ...]
    outputs: tuple[Connection, ...]

    @classmethod
    def of_config(cls, label: str, config: Any) -> TaskRecord:
        """A task by its label and its configuration."""
        connections = config.connections.ConnectionsClass(config=config)

        def read(names: Iterable[str]) -> tuple[Connection, ...]:
            return tuple(_connection(getattr(connections, name)) for name in sorted(names))

        return cls(
            label,
            tuple(sorted(connections.dimensions)),
            config,
            read(connections.inputs),
            read(connections.prerequisiteInputs),
            read(connections.outputs),
        )


def _connection(one: Any) -> Connection:
    return Connection(
        name=one.name.partition(".")[0],
        dimensions=tuple(one.dimensions),
        multiple=bool(one.multiple),
        minimum=int(getattr(one, "minimum", 1)),
        is_calibration=bool(getattr(one, "isCalibration", False)),
    )


@dataclass(frozen=True)
class Account:
    """How a quantum fared."""

    label: str
    run: str
    status: Status | None
    """None where it was begun and has not ended."""
    line: str = ""
    """The reason, where it did not succeed."""
    code: str = ""
    cause: str = ""
    """The reason without code and cure, where they are known apart."""
    cure: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What the task keeps of it in its metadata."""
    outputs: Sequence[tuple[str, Mapping[str, Any], bool]] = ()
    """Dataset type, data id and whether it was written, of all that it was to write, where a journal tells it."""

    def wrote(self, dataset_type: str, data_id: DataCoordinate) -> bool:
        """Whether the journal says that it wrote a dataset."""
        values = dict(data_id.required)
        return any(done and name == dataset_type and dict(one) == values for name, one, done in self.outputs)


class RunRecord:
    """One RUN collection.

    Parameters
    ----------
    butler
        The repository.
    run
        Its name.
    """

    def __init__(self, butler: Butler, run: str) -> None:
        self._butler, self.run = butler, run
        self.settings: list[dict[str, Any]] = []
        self.phases: list[dict[str, Any]] = []
        self._quanta: dict[Key, dict[str, Any]] = {}
        events = Journal.read_events(butler, run)
        for event in events:
            self._follow(event)
        self.has_journal = bool(events)
        self.last_time = float(events[-1].get("t", 0.0)) if events else 0.0
        self.is_open = self.has_journal and Journal.is_open(butler, run)
        self.ended = bool(events) and (events[-1]["event"], events[-1].get("name")) == ("phase", "end")

    def _follow(self, event: dict[str, Any]) -> None:
        key = tuple(event.get("key", ()))
        match event["event"]:
            case "settings":
                self.settings.append(event)
            case "phase":
                self.phases.append(event)
            case "start":
                self._quanta[key] = event
            case "end":
                self._quanta[key] = self._quanta.get(key, {}) | event
            case "drop":
                self._quanta.pop(key, None)

    @cached_property
    def dataset_types(self) -> frozenset[str]:
        """Names of the dataset types of which there is something in the run."""
        found = self._butler.collections.get_info(self.run, include_summary=True).dataset_types
        return frozenset(found or ())

    @cached_property
    def tasks(self) -> dict[str, TaskRecord]:
        """The tasks by their labels, those that the run has not come to with their usual configuration.

        One whose configuration cannot be read any more is left out.
        """
        found = {}
        for name in sorted(self.dataset_types):
            label = name.removesuffix(_CONFIG)
            if label == name or self._butler.get_dataset_type(name).storageClass_name != "Config":
                continue
            try:
                found[label] = TaskRecord.of_config(label, self._butler.get(name, collections=self.run))
            except (FileNotFoundError, ImportError):
                continue
        return self._to_come(found) | found

    def _to_come(self, known: Mapping[str, TaskRecord]) -> dict[str, TaskRecord]:
        """The other tasks of the pipeline, as their classes tell them."""
        classes = {label: name for one in self.settings for label, name in one.get("classes", {}).items()}
        found = {}
        for label, name in classes.items():
            if label in known:
                continue
            module, _, short = name.rpartition(".")
            try:
                found[label] = TaskRecord.of_config(
                    label, getattr(importlib.import_module(module), short).ConfigClass()
                )
            except (ImportError, AttributeError):
                continue
        return found

    @property
    def asked(self) -> set[str]:
        """Labels of the tasks that the run was to work through, or the ones it has worked at."""
        return {label for one in self.settings for label in one["tasks"]} or set(self.tasks)

    @property
    def reached(self) -> set[str]:
        """Labels of the tasks of which a graph had quanta."""
        return {label for phase in self.phases for label in phase.get("totals", ())}

    @property
    def last_graph(self) -> float:
        """When the last of the quantum graphs was begun, Unix time; 0 if none was."""
        return max((float(phase["t"]) for phase in self.phases if phase["name"] == "graph"), default=0.0)

    def makers(self, dataset_type: str) -> list[TaskRecord]:
        """The tasks of the run that write a dataset type."""
        return [task for task in self.tasks.values() if any(one.name == dataset_type for one in task.outputs)]

    def account(self, label: str, data_id: DataCoordinate) -> Account | None:
        """How a quantum fared; None where the run knows nothing of it.

        Parameters
        ----------
        label
            Label of the task.
        data_id
            Data id of the quantum.
        """
        event = self._quanta.get((label, *(str(value) for value in data_id.required_values)))
        if event is None:
            return None if self.has_journal else self._from_logs(label, data_id)
        written = set(event.get("written", ()))
        outputs = tuple((name, one, mark in written) for name, one, mark in event.get("outputs", ()))
        if "status" not in event:
            return Account(label, self.run, None, outputs=outputs)
        figures = self._figures(label, data_id)
        code, cause, cure = _failure(figures)
        return Account(label, self.run, Status(event["status"]), event["line"], code, cause, cure, figures, outputs)

    def messages(self, label: str, data_id: DataCoordinate) -> list[tuple[str, str]]:
        """Level and text of what a quantum logged, in order; none where there is no log."""
        records = self._get(label + _LOG, data_id) or []
        return [(record.levelname, " ".join(record.message.split())) for record in records if record.message.strip()]

    def warnings(self, label: str, data_id: DataCoordinate) -> list[str]:
        """The warnings and errors of a quantum."""
        return [text for level, text in self.messages(label, data_id) if level in _LOUD]

    def _from_logs(self, label: str, data_id: DataCoordinate) -> Account | None:
        """The account of a quantum of a run without a journal: the log is written last, the metadata if it ended."""
        log = self.messages(label, data_id)
        metadata = self._get(label + _METADATA, data_id)
        if not log and metadata is None:
            return None
        if metadata is None:
            words = [text for level, text in log if level in ("ERROR", "CRITICAL", "FATAL")]
            text = words[-1].partition(" failed. Exception ")[2] or words[-1] if words else "its log tells no error"
            return Account(label, self.run, Status.FAILED, text, cause=text)
        figures = self._figures(label, data_id)
        code, cause, cure = _failure(figures)
        if cause:
            line = f"[{code}] {cause}" if code else cause
            return Account(label, self.run, Status.FAILED, line, code, cause, cure, figures)
        caveats = QuantumSuccessCaveats(int(metadata["quantum"].get("caveats", 0)))
        if QuantumSuccessCaveats.NO_WORK in caveats:
            said = [_NO_WORK.search(text) for _, text in log]
            reason = next((one[1] for one in said if one is not None), "it found nothing to do")
            return Account(label, self.run, Status.NO_WORK, reason, figures=figures)
        return Account(label, self.run, Status.SUCCEEDED, figures=figures)

    def _figures(self, label: str, data_id: DataCoordinate) -> dict[str, Any]:
        metadata = self._get(label + _METADATA, data_id)
        return {} if metadata is None else dict(metadata.to_dict().get(label, {}))

    def _get(self, name: str, data_id: DataCoordinate) -> Any:
        """A dataset of the run, None where there is none or its file is gone."""
        if name not in self.dataset_types:
            return None
        ref = self._butler.find_dataset(name, data_id, collections=self.run)
        try:
            return None if ref is None else self._butler.get(ref)
        except FileNotFoundError:
            return None


def _failure(figures: Mapping[str, Any]) -> tuple[str, str, str]:
    """Code, cause and cure of the failure that a task keeps in its metadata."""
    failure = figures.get("failure") or {}
    if not isinstance(failure, Mapping):
        return "", str(failure), ""
    details = failure.get("metadata", {})
    code, cure = str(details.get("code", "")), str(details.get("cure", ""))
    cause = str(failure.get("message", "")).removesuffix(cure).strip()
    return code, cause.replace(f"[{code}] ", "", 1), cure


def runs_with_tasks(butler: Butler, pattern: str = "*") -> Iterator[str]:
    """The RUN collections in which tasks have run."""
    for info in butler.collections.query_info(pattern, CollectionType.RUN, include_summary=True):
        if any(name.endswith(_CONFIG) for name in info.dataset_types or ()):
            yield info.name


def output_of(butler: Butler, run: str) -> str:
    """The chain of runs that a run belongs to, or the run itself."""
    parents = butler.collections.get_info(run, include_parents=True).parents or ()
    chains = [one for one in parents if run.startswith(f"{one}/")] or [
        one for one in parents if butler.collections.get_info(one).type is CollectionType.CHAINED
    ]
    return max(chains, key=len) if chains else run


def scope_of(butler: Butler, output: str | None, dataset_type: str) -> tuple[str, list[RunRecord]]:
    """Where to look for a product: an output, and the runs that are behind it, newest first.

    Parameters
    ----------
    butler
        The repository.
    output
        Chain or run; None for the newest run that has, or makes, the dataset type, or else the newest of all.

    Returns
    -------
    output, records
        The collection; the runs of it and of its inputs in which tasks have run.  Empty where nothing has run.

    Raises
    ------
    RepositoryError
        If there is no such output.
    """
    record = cache(lambda run: RunRecord(butler, run))
    if output is None:
        everywhere = [record(run) for run in runs_with_tasks(butler)]
        if not everywhere:
            return "", []
        everywhere.sort(key=lambda one: (one.last_time or _begun(one.run), one.run), reverse=True)
        fitting = (one for one in everywhere if dataset_type in one.dataset_types or one.makers(dataset_type))
        output = output_of(butler, next(fitting, everywhere[0]).run)
    try:
        runs = butler.collections.query(output, CollectionType.RUN, flatten_chains=True)
    except MissingCollectionError as error:
        raise RepositoryError(f"there is no collection {output!r}.", cure="See 'skyloom status REPO'.") from error
    known = set(runs_with_tasks(butler))
    return output, [record(run) for run in runs if run in known]


def _begun(run: str) -> float:
    """When a run was begun that keeps no journal, Unix time, by the time stamp in its name; 0 where it has none."""
    found = re.search(r"(\d{8}T\d{6})Z", run)
    return datetime.strptime(f"{found[1]}+0000", "%Y%m%dT%H%M%S%z").timestamp() if found else 0.0
