"""What the user typed, for the record of a run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

__all__ = ["command_line"]


def command_line() -> str:
    """The command line; empty where it was not typed into a shell."""
    name, *arguments = sys.argv
    return shlex.join(["skyloom", *arguments]) if Path(name).stem == "skyloom" else ""
