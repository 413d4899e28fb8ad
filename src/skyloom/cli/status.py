"""``skyloom status``: how far a run is, what failed, and where its time went."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from .options import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from skyloom.execute.status import FailureGroup, Progress, RunStatus

_STATES = ("succeeded", "no work", "failed", "running", "stopped")


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.option("-o", "--output", help="Output chain, or run.  [default: the run that was gone on with last]")
@click.option("--times", is_flag=True, help="Show where the wall time went.")
@click.option("--most", type=click.IntRange(min=0), default=20, show_default=True, help="Most reasons to print.")
def command(repo: str, output: str | None, times: bool, most: int) -> None:
    """Tell how far a run of REPO is and what failed, also from another terminal while it goes on.

    Failures are told by their reasons, each with the command that tells more.
    """
    from lsst.daf.butler import Butler
    from rich.console import Console

    from skyloom.execute.status import newest_run, read_status

    console = Console(highlight=False, soft_wrap=True)
    with Butler.from_config(repo) as butler:
        status = read_status(butler, newest_run(butler, output))
    console.print(f"{status.run}: {'running' if status.is_running else 'not running'}", markup=False)
    console.print(_counts(status))
    if status.progress is not None:
        for line in _progress(status.progress):
            console.print(line, markup=False)
    for group in status.groups[:most]:
        for line in _failures(group, repo):
            console.print(line, markup=False)
    if len(status.groups) > most:
        console.print(f"... and {sum(len(group.names) for group in status.groups[most:])} more failures")
    if any(counts["stopped"] for counts in status.counts.values()):
        console.print("it was stopped; the same command as before goes on from here")
    if times:
        console.print(_times(status))


def _progress(progress: Progress, most: int = 5) -> Iterator[str]:
    """Rate and estimate of a step, and what is being worked at."""
    left = "" if progress.seconds_left is None else f", about {_duration(progress.seconds_left)} more"
    yield f"step {progress.step}: {progress.left} left, {progress.per_minute:.1f} a minute{left}"
    for name, seconds in progress.running[:most]:
        yield f"at work: {name}, for {_duration(seconds)}"
    if len(progress.running) > most:
        yield f"... and {len(progress.running) - most} more"


def _failures(group: FailureGroup, repo: str) -> Iterator[str]:
    """One reason, what failed by it, and what tells more."""
    yield f"failed: {group.names[0]}: {group.line}"
    rest = group.names[1:]
    if rest:
        more = f" and {len(rest) - 5} more" if len(rest) > 5 else ""
        yield f"  {len(group.names)} in all; also {', '.join(rest[:5])}{more}"
    if group.product:
        yield f"  skyloom why {repo} {group.product}"


def _duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    minutes = round(seconds / 60.0)
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    return table


def _counts(status: RunStatus) -> Table:
    table = _table("task", "quanta", *_STATES)
    for task in status.totals | status.counts:
        counts = status.counts.get(task, Counter())
        table.add_row(task, str(status.totals.get(task, "")), *(str(counts[state]) for state in _STATES))
    return table


def _times(status: RunStatus) -> Table:
    """A row a part of the run, below it one a task of its share of the workers' time."""
    table = _table("part", "wall, s", "share", "busy, s")
    for part in status.times:
        table.add_row(part.name, f"{part.seconds:.1f}", f"{100 * part.seconds / max(status.wall, 1e-9):.0f} %", "")
        for task, busy in part.busy.items():
            share = f"{100 * busy / part.capacity:.0f} %" if part.capacity else ""
            table.add_row(f"  {task}", "", share, f"{busy:.1f}")
        if part.capacity:
            idle = max(part.capacity - sum(part.busy.values()), 0.0)
            table.add_row("  workers idle", "", f"{100 * idle / part.capacity:.0f} %", f"{idle:.1f}")
    table.add_row("all", f"{status.wall:.1f}", "", "")
    return table
