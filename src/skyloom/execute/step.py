"""One step: its quanta in the order of their inputs, in a pool of workers, with everything that may go wrong."""

from __future__ import annotations

import heapq
import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterable

from lsst.daf.butler import Butler, DatasetRef, NamedKeyDict, Quantum
from lsst.daf.butler.logging import ButlerLogRecord, ButlerLogRecords
from lsst.pipe.base.graph_walker import GraphWalker
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from .journal import Journal, Key, Past, digest, key_of
from .limits import TRIED_AGAIN
from .outcome import Outcome, Status, WorkerDied
from .pool import WorkerPool
from .progress import Reporter
from .register import Registrar
from .stores import remove_outputs
from .summary import RunSummary
from .worker import StepSetup

__all__ = ["StepRun"]

type Ready = tuple[int, tuple[str, ...], uuid.UUID]
"""A quantum after its rank: the place of its task, its data id."""

_FLUSH_SECONDS = 60.0
_FLUSH_DATASETS = 5000


class StepRun:
    """Executes the quanta of one graph.

    A quantum that failed counts as ended: what depends on it runs on the inputs that exist.

    Parameters
    ----------
    butler
        Writeable butler of the repository.
    graph
        The graph, as `build_graph` makes it.
    journal, registrar, pool, reporter, summary
        The rest of the run, which outlives the step.
    retry
        Whether quanta that failed or had no work are tried again.
    retries
        How often a quantum is tried again at once that ended by one of `TRIED_AGAIN`.
    """

    def __init__(
        self,
        butler: Butler,
        graph: PredictedQuantumGraph,
        *,
        journal: Journal,
        registrar: Registrar,
        pool: WorkerPool,
        reporter: Reporter,
        summary: RunSummary,
        retry: bool = False,
        retries: int = 0,
    ) -> None:
        self._retries = retries
        self._butler, self._graph, self._journal, self._registrar = butler, graph, journal, registrar
        self._pool, self._reporter, self._summary, self._retry = pool, reporter, summary, retry
        self._quanta = graph.build_execution_quanta()
        self._nodes = graph.quantum_only_xgraph.nodes
        self._order = {label: -place for place, label in enumerate(graph.pipeline_graph.tasks)}
        self._predicted = {ref.id for quantum in self._quanta.values() for ref in _outputs(quantum)}
        self._present = self._query_present()
        self._renamed: dict[uuid.UUID, uuid.UUID] = {}
        self._active: dict[uuid.UUID, Quantum] = {}
        self._again: list[uuid.UUID] = []
        self._attempts: Counter[uuid.UUID] = Counter()
        self._flushed = time.monotonic()

    def execute(self) -> None:
        """Run what has to be run; all that is complete is registered, also when an exception ends the step."""
        self._begin()
        try:
            self._walk()
        except BaseException:
            self._pool.close(kill=True)
            for quantum_id, quantum in self._active.items():
                remove_outputs(self._butler, _outputs(quantum))
                self._journal.drop(self._key(quantum_id))
            raise
        finally:
            self._journal.phase("register")
            self._registrar.flush()

    def _begin(self) -> None:
        pipeline = self._graph.pipeline_graph
        types = {node.name: node.dataset_type for node in pipeline.dataset_types.values()}
        self._pool.set_step(StepSetup(dict(pipeline.tasks), types), self._butler.dimensions.dimensionConfig)

    def totals(self) -> dict[str, int]:
        """Number of quanta of each task, in the order of the pipeline."""
        counts = Counter(self._nodes[one]["task_label"] for one in self._quanta)
        return {label: counts[label] for label in self._order if counts[label]}

    def _walk(self) -> None:
        walker: GraphWalker[uuid.UUID] = GraphWalker(self._graph.quantum_only_xgraph.copy())
        ready: list[Ready] = []
        for found in walker:
            for quantum_id in found:
                heapq.heappush(ready, (*self._rank(quantum_id), quantum_id))
            kept = self._fill_pool(ready)
            if kept is not None:
                walker.finish(kept)  # it may have more by now
                continue
            if not self._active:
                continue
            for quantum_id, end in self._pool.wait(timeout=_FLUSH_SECONDS):
                if self._finish(quantum_id, end):
                    walker.finish(quantum_id)
            self._flush_if_due()

    def _fill_pool(self, ready: list[Ready]) -> uuid.UUID | None:
        """Hand quanta to workers while there is room; stops at one that need not run, and returns it.

        A quantum that is tried again runs alone.
        """
        while ready and not self._again and self._pool.has_room(self._label(ready[0][-1])):
            quantum_id = heapq.heappop(ready)[-1]
            past = self._kept(quantum_id)
            if past is not None:
                self._keep(quantum_id, past)
                return quantum_id
            self._submit(quantum_id)
        if self._again and not self._active:
            self._submit(self._again.pop(0))
        return None

    def _label(self, quantum_id: uuid.UUID) -> str:
        label: str = self._nodes[quantum_id]["task_label"]
        return label

    def _rank(self, quantum_id: uuid.UUID) -> tuple[int, tuple[str, ...]]:
        """Later tasks first, so that what was just written is read while it is in the cache; then the data id."""
        node = self._nodes[quantum_id]
        values = tuple(f"{value:>20}" for value in node["data_id"].required_values)
        return self._order[node["task_label"]], values

    def _kept(self, quantum_id: uuid.UUID) -> Past | None:
        """What is known of a quantum that need not run, or None."""
        quantum = self._quanta[quantum_id]
        found = self._from_repository(quantum_id, quantum)
        if found is None:
            return None
        past = self._journal.quanta.get(self._key(quantum_id), found)
        if past.inputs and past.inputs != self._inputs(quantum):
            self._summary.stale[self._nodes[quantum_id]["task_label"]] += 1
            return None
        return None if self._retry and past.status is not Status.SUCCEEDED else past

    def _from_repository(self, quantum_id: uuid.UUID, quantum: Quantum) -> Past | None:
        """What the repository alone tells of a quantum: its log is written last, its metadata if it ended well."""
        task = self._graph.pipeline_graph.tasks[self._nodes[quantum_id]["task_label"]]
        edges = {"metadata": task.metadata_output, "log": task.log_output}
        there = {
            name
            for name, edge in edges.items()
            if edge is not None and all(ref.id in self._present for ref in quantum.outputs[edge.dataset_type_name])
        }
        if "log" not in there:
            return None
        status = Status.SUCCEEDED if "metadata" in there else Status.FAILED
        return Past(status=status, line="" if status is Status.SUCCEEDED else "see its log")

    def _inputs(self, quantum: Quantum) -> str:
        """Fingerprint of the inputs that exist."""
        ids = (ref.id for refs in quantum.inputs.values() for ref in refs)
        return digest(
            self._renamed.get(one, one)
            for one in ids
            if one not in self._predicted or self._renamed.get(one, one) in self._present
        )

    def _submit(self, quantum_id: uuid.UUID) -> None:
        quantum = self._quanta[quantum_id]
        old = [ref for ref in _outputs(quantum) if ref.id in self._present]
        inputs = self._inputs(quantum)
        if old:
            # What is made anew gets new ids, by which everything made from it is seen to be out of date.
            self._renamed.update((ref.id, uuid.uuid4()) for ref in _outputs(quantum))
        quantum = _rename(quantum, self._renamed)
        # First the journal: a kill between these lines leaves a quantum that was begun, of which nothing is kept.
        self._journal.start(self._key(quantum_id), list(_outputs(quantum)), inputs)
        if old:
            self._registrar.take_back(old)
            self._present.difference_update(ref.id for ref in old)
        self._active[quantum_id] = quantum
        self._pool.submit(self._nodes[quantum_id]["task_label"], quantum_id, quantum)

    def _keep(self, quantum_id: uuid.UUID, past: Past) -> None:
        assert past.status is not None
        label = self._nodes[quantum_id]["task_label"]
        self._report(quantum_id, label, Outcome(past.status, reason=past.line), kept=True)

    def _finish(self, quantum_id: uuid.UUID, end: Outcome | WorkerDied) -> bool:
        """Take in the end of a quantum; whether it is the end, or it will be tried again."""
        quantum = self._active[quantum_id]
        label = self._label(quantum_id)
        if end.code in TRIED_AGAIN and self._attempts[quantum_id] < self._retries:
            self._put_back(quantum_id, end)
            return False
        outcome = self._mourn(label, quantum, end) if isinstance(end, WorkerDied) else end
        written = set(outcome.written)
        self._present |= written
        self._registrar.add(ref for ref in _outputs(quantum) if ref.id in written)
        self._journal.end(self._key(quantum_id), outcome)
        del self._active[quantum_id]
        self._report(quantum_id, label, outcome, kept=False)
        return True

    def _put_back(self, quantum_id: uuid.UUID, end: Outcome | WorkerDied) -> None:
        """Clear away what is left of a quantum, and have it tried again."""
        remove_outputs(self._butler, _outputs(self._active.pop(quantum_id)))
        self._journal.drop(self._key(quantum_id))
        self._attempts[quantum_id] += 1
        self._again.append(quantum_id)
        name = " ".join(f"{key}={value}" for key, value in self._nodes[quantum_id]["data_id"].required.items())
        self._reporter.note(f"{self._label(quantum_id)} {name}: [{end.code}] {end.reason}; it is tried again, alone")

    def _mourn(self, label: str, quantum: Quantum, end: WorkerDied) -> Outcome:
        """Clear away what a dead worker left of its quantum, and write the log that it could not write."""
        remove_outputs(self._butler, _outputs(quantum))
        outcome = end.outcome
        task = self._graph.pipeline_graph.tasks[label]
        if task.log_output is None:
            return outcome
        (ref,) = quantum.outputs[task.log_output.dataset_type_name]
        text = f"{outcome.reason}\n{end.stderr}".strip()
        self._butler.put(ButlerLogRecords.from_records([_record(text)]), ref)
        return Outcome(outcome.status, (ref.id,), 0.0, outcome.code, outcome.reason)

    def _report(self, quantum_id: uuid.UUID, label: str, outcome: Outcome, *, kept: bool) -> None:
        data_id = self._nodes[quantum_id]["data_id"]
        name = " ".join(f"{key}={value}" for key, value in data_id.required.items())
        self._summary.add(label, name, outcome, kept=kept)
        self._reporter.end(label, name, outcome, kept=kept)

    def _flush_if_due(self) -> None:
        if self._registrar.pending > _FLUSH_DATASETS or time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._registrar.flush()
            self._flushed = time.monotonic()

    def _query_present(self) -> set[uuid.UUID]:
        """Ids of the outputs of the graph that the registry knows."""
        run = self._graph.header.output_run
        names = {ref.datasetType.name for quantum in self._quanta.values() for ref in _outputs(quantum)}
        return {
            ref.id
            for name in names
            for ref in self._butler.query_datasets(name, collections=run, find_first=False, explain=False, limit=None)
        }

    def _key(self, quantum_id: uuid.UUID) -> Key:
        return key_of(self._nodes[quantum_id]["task_label"], self._quanta[quantum_id])


