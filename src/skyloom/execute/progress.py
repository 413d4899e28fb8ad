"""What a user sees of a run while it lasts: bars on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .outcome import Outcome, Status

__all__ = ["Bars", "Lines", "Reporter", "Silence"]

_LOG = logging.getLogger("skyloom.run")


class Reporter(Protocol):
    """Takes in what happens in a run."""

    def begin(self, step: str, totals: Mapping[str, int]) -> None:
        """A step begins; its tasks have that many quanta."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def end(self, task: str, name: str, outcome: Outcome, *, kept: bool) -> None:
        """A quantum ended, or was kept from an earlier run."""

    def close(self) -> None:
        """The run is over."""


class Silence:
    """Shows nothing; the log still gets its lines."""

    def begin(self, step: str, totals: Mapping[str, int]) -> None:
        """Log the step."""
        counts = ", ".join(f"{count} {task}" for task, count in totals.items())
        _LOG.info("step %s: %s", step, counts)

    def note(self, text: str) -> None:
        """Log the line."""
        _LOG.info("%s", text)

    def end(self, task: str, name: str, outcome: Outcome, *, kept: bool) -> None:
        """Log the quantum."""
        level = logging.WARNING if outcome.status is Status.FAILED and not kept else logging.INFO
        how = f"{outcome.status} before" if kept else f"{outcome.status} in {outcome.seconds:.1f} s"
        _LOG.log(level, "%s %s: %s%s", task, name, how, f": {outcome.line}" if outcome.line else "")

    def close(self) -> None:
        """Nothing is open."""


class Lines(Silence):
    """One line for what failed, and a count now and then.

    Parameters
    ----------
    console
        Where the lines go.
    interval
        Least time between two counts, s.
    """

    def __init__(self, console: Console, interval: float = 30.0) -> None:
        self._console, self._interval = console, interval
        self._done = self._total = 0
        self._last = time.monotonic()

    def begin(self, step: str, totals: Mapping[str, int]) -> None:
        """Print the step with its counts."""
        super().begin(step, totals)
        self._done, self._total = 0, sum(totals.values())
        counts = ", ".join(f"{count} {task}" for task, count in totals.items())
        self._print(f"step {step}: {counts or 'nothing to do'}")

    def note(self, text: str) -> None:
        """Print the line."""
        super().note(text)
        self._print(text)

    def end(self, task: str, name: str, outcome: Outcome, *, kept: bool) -> None:
        """Print a failure, or the count if the last one is long ago."""
        super().end(task, name, outcome, kept=kept)
        self._done += 1
        if outcome.status is Status.FAILED and not kept:
            self._print(f"{task} {name}: failed: {outcome.line}")
        if time.monotonic() - self._last > self._interval:
            self._print(f"{self._done} of {self._total}")

    def _print(self, text: str) -> None:
        self._last = time.monotonic()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Bars(Silence):
    """A bar for each task with the time that is left.

    Parameters
    ----------
    console
        The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}", style="red"),
            console=console,
        )
        self._progress.start()
        self._bars: dict[str, TaskID] = {}
        self._failed: dict[str, int] = {}

    def begin(self, step: str, totals: Mapping[str, int]) -> None:
        """Open a bar for each task."""
        super().begin(step, totals)
        for task, total in totals.items():
            self._bars[task] = self._progress.add_task(task, total=total, failed="")
            self._failed[task] = 0

    def note(self, text: str) -> None:
        """Print the line above the bars."""
        super().note(text)
        self._progress.console.print(text, markup=False, highlight=False)

    def end(self, task: str, name: str, outcome: Outcome, *, kept: bool) -> None:
        """Move the bar."""
        super().end(task, name, outcome, kept=kept)
        self._failed[task] += outcome.status is Status.FAILED
        failed = f"{self._failed[task]} failed" if self._failed[task] else ""
        self._progress.update(self._bars[task], advance=1, failed=failed)

    def close(self) -> None:
        """Leave the bars as they are."""
        self._progress.stop()
