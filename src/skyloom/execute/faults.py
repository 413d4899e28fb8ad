"""A test mode that kills a run at its n-th write: what is left has to be gone on with to the same products.

The variable ``SKYLOOM_KILL`` holds ``main:N`` or ``worker:N``: the parent, or a worker with the parent, is killed just
before its N-th change to the repository: a file opened for writing, renamed or removed, a folder made, a line of the
journal, a commit of the registry.  With ``SKYLOOM_KILL_LOG`` each change is also noted in that file, a line
``ROLE N WHAT``; with N = 0 nothing is killed.

``SKYLOOM_KILL=copy:FOLDER`` kills nothing, and copies the repository before each change to ``FOLDER/ROLE_N``: what a
kill at that moment would leave.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

__all__ = ["VARIABLE", "count_changes"]

VARIABLE = "SKYLOOM_KILL"
_LOG = "SKYLOOM_KILL_LOG"
_CHANGES = frozenset(
    {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "skyloom.journal"}
)
_WHOLE = frozenset({".fits", ".parq", ".json", ".yaml"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def count_changes(role: str, repository: str) -> None:
    """Watch this process from now on, if the variable is set.

    Parameters
    ----------
    role
        ``main`` or ``worker``.
    repository
        Its root; changes elsewhere do not count.
    """
    wanted, _, number = os.environ.get(VARIABLE, "").partition(":")
    if not wanted:
        return
    watch = _Watch(
        role,
        str(Path(repository).absolute()),
        fatal=int(number) if wanted == role else 0,
        copies=Path(number) if wanted == "copy" else None,
    )
    sys.addaudithook(watch.heed)
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    event.listen(Engine, "commit", watch.commit)


class _Watch:
    """Counts changes, and kills at one of them."""

    def __init__(self, role: str, root: str, *, fatal: int, copies: Path | None) -> None:
        self._role, self._root, self._fatal, self._copies, self._count = role, root, fatal, copies, 0
        self._log = os.environ.get(_LOG)
        self._busy = False
        self._committed = 0

    def heed(self, event: str, arguments: tuple[Any, ...]) -> None:
        """What Python tells of each operation."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING and self._inside(path):
                self.change(f"open {path}")
        elif event in _CHANGES and self._inside(arguments[0]):
            if event == "os.mkdir" and Path(arguments[0]).exists():
                return  # asked for, and there
            self.change(f"{event} {arguments[0]}")

    def commit(self, connection: Any) -> None:
        """A commit of SQLite that changes a database in the repository."""
        database = connection.engine.url.database
        changes = getattr(connection.connection.dbapi_connection, "total_changes", 0)
        if database and self._inside(database) and changes != self._committed:
            self._committed = changes
            self.change("commit")

    def change(self, what: str) -> None:
        """Count a change; at the fatal one the run ends."""
        if self._busy:
            return
        self._count += 1
        if self._log is not None:
            self._busy = True  # writing the log is no change
            with Path(self._log).open("a") as log:
                log.write(f"{self._role} {self._count} {what}\n")
            self._busy = False
        if self._copies is not None:
            self._busy = True
            _copy(Path(self._root), self._copies / f"{self._role}_{self._count:04d}")
            self._busy = False
        if self._count == self._fatal:
            parent = parent_process()
            if parent is not None and parent.pid is not None:
                os.kill(parent.pid, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    def _inside(self, path: object) -> bool:
        """Whether a path lies in the repository."""
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        return isinstance(path, str | Path) and str(Path(path).absolute()).startswith(self._root)


def _copy(source: Path, target: Path) -> None:
    """A copy of a repository: whole products, which nobody changes any more, as links, all else file by file."""

    def carry(one: str, other: str) -> None:
        path = Path(one)
        if not path.exists():  # the other process has taken it away meanwhile
            return
        if path.suffix in _WHOLE and ".tmp" not in path.name:
            os.link(one, other)
        else:
            shutil.copy2(one, other)

    shutil.copytree(source, target, copy_function=carry)
