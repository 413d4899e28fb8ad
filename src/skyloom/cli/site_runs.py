"""What the journals of an output's runs tell, as the site takes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from skyloom.errors import RepositoryError
from skyloom.execute.journal import Journal
from skyloom.execute.status import newest_run, read_status
from skyloom.report.site_run import Failure, RunSummary, runs_of

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

__all__ = ["newest_output", "run_summaries"]


def newest_output(butler: Butler) -> str:
    """The chain of the run that was gone on with last; the run itself where it is in no chain of its name."""
    run = newest_run(butler)
    chain = run.rpartition("/")[0]
    try:
        return chain if run in runs_of(butler, chain or run) else run
    except RepositoryError:
        return run


def run_summaries(butler: Butler, output: str) -> list[RunSummary]:
    """The runs of an output that have a journal, the newest first."""
    return [one for one in (_summary(butler, run) for run in runs_of(butler, output)) if one is not None]


def _summary(butler: Butler, run: str) -> RunSummary | None:
    events = Journal.read_events(butler, run)
    settings = next((event for event in reversed(events) if event["event"] == "settings"), None)
    if settings is None:
        return None
    begun = min(float(event["begun"]) for event in events if event["event"] == "settings")
    status = read_status(butler, run)
    busy: dict[str, float] = {}
    for part in status.times:
        for task, seconds in part.busy.items():
            busy[task] = busy.get(task, 0.0) + seconds
    return RunSummary(
        run=run,
        pipeline=str(settings.get("pipeline", "")),
        begun=datetime.fromtimestamp(begun, UTC).strftime("%Y-%m-%d %H:%M"),
        wall_s=status.wall,
        inputs=settings.get("inputs", []),
        versions=settings.get("versions", {}),
        counts=status.counts,
        busy_s=busy,
        failures=list(_failures(events)),
    )


def _failures(events: Sequence[dict[str, Any]]) -> Iterator[Failure]:
    """The quanta whose last end was a failure; their data ids are those of what they were to write."""
    ids: dict[tuple[str, ...], dict[str, Any]] = {}
    ends: dict[tuple[str, ...], tuple[str, str]] = {}
    for event in events:
        key = tuple(event.get("key", ()))
        match event["event"]:
            case "start":
                ids[key] = max((data_id for _, data_id, _ in event["outputs"]), key=len, default={})
            case "end":
                ends[key] = event["status"], event["line"]
            case "drop":
                ends.pop(key, None)
    for key, (status, line) in ends.items():
        if status == "failed":
            yield Failure(task=key[0], data_id=ids.get(key, {}), reason=line)
