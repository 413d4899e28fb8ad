"""Which quanta fit into the memory that is left."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from .memory import check_measurable, process_tree, shared_memory

__all__ = ["Budget", "Running"]

_FRESH_WORKER = 120_000_000
"""Bytes that a new worker takes of its own before it has done anything."""
_MARGIN = 1.05
"""What a task takes may differ from frame to frame."""


@dataclass(frozen=True)
class Running:
    """A quantum in a worker: its task, its process, and the memory of the process when it began."""

    label: str
    pid: int
    base: int


@dataclass
class Budget:
    """The memory of a run under a ceiling.

    Parameters
    ----------
    ceiling
        Bytes for this process and all that descend from it.
    """

    ceiling: int
    _growth: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_measurable()

    def learn(self, label: str, growth: int) -> None:
        """A quantum of a task has taken that much beyond what its worker had."""
        self._growth[label] = max(growth, self._growth.get(label, 0))

    def used(self) -> int:
        """Bytes of all processes of the run."""
        return sum(shared_memory(pid) for pid in process_tree(os.getpid()))

    def fits(self, label: str, running: Iterable[Running], *, fresh: bool) -> bool:
        """Whether a quantum of a task may begin beside those that run.

        Where nothing is known of a task yet, no second quantum of it begins before the first has ended.

        Parameters
        ----------
        label
            Its task.
        running
            The others.
        fresh
            Whether it needs a new worker.
        """
        beside = list(running)
        if not beside:
            return True
        if label not in self._growth:
            return all(one.label != label for one in beside) and self._left(beside, fresh) > self.ceiling / 4
        return self._left(beside, fresh) >= self._growth[label] * _MARGIN

    def _left(self, beside: list[Running], fresh: bool) -> float:
        """Bytes that are left when those that run have taken all that they will."""
        to_come = sum(
            max(self._growth.get(one.label, 0) * _MARGIN - (shared_memory(one.pid) - one.base), 0.0) for one in beside
        )
        return self.ceiling - self.used() - to_come - (_FRESH_WORKER if fresh else 0)
