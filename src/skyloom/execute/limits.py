"""What a run may take, and what is tried again."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TRIED_AGAIN", "Limits"]

TRIED_AGAIN = frozenset(
    {
        "WORKER-DIED",
        "TIMEOUT",
        "MEMORY",
        "MemoryError",
        "OSError",
        "BlockingIOError",
        "BrokenPipeError",
        "ConnectionAbortedError",
        "ConnectionError",
        "ConnectionRefusedError",
        "ConnectionResetError",
        "InterruptedError",
        "TimeoutError",
    }
)
"""Codes of ends that have causes outside the frame: memory, the machine, the network, the disk.  What a frame itself
causes would come again."""


@dataclass(frozen=True)
class Limits:
    """What a run may take.

    Parameters
    ----------
    memory_bytes
        Ceiling of the memory of all processes of the run together; None for no ceiling.
    timeout_s
        Time that a quantum may take, s; None for no limit.
    retries
        How often a quantum is tried again that ended by one of `TRIED_AGAIN`; then alone, with nothing beside it.
    """

    memory_bytes: int | None = None
    timeout_s: float | None = None
    retries: int = 1
