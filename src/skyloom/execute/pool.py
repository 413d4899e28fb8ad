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
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from lsst.daf.butler import Config, Quantum

from skyloom.errors import SkyloomError

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


@dataclass
class _Member:
    """One worker as the parent sees it."""

    process: ForkServerProcess
    connection: Connection
    stderr: Path
    quantum: uuid.UUID | None = None
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
    """

    def __init__(self, repository: str, size: int, preload: Sequence[str] = ()) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*_PRELOAD, *preload])
        with _single_threaded():
            forkserver.ensure_running()  # its imports go on while the caller builds the first graph
        self._folder = tempfile.TemporaryDirectory(prefix="skyloom-workers-")
        self._repository, self._size = repository, size
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

    @property
    def has_room(self) -> bool:
        """Whether a worker is idle, or may be started."""
        return len(self._members) < self._size or any(member.quantum is None for member in self._members)

    def submit(self, label: str, quantum_id: uuid.UUID, quantum: Quantum) -> None:
        """Hand a quantum to an idle worker."""
        self._bury_idle()
        member = next((member for member in self._members if member.quantum is None), None) or self._start()
        member.quantum = quantum_id
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its death is reported by `wait`
            member.connection.send(("quantum", label, quantum_id, pickle.dumps(quantum)))

    def wait(self, timeout: float | None = None) -> list[tuple[uuid.UUID, Outcome | WorkerDied]]:
        """What ended; waits until something did, or until `timeout` seconds are over.

        Raises
        ------
        SkyloomError
            Raised if workers cannot begin to work.
        """
        handles: dict[object, _Member] = {}
        for member in self._members:
            handles[member.connection] = handles[member.process.sentinel] = member
        ready = wait(list(handles), timeout)  # type: ignore[arg-type]
        # An answer that was sent before the end of the worker counts: connections are read before sentinels.
        ended = [end for member in self._members.copy() if member.connection in ready for end in self._receive(member)]
        for member in [handles[one] for one in ready if isinstance(one, int)]:
            if member in self._members:
                ended.extend(self._bury(member))
        return ended

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
        with _single_threaded():
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