def _outputs(quantum: Quantum) -> Iterable[DatasetRef]:
    """All outputs of a quantum, log and metadata included."""
    return (ref for refs in quantum.outputs.values() for ref in refs)


def _rename(quantum: Quantum, ids: dict[uuid.UUID, uuid.UUID]) -> Quantum:
    """A quantum whose datasets have other ids where `ids` says so."""
    touched = any(ref.id in ids for refs in (*quantum.inputs.values(), *quantum.outputs.values()) for ref in refs)
    if not touched:
        return quantum

    def rename(refs: Iterable[DatasetRef]) -> list[DatasetRef]:
        return [ref.replace(id=ids[ref.id]) if ref.id in ids else ref for ref in refs]

    return Quantum(
        taskName=quantum.taskName,
        taskClass=quantum.taskClass,
        dataId=quantum.dataId,
        initInputs=quantum.initInputs,
        inputs=NamedKeyDict({kind: rename(refs) for kind, refs in quantum.inputs.items()}),
        outputs=NamedKeyDict({kind: rename(refs) for kind, refs in quantum.outputs.items()}),
        datastore_records=quantum.datastore_records,
    )


def _record(text: str) -> ButlerLogRecord:
    """A log record of an error that its own process could not log."""
    record = logging.LogRecord("skyloom.execute", logging.ERROR, __file__, 0, text, None, None)
    return ButlerLogRecord.from_record(record)
