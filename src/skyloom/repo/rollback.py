"""What a process that was killed in the middle of a write leaves in a repository's database."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

__all__ = ["roll_back"]

_DATABASE = "gen3.sqlite3"


def roll_back(root: str | Path) -> None:
    """Undo a write that was broken off by a kill, so that the repository can be opened for reading, too.

    SQLite does it when the database is next opened, but not if that is for reading only.  A write that goes on, and a
    database elsewhere, are left alone; so is one that may not be written to.

    Parameters
    ----------
    root
        Folder or URI of the repository.
    """
    database = Path(root) / _DATABASE
    journal = database.with_name(f"{_DATABASE}-journal")
    if not journal.is_file():
        return
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database, timeout=1.0)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
