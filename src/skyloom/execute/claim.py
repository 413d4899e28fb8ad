"""A claim on a run in an object store, where files cannot be locked: a small file that its holder writes anew as long
as it works.

Who finds a claim that is older than `LIFE_SECONDS` takes it over, and at once one whose holder was a process of the
same machine that is gone.  Clocks of the machines have to agree to within half of that.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from lsst.resources import ResourcePath

from skyloom.errors import RepositoryError

__all__ = ["LIFE_SECONDS", "Claim"]

LIFE_SECONDS = 90.0
"""How long a claim holds after it was last written."""
_RENEWAL_SECONDS = 20.0
_SETTLING_SECONDS = 0.5
"""Time between writing a claim and looking whose it is: of two that write at once, the later one has it."""


class Claim:
    """A claim that is held until it is released.

    Parameters
    ----------
    uri
        Its file.
    what
        What is claimed, for the error.

    Raises
    ------
    RepositoryError
        Raised if another process holds it.
    """

    def __init__(self, uri: ResourcePath, what: str) -> None:
        self._uri, self._what = uri, what
        self._text = {"token": uuid.uuid4().hex, "pid": os.getpid(), **_here()}
        self._check(_read(uri))
        self._write()
        time.sleep(_SETTLING_SECONDS)
        self._check(_read(uri))
        self._released = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True, name="claim")
        self._keeper.start()

    @staticmethod
    def is_held(uri: ResourcePath) -> bool:
        """Whether somebody holds a claim."""
        return _left(_read(uri)) > 0.0

    def release(self) -> None:
        """Give it back."""
        self._released.set()
        self._keeper.join()
        if _read(self._uri).get("token") == self._text["token"]:
            self._uri.remove()

    def _check(self, found: dict[str, Any]) -> None:
        left = _left(found)
        if left > 0.0 and found["token"] != self._text["token"]:
            who = f"process {found['pid']} on {found['host']}"
            raise RepositoryError(
                f"another process is running in {self._what!r}: {who}.",
                cure=f"Wait for its end, or name another output; if it was killed, its claim ends in {left:.0f} s.",
            )

    def _keep(self) -> None:
        while not self._released.wait(_RENEWAL_SECONDS):
            with contextlib.suppress(Exception):  # a store that is gone for a moment: the next time, or the run itself
                self._write()

    def _write(self) -> None:
        self._uri.write(json.dumps({**self._text, "t": time.time()}).encode())


def _read(uri: ResourcePath) -> dict[str, Any]:
    """What a claim says; nothing where there is none."""
    try:
        found: dict[str, Any] = json.loads(uri.read())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found


def _left(found: dict[str, Any]) -> float:
    """Seconds for which a claim still holds."""
    if not found or (_here().items() <= found.items() and not _lives(found["pid"])):
        return 0.0
    return float(found["t"]) + LIFE_SECONDS - time.time()


def _here() -> dict[str, str | int]:
    """Where a process id means something: this machine, and on it this container."""
    space = Path("/proc/self/ns/pid")
    return {"host": socket.gethostname(), "space": space.stat().st_ino if space.exists() else 0}


def _lives(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
