"""`TaskRunner`: calls a task for each data id of a classic command, in this process or in several."""

from __future__ import annotations

import argparse
import cProfile
import importlib
import io
import logging
import multiprocessing
import pickle
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

from lsst.daf.butler import Butler
from lsst.daf.butler.logging import ButlerLogRecordHandler, ButlerLogRecords
from lsst.pipe.base import NoWorkFound, Struct
from lsst.pipe.base.pipeline_graph import PipelineGraph

from .classic_ids import overlapping_frames
from .data_reference import ButlerDataRef

__all__ = ["CoaddTaskRunner", "TaskRunner"]

type Target = tuple[ButlerDataRef, Mapping[str, Any]]
"""A data reference, and what else ``runDataRef`` is given."""


class TaskRunner:
    """Calls a task for each data id.

    One that fails is logged, and the others go on, unless --doraise is given.

    Parameters
    ----------
    TaskClass
        The task.
    parsedCmd
        The options of the command.
    doReturnResults
        Whether what the task returns is kept.
    """

    def __init__(self, TaskClass: Any, parsedCmd: argparse.Namespace, doReturnResults: bool = False) -> None:
        self.TaskClass = TaskClass
        self.doReturnResults = doReturnResults
        self.config = parsedCmd.config
        self.doRaise = bool(parsedCmd.doraise)
        self.debug = bool(parsedCmd.debug)
        self.log_levels = logging.getLogger().level
        self.processes = parsedCmd.processes if TaskClass.canMultiprocess else 1
        self.timeout: float | None = parsedCmd.timeout
        self.profile: str | None = parsedCmd.profile

    def makeTask(self) -> Any:
        """The task, with the settings of the command; ``debug.debug_frames`` becomes its own if it has them."""
        task = self.TaskClass(config=self.config)
        frames = getattr(importlib.import_module("debug"), "debug_frames", None) if self.debug else None
        if frames is not None and hasattr(task, "debug_frames"):
            task.debug_frames = frames
        return task

    def getTargetList(self, parsedCmd: argparse.Namespace, **kwargs: Any) -> list[Target]:
        """What the task is called with: each data reference of --id, and the keywords that ``runDataRef`` gets."""
        return [(ref, kwargs) for ref in parsedCmd.id.refList]

    def precall(self, parsedCmd: argparse.Namespace) -> None:
        """Register dataset types, and write settings, schemas and versions, or compare those that are there.

        Raises
        ------
        skyloom.tasks.classic.ClassicMismatchError
            If the output was made under others.
        """
        butler: Butler = parsedCmd.butler
        graph = PipelineGraph(universe=butler.dimensions)
        graph.add_task(self.TaskClass._DefaultName, self.TaskClass, self.config)
        graph.resolve(butler.registry)
        graph.register_dataset_types(butler)
        task, back_up = self.makeTask(), not parsedCmd.noBackupConfig
        task.writeConfig(butler, clobber=parsedCmd.clobberConfig, doBackup=back_up)
        task.writeSchemas(butler, clobber=parsedCmd.clobberConfig, doBackup=back_up)
        if not parsedCmd.noVersions:
            task.writePackageVersions(butler, clobber=parsedCmd.clobberVersions, doBackup=back_up)

    def run(self, parsedCmd: argparse.Namespace) -> list[Struct]:
        """Call the task for all data ids.

        Returns
        -------
        list of Struct
            As `__call__` returns them, in the order of the data ids.
        """
        self.precall(parsedCmd)
        targets = self.getTargetList(parsedCmd)
        if not targets:
            parsedCmd.log.warning("there is nothing to run on: see --show data")
        if self.processes > 1 and len(targets) > 1:
            return _InProcesses(self, targets).run()
        with _profiled(self.profile):
            return [self(target) for target in targets]

    def __call__(self, target: Target) -> Struct:
        """Call the task for one data id.

        Returns
        -------
        Struct
            ``exitStatus``: 0, or 1 if it failed.  ``dataRef``: of the data id.  Where results are returned also
            ``result``, None if it failed, and ``metadata``.  Of several processes, results that cannot be pickled stay
            where they are, and ``result`` is None.
        """
        ref, kwargs = target
        task = self.makeTask()
        status, result = 0, None
        with _recorded() as records:
            task.log.info("processing %s", ref)
            try:
                result = task.runDataRef(ref, **kwargs)
                task.writeMetadata(ref)
                task.writeLog(ref, records)
            except NoWorkFound as nothing:
                task.log.warning("nothing to do for %s: %s", ref, nothing)
            except Exception as error:
                if self.doRaise:
                    raise
                task.log.error("failed on %s: %s: %s", ref, type(error).__name__, error)
                task.log.debug("where %s failed", ref, exc_info=True)
                task.writeLog(ref, records)
                status = 1
        if not self.doReturnResults:
            return Struct(exitStatus=status, dataRef=ref)
        return Struct(exitStatus=status, dataRef=ref, result=result, metadata=task.getFullMetadata())


