"""Memory of processes as the kernel counts it, and what running a task adds to it.

A page that several processes share counts for each by its share (PSS), so that the sum over the processes of a run is
what the run takes of the machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path

from skyloom.errors import SkyloomError

__all__ = ["PeakMemory", "check_measurable", "parse_size", "process_tree", "shared_memory"]

_PROC = Path("/proc")
_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_TIDY_BYTES = 64_000_000


def parse_size(text: str) -> int:
    """Bytes of a size such as ``800M`` or ``1.5G`` (powers of ten; ``GB`` and ``GiB`` are understood).

    Raises
    ------
    ValueError
        Raised if it is none.
    """
    plain = text.strip().upper()
    binary = plain.endswith("IB")
    plain = plain.removesuffix("IB").removesuffix("B")
    number, unit = (plain[:-1], plain[-1]) if plain[-1:] in _UNITS and plain[-1:] else (plain, "")
    scale = 1024.0 ** list(_UNITS).index(unit) if binary else _UNITS[unit]
    size = float(number) * scale
    if not 0 < size < float("inf"):
        raise ValueError(f"{text!r} is no size")
    return int(size)


def check_measurable() -> None:
    """See that the kernel tells the memory of processes.

    Raises
    ------
    SkyloomError
        Raised where it does not.
    """
    if not (_PROC / "self" / "smaps_rollup").exists():
        raise SkyloomError("this system does not tell the memory of processes", cure="Leave --memory out.")


def process_tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for thread in (_PROC / str(one) / "task").iterdir():
                found.extend(int(child) for child in (thread / "children").read_text().split())
    return found


def shared_memory(pid: int) -> int:
    """Bytes of a process, shared pages by its share (PSS); 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    return 0


class PeakMemory:
    """How much memory this process takes while it works, beyond what it had before."""

    def __init__(self) -> None:
        self._start = self._tidied = _resident()
        self._trim = _malloc_trim()

    def begin(self) -> None:
        """From now on."""
        with contextlib.suppress(OSError):
            (_PROC / "self" / "clear_refs").write_text("5")  # the peak starts anew
        self._start = _resident()

    def growth(self) -> int:
        """Bytes of the peak since `begin` above the memory then; 0 where the kernel does not tell."""
        return max(_status("VmHWM") - self._start, 0)

    def tidy(self) -> None:
        """Give back what is no longer needed, where it has become much: a full collection takes its time."""
        gc.collect(0)
        if _resident() - self._tidied < _TIDY_BYTES:
            return
        gc.collect()
        self._trim()
        self._tidied = _resident()


def _malloc_trim() -> Callable[[], object]:
    """What makes the C library give free memory back to the system, where it can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return (lambda: None) if trim is None else (lambda: trim(0))


def _resident() -> int:
    """Bytes of this process in memory."""
    try:
        return int((_PROC / "self" / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _status(name: str) -> int:
    with contextlib.suppress(OSError):
        for line in (_PROC / "self" / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return 1024 * int(line.split()[1])
    return 0
