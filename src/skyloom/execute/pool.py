"""A pool of warm worker processes, each of which dies alone.

Workers come out of a fork server that has already imported the framework, the tasks and their kernels, so a new one
costs a fork. Each holds one quantum at a time: when a worker is killed (memory, a crash in a library), the parent
knows which quantum went with it, and starts another worker.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from lsst.daf.butler import Config, Quantum

from skyloom.errors import SkyloomError
from skyloom.interrupts import uninterrupted

from .budget import Budget, Running
from .limits import Limits
from .memory import shared_memory
from .outcome import Outcome, WorkerDied
from .worker import StepSetup, WorkerSetup, serve

__all__ = ["WorkerPool"]

_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_PRELOAD = ("skyloom.execute.preload",)
_FAILED_STARTS = 3
_WATCH_SECONDS = 0.2
_OVERSHOOT = 1.05
"""A quantum that runs alone may go this far beyond the ceiling for a moment."""


@dataclass
class _Member:
    """One worker as the parent sees it."""

    process: ForkServerProcess
    connection: Connection
    stderr: Path
    quantum: uuid.UUID | None = None
    label: str = ""
    began: float = 0.0
    base: int = 0
    answered: bool = False


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    """An environment in which numerical libraries start one thread; it reaches the fork server at its start."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class WorkerPool:
    """Workers that execute quanta.

    Parameters
    ----------
    repository
        Root of the repository.
    size
        Number of workers.
    preload
        Modules that the fork server imports beforehand (those of the tasks).
    limits
        Memory of the run, and time of a quantum.
    """

    def __init__(self, repository: str, size: int, preload: Sequence[str] = (), limits: Limits | None = None) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*_PRELOAD, *preload])
        with _single_threaded(), uninterrupted():
            forkserver.ensure_running()  # its imports go on while the caller builds the first graph
        self._folder = tempfile.TemporaryDirectory(prefix="skyloom-workers-")
        self._repository, self._size, self._limits = repository, size, limits or Limits()
        ceiling = self._limits.memory_bytes
        self._budget = None if ceiling is None else Budget(ceiling)
        self._dimensions: Config | None = None
        self._step = b""
        self._count = self._lost_starts = 0
        self._members: list[_Member] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(kill=kind is not None)

    def set_step(self, step: StepSetup, dimensions: Config) -> None:
        """Tell all workers, present and future, the tasks of the step that comes; none may be busy.

        Parameters
        ----------
        step
            The tasks.
        dimensions
            Configuration of the repository's dimensions.
        """
        self._step, self._dimensions = pickle.dumps(step), dimensions
        self._bury_idle()
        for member in self._members:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                member.connection.send(("step", self._step))

    def has_room(self, label: str) -> bool:
        """Whether a worker is idle, or may be started, and the memory suffices for a quantum of a task."""
        idle = [member for member in self._members if member.quantum is None]
        if not idle and len(self._members) >= self._size:
            return False
        if self._budget is None:
            return True
        busy = [member for member in self._members if member.quantum is not None]
        running = [Running(one.label, one.process.pid or 0, one.base) for one in busy]
        return self._budget.fits(label, running, fresh=not idle)

    def submit(self, label: str, quantum_id: uuid.UUID, quantum: Quantum) -> None:
        """Hand a quantum to an idle worker."""
        self._bury_idle()
        member = next((member for member in self._members if member.quantum is None), None) or self._start()
        member.quantum, member.label, member.began = quantum_id, label, time.monotonic()
        if self._budget is not None:
            member.base = shared_memory(member.process.pid or 0)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its death is reported by `wait`
            member.connection.send(("quantum", label, quantum_id, pickle.dumps(quantum)))

    def wait(self, timeout: float | None = None) -> list[tuple[uuid.UUID, Outcome | WorkerDied]]:
        """What ended; waits until something did, or until `timeout` seconds are over.

        What goes beyond the limits is ended: a quantum that takes too long; and when the memory does not suffice, idle
        workers, then the quantum that began last.

        Raises
        ------
        SkyloomError
            Raised if workers cannot begin to work.
        """
        handles: dict[object, _Member] = {}
        for member in self._members:
            handles[member.connection] = handles[member.process.sentinel] = member
        ready, ended = self._wait(list(handles), timeout)
        if ended:
            return ended
        # An answer that was sent before the end of the worker counts: connections are read before sentinels.
        ended = [end for member in self._members.copy() if member.connection in ready for end in self._receive(member)]
        for member in [handles[one] for one in ready if isinstance(one, int)]:
            if member in self._members:
                ended.extend(self._bury(member))
        return ended

    def _wait(
        self, handles: list[object], timeout: float | None
    ) -> tuple[list[object], list[tuple[uuid.UUID, Outcome | WorkerDied]]]:
        """The handles that are ready, or what had to be ended meanwhile."""
        if self._budget is None and self._limits.timeout_s is None:
            return wait(handles, timeout), []  # type: ignore[arg-type, return-value]
        until = None if timeout is None else time.monotonic() + timeout
        while until is None or time.monotonic() < until:
            ready = wait(handles, _WATCH_SECONDS)  # type: ignore[arg-type]
            if ready:
                return ready, []  # type: ignore[return-value]
            ended = self._end_overdue() + self._end_oversized()
            if ended:
                return [], ended
        return [], []

    def _end_overdue(self) -> list[tuple[uuid.UUID, Outcome | WorkerDied]]:
        """Kill the workers whose quantum takes longer than it may."""
        limit = self._limits.timeout_s
        if limit is None:
            return []
        now = time.monotonic()
        late = [one for one in self._members if one.quantum is not None and now - one.began > limit]
        return [self._kill(one, WorkerDied(f"it took more than {limit:g} s", code="TIMEOUT")) for one in late]

    def _end_oversized(self) -> list[tuple[uuid.UUID, Outcome | WorkerDied]]:
        """While the run takes more than its ceiling, end idle workers, then the worker that began last."""
        if self._budget is None or self._budget.used() <= self._budget.ceiling:
            return []
        idle = [one for one in self._members if one.quantum is None]
        for member in idle:
            member.process.kill()
            self._bury(member)
        busy = sorted((one for one in self._members if one.quantum is not None), key=lambda one: one.began)
        used = self._budget.used()
        if not busy or used <= self._budget.ceiling * (1.0 if len(busy) > 1 else _OVERSHOOT):
            return []
        last = busy[-1]
        growth = max(shared_memory(last.process.pid or 0) - last.base, 0)
        self._budget.learn(last.label, growth)
        reason = (
            f"the run took {used / 1e6:.0f} MB, its ceiling is {self._budget.ceiling / 1e6:.0f} MB; this quantum took "
            f"{growth / 1e6:.0f} MB{'' if len(busy) > 1 else ' with nothing beside it: raise --memory'}"
        )
        return [self._kill(last, WorkerDied(reason, code="MEMORY"))]

    def _kill(self, member: _Member, end: WorkerDied) -> tuple[uuid.UUID, Outcome | WorkerDied]:
        """Kill a worker; its quantum ends so."""
        assert member.quantum is not None
        quantum = member.quantum
        member.process.kill()
        self._bury(member)
        return quantum, end

    def close(self, *, kill: bool = False) -> None:
        """Stop the workers: when idle, or at once."""
        for member in self._members:
            if kill:
                member.process.kill()
            else:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    member.connection.send(("stop",))
        for member in self._members:
            member.process.join(timeout=10)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
            member.connection.close()
        self._members.clear()
        self._folder.cleanup()

    def _start(self) -> _Member:
        self._count += 1
        stderr = Path(self._folder.name) / f"{self._count}.stderr"
        assert self._dimensions is not None, "no step was set"
        setup = pickle.dumps(WorkerSetup(self._repository, self._dimensions, str(stderr)))
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, setup), daemon=True)
        with _single_threaded(), uninterrupted():
            process.start()
        theirs.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its death is reported by `wait`
            ours.send(("step", self._step))
        member = _Member(process, ours, stderr)
        self._members.append(member)
        return member

    def _bury_idle(self) -> None:
        """Take workers that died while they had nothing to do off the list."""
        for member in self._members.copy():
            if member.quantum is None and not member.process.is_alive():
                self._bury(member)

    def _receive(self, member: _Member) -> list[tuple[uuid.UUID, Outcome | WorkerDied]]:
        try:
            quantum_id, answer = member.connection.recv()
        except (EOFError, ConnectionResetError):
            return self._bury(member)
        if quantum_id is None:
            raise SkyloomError(f"a worker could not go on: {answer}")
        if self._budget is not None and isinstance(answer, Outcome):
            self._budget.learn(member.label, answer.growth)
        member.quantum, member.answered, self._lost_starts = None, True, 0
        return [(quantum_id, answer)]

    def _bury(self, member: _Member) -> list[tuple[uuid.UUID, Outcome | WorkerDied]]:
        """Take a dead worker off the list; its quantum, if it had one, ended with it."""
        self._members.remove(member)
        member.process.join()
        member.connection.close()
        tail = member.stderr.read_text(errors="replace")[-4000:] if member.stderr.exists() else ""
        if member.quantum is None:
            return []
        if not member.answered and not member.stderr.exists():
            self._lost_starts += 1
            if self._lost_starts >= _FAILED_STARTS:
                raise SkyloomError(f"{self._lost_starts} workers died before they began: {_cause(member.process)}")
        return [(member.quantum, WorkerDied(_cause(member.process), tail))]


def _cause(process: ForkServerProcess) -> str:
    """What ended a process, in words."""
    code = process.exitcode
    if code is None or code >= 0:
        return f"the worker process ended with status {code}"
    name = signal.Signals(-code).name if -code in list(signal.Signals) else str(-code)
    hint = " (short of memory?)" if name == "SIGKILL" else ""
    return f"the worker process was killed by {name}{hint}"
