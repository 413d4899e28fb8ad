"""How far a run is, what failed, and where its time went, as its journal tells, also while it goes on."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from lsst.daf.butler import Butler, CollectionType  # type: ignore[attr-defined]

from skyloom.errors import RepositoryError

from .journal import Journal
from .outcome import Status

__all__ = ["FailureGroup", "Progress", "RunStatus", "StepTimes", "newest_run", "progress_of", "read_status"]


@dataclass
class StepTimes:
    """Wall time of one part of a run."""

    name: str
    seconds: float = 0.0
    """Wall."""
    busy: dict[str, float] = field(default_factory=dict)
    """Task: seconds that workers were busy with it."""
    capacity: float = 0.0
    """Seconds that all workers together had."""


@dataclass
class FailureGroup:
    """Failures for one reason, numbers and files aside."""

    task: str
    line: str
    """The reason of the first."""
    names: list[str] = field(default_factory=list)
    """The quanta."""
    product: str = ""
    """What the first was to write, and its data id, for `skyloom why`."""


@dataclass
class Progress:
    """How fast the step that a run is at goes on."""

    step: str
    left: int
    """Quanta that have not ended."""
    per_minute: float
    """Quanta that ended a minute, since this call began with the step."""
    seconds_left: float | None
    """Estimate from what quanta of each task took; None before the first has ended."""
    running: list[tuple[str, float]] = field(default_factory=list)
    """What is being worked at, and for how many seconds, the longest first."""


@dataclass
class RunStatus:
    """What the journal of a run tells."""

    run: str
    is_running: bool
    totals: dict[str, int] = field(default_factory=dict)
    """Task: its quanta, as far as their graphs have been built."""
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Task: quanta by how they ended; ``running`` for those that have not."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Quantum and reason."""
    groups: list[FailureGroup] = field(default_factory=list)
    """The same by their reasons, the most frequent first."""
    progress: Progress | None = None
    """Of the step that is being worked at; None between steps and where the run does not go on."""
    times: list[StepTimes] = field(default_factory=list)
    """Parts of the run, all its calls together, in the order of their first beginning."""

    @property
    def wall(self) -> float:
        """Seconds of all parts."""
        return sum(part.seconds for part in self.times)


def newest_run(butler: Butler, output: str | None = None) -> str:
    """The run that was gone on with last, of an output or of the whole repository.

    Raises
    ------
    RepositoryError
        If no run has a journal.
    """
    found: list[tuple[float, str]] = []
    for run in butler.collections.query("*" if output is None else f"{output}*", CollectionType.RUN):
        if output is not None and run != output and not run.startswith(f"{output}/"):
            continue
        events = Journal.read_events(butler, run)
        if events:
            found.append((float(events[-1].get("t", 0.0)), run))
    if not found:
        raise RepositoryError(
            "no run is here" if output is None else f"{output!r} holds no run", cure="Start one with `skyloom run`."
        )
    return max(found)[1]


def read_status(butler: Butler, run: str) -> RunStatus:
    """What the journal of a run tells; see `newest_run`.

    A run that was killed is seen not to be running; the quanta that it was at count as ``stopped``.
    """
    status = RunStatus(run, Journal.is_open(butler, run))
    events = Journal.read_events(butler, run)
    states: dict[tuple[str, ...], tuple[str, str]] = {}
    for event in events:
        _follow(event, states, status, "running" if status.is_running else "stopped")
    for key, (state, line) in states.items():
        status.counts.setdefault(key[0], Counter())[state] += 1
        if state == Status.FAILED:
            status.failures.append((" ".join(key), line))
    status.groups = _grouped(events, states)
    status.times = _times(events)
    if status.is_running:
        status.progress = progress_of(events, states, time.time())
    return status


def _grouped(events: list[dict[str, Any]], states: dict[tuple[str, ...], tuple[str, str]]) -> list[FailureGroup]:
    """Failures by their reasons."""
    outputs: dict[tuple[str, ...], list[Any]] = {}
    for event in events:
        if event["event"] == "start":
            outputs[tuple(event["key"])] = event["outputs"]
        elif event["event"] == "end":
            key = tuple(event["key"])
            outputs[key] = [one for one in outputs.get(key, ()) if one[2] not in event["written"]]
    groups: dict[tuple[str, str], FailureGroup] = {}
    for key, (state, line) in states.items():
        if state == Status.FAILED:
            likeness = re.sub(r"[\d.]+", "#", re.sub(r"\S*/\S*", "", line))
            group = groups.setdefault((key[0], likeness), FailureGroup(key[0], line))
            group.names.append(" ".join(key))
            group.product = group.product or _product(outputs.get(key, ()))
    return sorted(groups.values(), key=lambda group: -len(group.names))


