"""How far a run is, what failed, and where its time went, as its journal tells, also while it goes on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from lsst.daf.butler import Butler, CollectionType  # type: ignore[attr-defined]

from skyloom.errors import RepositoryError

from .journal import Journal
from .outcome import Status

__all__ = ["RunStatus", "StepTimes", "newest_run", "read_status"]


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
    status.times = _times(events)
    return status


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
