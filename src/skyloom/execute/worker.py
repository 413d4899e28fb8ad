"""The worker's side of the pool: one process that executes quanta one after the other until it is told to stop.

A worker knows no registry. It reads and writes files through a quantum-backed butler and answers with an `Outcome`.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

from lsst.daf.butler import (
    Config,
    DatasetRef,
    DatasetType,
    DimensionUniverse,
    LimitedButler,
    Quantum,
    QuantumBackedButler,
)
from lsst.daf.butler.logging import ButlerLogRecords
from lsst.pipe.base import AnnotatedPartialOutputsError, NoWorkFound, PipelineTask, TaskFactory
from lsst.pipe.base.pipeline_graph import TaskNode
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from .faults import count_changes
from .memory import PeakMemory
from .outcome import Outcome, Status, WorkerDied, describe
from .stores import FileStores, remove_outputs

__all__ = ["StepSetup", "Worker", "WorkerSetup", "serve"]


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs once: the repository, the configuration of its dimensions, and where stderr goes."""

    repository: str
    dimensions: Config
    stderr: str


@dataclass(frozen=True)
class StepSetup:
    """What a worker needs for each step: the tasks by label, and the registered dataset types by name."""

    tasks: Mapping[str, TaskNode]
    dataset_types: Mapping[str, DatasetType]


class _RecordingFactory(TaskFactory):
    """Makes tasks whose way out of `runQuantum` is remembered, since the executor swallows what was raised."""

    raised: BaseException | None = None

    def makeTask(  # noqa: N802
        self,
        task_node: TaskNode,
        /,
        butler: LimitedButler,
        initInputRefs: Iterable[DatasetRef] | None,  # noqa: N803
    ) -> PipelineTask:
        try:
            task = super().makeTask(task_node, butler, initInputRefs)
        except Exception as error:
            self.raised = error
            raise
        task.runQuantum = self._recorded(task.runQuantum)  # type: ignore[method-assign]
        return task

    def _recorded(self, run_quantum: Callable[..., None]) -> Callable[..., None]:
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                run_quantum(*args, **kwargs)
            except BaseException as error:
                self.raised = error
                raise

        return run


class Worker:
    """Executes the quanta of one step after the other.

    Parameters
    ----------
    setup
        What it works on.
    clears
        Whether what an earlier attempt left of the outputs of a quantum is removed first.
    """

    def __init__(self, setup: WorkerSetup, *, clears: bool = False) -> None:
        self._clears = clears
        self._stores = FileStores(setup.repository, DimensionUniverse(setup.dimensions))
        self._tasks: Mapping[str, TaskNode] = {}
        self._dataset_types: Mapping[str, DatasetType] = {}

    def set_step(self, step: bytes) -> None:
        """Take over the tasks of a step; the universe has to exist before its dataset types are unpickled."""
        self.use(pickle.loads(step))

    def use(self, step: StepSetup) -> None:
        """Take over the tasks of a step."""
        self._tasks, self._dataset_types = step.tasks, step.dataset_types

    def account(self, label: str, quantum_id: uuid.UUID, quantum: bytes) -> Outcome | WorkerDied:
        """Execute one quantum and account for it, also where its failure could not be dealt with here."""
        return self.try_execute(label, quantum_id, lambda: pickle.loads(quantum))

    def try_execute(self, label: str, quantum_id: uuid.UUID, quantum: Callable[[], Quantum]) -> Outcome | WorkerDied:
        """Execute one quantum; where its failure could not be dealt with here, that is the answer."""
        try:
            return self.execute(label, quantum_id, quantum())
        except BaseException as error:
            code, reason = describe(error)
            return WorkerDied(reason, traceback.format_exc(), code)

    def execute(self, label: str, quantum_id: uuid.UUID, quantum: Quantum) -> Outcome:
        """Execute one quantum; what its task raises ends in the outcome."""
        start = time.monotonic()
        with self._stores.butler(quantum, self._dataset_types) as butler:
            if self._clears:
                remove_outputs(butler, (ref for refs in quantum.outputs.values() for ref in refs))
            return self._execute(label, quantum_id, quantum, butler, start)

    def _execute(
        self, label: str, quantum_id: uuid.UUID, quantum: Quantum, butler: QuantumBackedButler, start: float
    ) -> Outcome:
        factory, records = _RecordingFactory(), ButlerLogRecords.from_records([])
        executor = SingleQuantumExecutor(
            butler=butler, task_factory=factory, assume_no_existing_outputs=True, raise_on_partial_outputs=False
        )
        task = self._tasks[label]
        try:
            result = executor.execute(task, quantum, quantum_id, log_records=records)
        except BaseException as error:
            # An error that nobody foresaw says nothing of what was written before it: only the log is kept.
            log = quantum.outputs[task.log_output.dataset_type_name] if task.log_output else []
            kept = {ref.id for ref in log}
            remove_outputs(butler, (ref for refs in quantum.outputs.values() for ref in refs if ref.id not in kept))
            code, reason = describe(factory.raised or error)
            return Outcome(Status.FAILED, tuple(kept), time.monotonic() - start, code, reason)
        seconds = time.monotonic() - start
        put = result.task_metadata["quantum"].getArray("outputs") if result.task_metadata is not None else []
        written = _always_written(task, quantum) + tuple(uuid.UUID(str(one)) for one in put)
        return _judge(factory.raised, bool(result.adjusted_no_work), records, written, seconds)


