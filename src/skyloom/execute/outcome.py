"""What became of one quantum."""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass
from typing import Any

__all__ = ["Outcome", "Status", "WorkerDied", "describe"]


class Status(enum.StrEnum):
    """How a quantum ended."""

    SUCCEEDED = "succeeded"
    NO_WORK = "no work"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """The end of one quantum.

    Parameters
    ----------
    status
        How it ended.
    written
        Ids of the datasets that it wrote and that are to be kept.
    seconds
        Time it took, s.
    code
        Code of the error (see `skyloom.errors`), or the name of its class.
    reason
        One line that says why, where it did not succeed.
    growth
        Bytes that its worker took at most beyond what it had before.
    """

    status: Status
    written: tuple[uuid.UUID, ...] = ()
    seconds: float = 0.0
    code: str = ""
    reason: str = ""
    growth: int = 0

    @property
    def line(self) -> str:
        """The reason, led by its code."""
        return f"[{self.code}] {self.reason}" if self.code and f"[{self.code}]" not in self.reason else self.reason


@dataclass(frozen=True)
class WorkerDied:
    """A quantum that ended with no account of its own.

    Parameters
    ----------
    reason
        What ended it.
    stderr
        The last that its process wrote to stderr.
    """

    reason: str
    stderr: str = ""
    code: str = "WORKER-DIED"

    @property
    def outcome(self) -> Outcome:
        """The end of the quantum, of which nothing is kept."""
        return Outcome(Status.FAILED, (), 0.0, self.code, self.reason)


def describe(error: BaseException) -> tuple[str, str]:
    """Code and one-line reason of an error; the code of a `skyloom` error wins over the name of its wrapper."""
    code: Any = None
    cause: BaseException | None = error
    while cause is not None and code is None:
        code = getattr(cause, "code", None)
        code = code if isinstance(code, str) else None
        cause = cause.__cause__ or getattr(cause, "error", None)
    text = " ".join(str(error).split()) or type(error).__name__
    return code or type(error).__name__, text