def _product(outputs: Any) -> str:
    """Of what a quantum did not write, that with the shortest name, with its data id as words."""
    lacking = [(len(name), name, data_id) for name, data_id, _ in outputs if not name.endswith(("_log", "_metadata"))]
    if not lacking:
        return ""
    _, name, data_id = min(lacking, key=lambda one: one[:2])
    return " ".join([name, *(f"{key}={value}" for key, value in data_id.items())])


def progress_of(
    events: list[dict[str, Any]], states: dict[tuple[str, ...], tuple[str, str]], now: float
) -> Progress | None:
    """Rate and estimate of the step that is being worked at; None where the last phase is not work.

    Parameters
    ----------
    events
        Those of the journal.
    states
        By quantum, how it ended and why; ``running`` for those that have not.
    now
        Unix time.
    """
    place = max((number for number, event in enumerate(events) if event["event"] == "phase"), default=None)
    if place is None or events[place]["name"] != "work":
        return None
    phase, since = events[place], events[place + 1 :]
    took: dict[str, list[float]] = {}
    for event in since:
        if event["event"] == "end":
            took.setdefault(event["key"][0], []).append(float(event["s"]))
    begun = {tuple(event["key"]): float(event["t"]) for event in since if event["event"] == "start"}
    done = Counter(key[0] for key, (state, _) in states.items() if state != "running")
    left = {task: max(total - done[task], 0) for task, total in phase.get("totals", {}).items()}
    every = [one for ones in took.values() for one in ones]
    elapsed = max(now - float(phase["t"]), 1e-3)
    running = [(" ".join(key), now - begun.get(key, now)) for key, (state, _) in states.items() if state == "running"]
    return Progress(
        phase.get("step", ""),
        sum(left.values()),
        60.0 * len(every) / elapsed,
        _estimate(left, took, every, elapsed),
        sorted(running, key=lambda one: -one[1]),
    )


def _estimate(left: dict[str, int], took: dict[str, list[float]], every: list[float], elapsed: float) -> float | None:
    """Seconds that quanta will still take, if as many work beside each other as until now."""
    if not sum(every) > 0.0:
        return None
    mean = sum(every) / len(every)
    work = sum(count * (sum(took[task]) / len(took[task]) if task in took else mean) for task, count in left.items())
    return work * elapsed / sum(every)


def _follow(
    event: dict[str, Any], states: dict[tuple[str, ...], tuple[str, str]], status: RunStatus, unfinished: str
) -> None:
    """Take in one event."""
    key = tuple(event.get("key", ()))
    match event["event"]:
        case "start":
            states[key] = (unfinished, "")
        case "end":
            states[key] = (event["status"], event["line"])
        case "drop":
            states.pop(key, None)
        case "phase" if "totals" in event:
            status.totals |= event["totals"]


def _times(events: list[dict[str, Any]]) -> list[StepTimes]:
    """Wall time by part: a part ends where the next begins, or with the last line of a call that was killed."""
    parts: dict[str, StepTimes] = {}
    now, since, last = "start-up", 0.0, 0.0
    workers = 0
    for event in events:
        time = float(event.get("t", last))
        if event["event"] == "settings":
            _close(parts, now, last - since, workers)
            now, since, workers = "start-up", float(event.get("begun", time)), 0
        elif event["event"] == "phase":
            _close(parts, now, time - since, workers)
            now, since = " ".join(filter(None, (event["name"], event.get("step", "")))), time
            workers = event.get("processes", 0)
        elif event["event"] == "end":
            busy = parts.setdefault(now, StepTimes(now)).busy
            busy[event["key"][0]] = busy.get(event["key"][0], 0.0) + event["s"]
        last = time
    _close(parts, now, last - since, workers)
    return [part for part in parts.values() if part.name != "end"]


def _close(parts: dict[str, StepTimes], name: str, seconds: float, workers: int) -> None:
    if seconds > 0.0:
        part = parts.setdefault(name, StepTimes(name))
        part.seconds += seconds
        part.capacity += seconds * workers
