"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["write_beside"]


def write_beside(path: Path, write: Callable[[Path], object]) -> Path:
    """Write to another name in the same folder, then rename.

    Parameters
    ----------
    path
        What the file is called once it is whole; one that is there is replaced.
    write
        Writes the file to the path that it is given.

    Returns
    -------
    path
        As given.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
