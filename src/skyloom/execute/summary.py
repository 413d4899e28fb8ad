"""What a run came to: counts for each task, and every failure with its reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from .outcome import Outcome, Status

__all__ = ["Failure", "RunSummary"]


@dataclass(frozen=True)
class Failure:
    """One failed quantum: its task, the frame or patch, and the reason led by its code."""

    task: str
    name: str
    line: str


@dataclass
class RunSummary:
    """The account of a run.

    Parameters
    ----------
    run
        The RUN collection that was written to.
    output
        The chain it belongs to.
    """

    run: str
    output: str
    counts: dict[str, Counter[Status]] = field(default_factory=dict)
    kept: Counter[str] = field(default_factory=Counter)
    stale: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: bool = False

    def add(self, task: str, name: str, outcome: Outcome, *, kept: bool) -> None:
        """Count a quantum."""
        self.counts.setdefault(task, Counter())[outcome.status] += 1
        self.kept[task] += kept
        if outcome.status is Status.FAILED:
            self.failures.append(Failure(task, name, outcome.line))

    def total(self, status: Status) -> int:
        """Number of quanta that ended so."""
        return sum(counter[status] for counter in self.counts.values())

    @property
    def exit_status(self) -> int:
        """0 if everything succeeded or had no work, 1 if a quantum failed or a step could not begin."""
        return 1 if self.failures or self.stopped else 0

    def show(self, console: Console) -> None:
        """Print the table, the failures and the notes."""
        table = Table(box=None, pad_edge=False)
        for name in ("task", "succeeded", "no work", "failed", "kept", "made anew"):
            table.add_column(name, justify="left" if name == "task" else "right")
        for task, counter in self.counts.items():
            row = [counter[status] for status in Status]
            table.add_row(task, *(str(number) for number in (*row, self.kept[task], self.stale[task])))
        if self.counts:
            console.print(table)
        for failure in self.failures:
            text = f"failed: {failure.task} {failure.name}: {failure.line}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        for note in self.notes:
            console.print(note, markup=False, highlight=False, soft_wrap=True)
        console.print(f"written to {self.run}", markup=False, highlight=False, soft_wrap=True)
