"""``skyloom status``: how far a run is, what failed, and where its time went."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from skyloom.execute.status import RunStatus

_STATES = ("succeeded", "no work", "failed", "running", "stopped")


@click.command()
@click.argument("repo", type=click.Path(exists=True, file_okay=False))
@click.option("-o", "--output", help="Output chain, or run.  [default: the run that was gone on with last]")
@click.option("--times", is_flag=True, help="Show where the wall time went.")
@click.option("--most", type=click.IntRange(min=0), default=20, show_default=True, help="Most failures to print.")
def command(repo: str, output: str | None, times: bool, most: int) -> None:
    """Tell how far a run of REPO is and what failed, also from another terminal while it goes on."""
    from lsst.daf.butler import Butler
    from rich.console import Console

    from skyloom.execute.status import newest_run, read_status

    console = Console(highlight=False, soft_wrap=True)
    with Butler.from_config(repo) as butler:
        status = read_status(butler, newest_run(butler, output))
    console.print(f"{status.run}: {'running' if status.is_running else 'not running'}", markup=False)
    console.print(_counts(status))
    for name, line in status.failures[:most]:
        console.print(f"failed: {name}: {line}", markup=False)
    if len(status.failures) > most:
        console.print(f"... and {len(status.failures) - most} more failures")
    if times:
        console.print(_times(status))


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