class CoaddTaskRunner(TaskRunner):
    """Calls a task for each patch, with the frames to make it of as ``selectDataList``.

    They are those of --selectId, or those that touch the patch.
    """

    def __init__(self, TaskClass: Any, parsedCmd: argparse.Namespace, doReturnResults: bool = False) -> None:
        super().__init__(TaskClass, parsedCmd, doReturnResults)
        self.reuse = bool(getattr(parsedCmd, "reuse", False))

    def makeTask(self) -> Any:
        """The task; with --reuse one that keeps the warps that are there."""
        return self.TaskClass(config=self.config, reuse=True) if self.reuse else super().makeTask()

    def getTargetList(self, parsedCmd: argparse.Namespace, **kwargs: Any) -> list[Target]:
        """Each patch of --id, with its frames."""
        chosen = parsedCmd.selectId
        return [
            (ref, kwargs | {"selectDataList": self._frames(parsedCmd, chosen, ref)}) for ref in parsedCmd.id.refList
        ]

    def _frames(self, parsed: argparse.Namespace, chosen: Any, patch: ButlerDataRef) -> Sequence[ButlerDataRef]:
        if not chosen.idList:
            return overlapping_frames(parsed.within, patch, "exposures")
        band = patch.dataId.mapping.get("band")
        return [ref for ref in chosen.refList if band is None or ref.dataId["band"] == band]


class _InProcesses:
    """Calls a task in several processes; one that dies takes the data id that it was at with it."""

    def __init__(self, runner: TaskRunner, targets: Sequence[Target]) -> None:
        self._runner, self._targets = runner, targets
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([runner.TaskClass.__module__])
        self._waiting = deque(range(len(targets)))
        self._active: dict[Connection, tuple[Any, int]] = {}
        self._results: dict[int, Struct] = {}
        self._end = None if runner.timeout is None else time.monotonic() + runner.timeout

    def run(self) -> list[Struct]:
        """The results in the order of the targets."""
        try:
            for _ in range(min(self._runner.processes, len(self._targets))):
                self._start()
            while self._active:
                left = None if self._end is None else max(0.0, self._end - time.monotonic())
                ready = wait(list(self._active), left)
                if not ready:
                    break
                for connection in ready:
                    self._take(connection)  # type: ignore[arg-type]
        finally:
            for process, _ in self._active.values():
                process.kill()
        for place in [place for _, place in self._active.values()] + list(self._waiting):
            self._fail(place, f"not done within {self._runner.timeout} s")
        return [self._results[place] for place in range(len(self._targets))]

    def _start(self) -> None:
        mine, other = self._context.Pipe()
        butler = self._targets[0][0].butler
        process = self._context.Process(target=_work, args=(other, self._runner, butler, sys.path), daemon=True)
        process.start()
        other.close()
        self._hand_out(mine, process)

    def _hand_out(self, connection: Connection, process: Any) -> None:
        """Give a process the next data id, or let it end."""
        if not self._waiting:
            connection.close()
            process.join()
            return
        place = self._waiting.popleft()
        self._active[connection] = process, place
        connection.send_bytes(_packed(self._targets[place]))

    def _take(self, connection: Connection) -> None:
        """Take in what a process answered, or that it is dead."""
        process, place = self._active.pop(connection)
        try:
            answer: Struct | Exception = _unpacked(connection.recv_bytes(), self._targets[place][0].butler)
        except (EOFError, ConnectionError):
            process.join()
            self._fail(place, f"its process ended with {process.exitcode}")
            if self._waiting:
                self._start()
            return
        if isinstance(answer, Exception):
            raise answer
        answer.dataRef = self._targets[place][0]
        self._results[place] = answer
        self._hand_out(connection, process)

    def _fail(self, place: int, reason: str) -> None:
        ref = self._targets[place][0]
        logging.getLogger(__name__).error("failed on %s: %s", ref, reason)
        result = Struct(exitStatus=1, dataRef=ref)
        if self._runner.doReturnResults:
            result.result = result.metadata = None
        self._results[place] = result


def _work(connection: Connection, runner: TaskRunner, butler: Butler, path: list[str]) -> None:
    """Call the task for each data id that comes, until no more does."""
    sys.path[:] = path
    logging.basicConfig(level=runner.log_levels, format="%(name)s %(levelname)s: %(message)s")
    try:
        while True:
            target = _unpacked(connection.recv_bytes(), butler)
            try:
                answer: Any = runner(target)
                answer.dataRef = None
            except Exception as error:
                answer = error
            connection.send_bytes(_sendable(answer))
    except EOFError:
        return


def _sendable(answer: Any) -> bytes:
    """An answer for the other process, without a result that cannot leave this one, as frames with a WCS cannot."""
    try:
        return _packed(answer)
    except (TypeError, AttributeError, pickle.PicklingError):
        if isinstance(answer, Exception):
            return _packed(RuntimeError(f"{type(answer).__name__}: {answer}"))
        answer.result = None
        return _packed(answer)


def _packed(value: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()


def _unpacked(data: bytes, butler: Butler) -> Any:
    return _Unpickler(io.BytesIO(data), butler).load()


class _Pickler(pickle.Pickler):
    """Leaves the butler out: each process has one of its own."""

    def persistent_id(self, obj: Any) -> str | None:
        return "butler" if isinstance(obj, Butler) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, butler: Butler) -> None:
        super().__init__(file)
        self._butler = butler

    def persistent_load(self, pid: Any) -> Butler:
        return self._butler


@contextmanager
def _recorded() -> Iterator[ButlerLogRecords]:
    """Everything that is logged meanwhile."""
    handler = ButlerLogRecordHandler()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield handler.records
    finally:
        root.removeHandler(handler)


@contextmanager
def _profiled(file: str | None) -> Iterator[None]:
    """Write a profile of what happens."""
    if file is None:
        yield
        return
    profile = cProfile.Profile()
    try:
        with profile:
            yield
    finally:
        profile.dump_stats(file)