def _always_written(task: TaskNode, quantum: Quantum) -> tuple[uuid.UUID, ...]:
    """Ids of the metadata and the log of a quantum that ran to its end."""
    names = [edge.dataset_type_name for edge in (task.metadata_output, task.log_output) if edge is not None]
    return tuple(ref.id for name in names for ref in quantum.outputs[name])


def _judge(
    raised: BaseException | None,
    adjusted: bool,
    records: ButlerLogRecords,
    written: tuple[uuid.UUID, ...],
    seconds: float,
) -> Outcome:
    """The outcome of a quantum that the executor carried through."""
    if adjusted:
        said = [record.message.partition("skipping: ")[2] for record in records if "Nothing to do" in record.message]
        return Outcome(Status.NO_WORK, written, seconds, "NoWorkFound", " ".join(said) or "no inputs were left")
    if isinstance(raised, NoWorkFound):
        return Outcome(Status.NO_WORK, written, seconds, *describe(raised))
    if isinstance(raised, AnnotatedPartialOutputsError):
        return Outcome(Status.FAILED, written, seconds, *describe(raised.__cause__ or raised))
    return Outcome(Status.SUCCEEDED, written, seconds)


def _die_with_parent() -> None:
    """End this process when its parent is gone: a resumed run must not meet a writer of the run before."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def _quieten(stderr: str) -> None:
    """Send stdout and stderr of a worker to a file, which tells why when it dies, and its warnings to the logs."""
    handle = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = []
    root.addHandler(logging.NullHandler())
    root.setLevel(logging.INFO)


def serve(connection: Connection, setup: bytes) -> None:
    """Execute what comes through `connection` until it says ``stop`` or breaks.

    Messages are ``("step", bytes)``, ``("quantum", label, id, bytes)`` and ``("stop",)``; each quantum is answered by
    ``(id, end)``; a worker that cannot go on answers ``(None, traceback)``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    try:
        settings: WorkerSetup = pickle.loads(setup)
        _quieten(settings.stderr)
        count_changes("worker", settings.repository)
        worker, memory = Worker(settings), PeakMemory()
        gc.freeze()  # what the fork server imported lives on: collections need not look at it, nor touch its pages
        while (message := connection.recv())[0] != "stop":
            if message[0] == "step":
                worker.set_step(message[1])
                continue
            _, label, quantum_id, quantum = message
            memory.begin()
            end = worker.account(label, quantum_id, quantum)
            if isinstance(end, Outcome):
                end = replace(end, growth=memory.growth())
            connection.send((quantum_id, end))
            memory.tidy()
    except (EOFError, BrokenPipeError):
        return
    except BaseException:
        connection.send((None, traceback.format_exc()))
