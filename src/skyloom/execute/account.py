"""The account of one step: what is there already, what became of each quantum, what the registry is told of it."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterable

from lsst.daf.butler import Butler, DatasetRef, NamedKeyDict, Quantum
from lsst.daf.butler.logging import ButlerLogRecord, ButlerLogRecords
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from .journal import Journal, Key, Past, digest, key_of
from .outcome import Outcome, Status, WorkerDied
from .progress import Reporter
from .register import Registrar
from .stores import remove_outputs
from .summary import RunSummary

__all__ = ["FLUSH_SECONDS", "StepAccount", "outputs_of", "with_ids"]

FLUSH_SECONDS = 60.0
"""Time after which the registry is told at the latest."""
_FLUSH_DATASETS = 5000


class StepAccount:
    """The state of the quanta of one graph, wherever they are executed.

    Parameters
    ----------
    butler
        Writeable butler of the repository.
    graph
        The graph, as `build_graph` makes it.
    journal, registrar, reporter, summary
        The rest of the run, which outlives the step.
    retry
        Whether quanta that failed or had no work are tried again.
    """

    def __init__(
        self,
        butler: Butler,
        graph: PredictedQuantumGraph,
        *,
        journal: Journal,
        registrar: Registrar,
        reporter: Reporter,
        summary: RunSummary,
        retry: bool = False,
    ) -> None:
        self.butler, self.graph, self.journal, self.registrar = butler, graph, journal, registrar
        self.reporter, self.summary, self._retry = reporter, summary, retry
        self.quanta = graph.build_execution_quanta()
        self.nodes = graph.quantum_only_xgraph.nodes
        self.order = {label: -place for place, label in enumerate(graph.pipeline_graph.tasks)}
        self._predicted = {ref.id for quantum in self.quanta.values() for ref in outputs_of(quantum)}
        self.present = self._query_present()
        self.renamed: dict[uuid.UUID, uuid.UUID] = {}
        self.active: dict[uuid.UUID, Quantum] = {}
        self._flushed = time.monotonic()

    def totals(self) -> dict[str, int]:
        """Number of quanta of each task, in the order of the pipeline."""
        counts = Counter(self.nodes[one]["task_label"] for one in self.quanta)
        return {label: counts[label] for label in self.order if counts[label]}

    def label(self, quantum_id: uuid.UUID) -> str:
        """Label of the task of a quantum."""
        label: str = self.nodes[quantum_id]["task_label"]
        return label

    def kept(self, quantum_id: uuid.UUID) -> Past | None:
        """What is known of a quantum that need not run, or None."""
        quantum = self.quanta[quantum_id]
        found = self._from_repository(quantum_id, quantum)
        if found is None:
            return None
        past = self.journal.quanta.get(self.key(quantum_id), found)
        if past.inputs and past.inputs != self.inputs(quantum):
            self.summary.stale[self.nodes[quantum_id]["task_label"]] += 1
            return None
        return None if self._retry and past.status is not Status.SUCCEEDED else past

    def _from_repository(self, quantum_id: uuid.UUID, quantum: Quantum) -> Past | None:
        """What the repository alone tells of a quantum: its log is written last, its metadata if it ended well."""
        task = self.graph.pipeline_graph.tasks[self.nodes[quantum_id]["task_label"]]
        edges = {"metadata": task.metadata_output, "log": task.log_output}
        there = {
            name
            for name, edge in edges.items()
            if edge is not None and all(ref.id in self.present for ref in quantum.outputs[edge.dataset_type_name])
        }
        if "log" not in there:
            return None
        status = Status.SUCCEEDED if "metadata" in there else Status.FAILED
        return Past(status=status, line="" if status is Status.SUCCEEDED else "see its log")

    def inputs(self, quantum: Quantum) -> str:
        """Fingerprint of the inputs that exist."""
        ids = (ref.id for refs in quantum.inputs.values() for ref in refs)
        return digest(
            self.renamed.get(one, one)
            for one in ids
            if one not in self._predicted or self.renamed.get(one, one) in self.present
        )

    def keep(self, quantum_id: uuid.UUID, past: Past) -> None:
        """Count a quantum that need not run."""
        assert past.status is not None
        label = self.nodes[quantum_id]["task_label"]
        self._report(quantum_id, label, Outcome(past.status, reason=past.line), kept=True)

    def settle(self, quantum_id: uuid.UUID, end: Outcome | WorkerDied) -> None:
        """Take in the end of an active quantum."""
        quantum = self.active[quantum_id]
        label = self.label(quantum_id)
        outcome = self._mourn(label, quantum, end) if isinstance(end, WorkerDied) else end
        written = set(outcome.written)
        self.present |= written
        self.registrar.add(ref for ref in outputs_of(quantum) if ref.id in written)
        self.journal.end(self.key(quantum_id), outcome)
        del self.active[quantum_id]
        self._report(quantum_id, label, outcome, kept=False)

    def _mourn(self, label: str, quantum: Quantum, end: WorkerDied) -> Outcome:
        """Clear away what a dead worker left of its quantum, and write the log that it could not write."""
        remove_outputs(self.butler, outputs_of(quantum))
        outcome = end.outcome
        task = self.graph.pipeline_graph.tasks[label]
        if task.log_output is None:
            return outcome
        (ref,) = quantum.outputs[task.log_output.dataset_type_name]
        text = f"{outcome.reason}\n{end.stderr}".strip()
        self.butler.put(ButlerLogRecords.from_records([_record(text)]), ref)
        return Outcome(outcome.status, (ref.id,), 0.0, outcome.code, outcome.reason)

    def _report(self, quantum_id: uuid.UUID, label: str, outcome: Outcome, *, kept: bool) -> None:
        data_id = self.nodes[quantum_id]["data_id"]
        name = " ".join(f"{key}={value}" for key, value in data_id.required.items())
        self.summary.add(label, name, outcome, kept=kept)
        self.reporter.end(label, name, outcome, kept=kept)

    def flush_if_due(self) -> None:
        """Tell the registry, if much has come together or the last time is long ago."""
        if self.registrar.pending > _FLUSH_DATASETS or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.registrar.flush()
            self._flushed = time.monotonic()

    def _query_present(self) -> set[uuid.UUID]:
        """Ids of the outputs of the graph that the registry knows."""
        run = self.graph.header.output_run
        names = {ref.datasetType.name for quantum in self.quanta.values() for ref in outputs_of(quantum)}
        return {
            ref.id
            for name in names
            for ref in self.butler.query_datasets(name, collections=run, find_first=False, explain=False, limit=None)
        }

    def key(self, quantum_id: uuid.UUID) -> Key:
        """The key of a quantum in the journal."""
        return key_of(self.nodes[quantum_id]["task_label"], self.quanta[quantum_id])


def outputs_of(quantum: Quantum) -> Iterable[DatasetRef]:
    """All outputs of a quantum, log and metadata included."""
    return (ref for refs in quantum.outputs.values() for ref in refs)


def with_ids(quantum: Quantum, ids: dict[uuid.UUID, uuid.UUID]) -> Quantum:
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
