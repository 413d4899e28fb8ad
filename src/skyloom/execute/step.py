"""One step: its quanta in the order of their inputs, in a pool of workers, with everything that may go wrong."""

from __future__ import annotations

import heapq
import uuid
from collections import Counter

from lsst.pipe.base.graph_walker import GraphWalker

from .account import FLUSH_SECONDS, StepAccount, outputs_of, with_ids
from .limits import TRIED_AGAIN
from .outcome import Outcome, WorkerDied
from .pool import WorkerPool
from .stores import remove_outputs
from .worker import StepSetup

__all__ = ["StepRun"]

type Ready = tuple[int, tuple[str, ...], uuid.UUID]
"""A quantum after its rank: the place of its task, its data id."""


class StepRun:
    """Executes the quanta of one graph in the pool.

    A quantum that failed counts as ended: what depends on it runs on the inputs that exist.

    Parameters
    ----------
    account
        The account of the step.
    pool
        The workers.
    retries
        How often a quantum is tried again at once that ended by one of `TRIED_AGAIN`.
    """

    def __init__(self, account: StepAccount, pool: WorkerPool, *, retries: int = 0) -> None:
        self._account, self._pool, self._retries = account, pool, retries
        self._again: list[uuid.UUID] = []
        self._attempts: Counter[uuid.UUID] = Counter()

    def execute(self) -> None:
        """Run what has to be run; all that is complete is registered, also when an exception ends the step."""
        self._begin()
        try:
            self._walk()
        except BaseException:
            self._pool.close(kill=True)
            for quantum_id, quantum in self._account.active.items():
                remove_outputs(self._account.butler, outputs_of(quantum))
                self._account.journal.drop(self._account.key(quantum_id))
            raise
        finally:
            self._account.journal.phase("register")
            self._account.registrar.flush()

    def _begin(self) -> None:
        pipeline = self._account.graph.pipeline_graph
        types = {node.name: node.dataset_type for node in pipeline.dataset_types.values()}
        self._pool.set_step(StepSetup(dict(pipeline.tasks), types), self._account.butler.dimensions.dimensionConfig)

    def _walk(self) -> None:
        walker: GraphWalker[uuid.UUID] = GraphWalker(self._account.graph.quantum_only_xgraph.copy())
        ready: list[Ready] = []
        for found in walker:
            for quantum_id in found:
                heapq.heappush(ready, (*self._rank(quantum_id), quantum_id))
            kept = self._fill_pool(ready)
            if kept is not None:
                walker.finish(kept)  # it may have more by now
                continue
            if not self._account.active:
                continue
            for quantum_id, end in self._pool.wait(timeout=FLUSH_SECONDS):
                if self._finish(quantum_id, end):
                    walker.finish(quantum_id)
            self._account.flush_if_due()

    def _fill_pool(self, ready: list[Ready]) -> uuid.UUID | None:
        """Hand quanta to workers while there is room; stops at one that need not run, and returns it.

        A quantum that is tried again runs alone.
        """
        while ready and not self._again and self._pool.has_room(self._account.label(ready[0][-1])):
            quantum_id = heapq.heappop(ready)[-1]
            past = self._account.kept(quantum_id)
            if past is not None:
                self._account.keep(quantum_id, past)
                return quantum_id
            self._submit(quantum_id)
        if self._again and not self._account.active:
            self._submit(self._again.pop(0))
        return None

    def _rank(self, quantum_id: uuid.UUID) -> tuple[int, tuple[str, ...]]:
        """Later tasks first, so that what was just written is read while it is in the cache; then the data id."""
        node = self._account.nodes[quantum_id]
        values = tuple(f"{value:>20}" for value in node["data_id"].required_values)
        return self._account.order[node["task_label"]], values

    def _submit(self, quantum_id: uuid.UUID) -> None:
        quantum = self._account.quanta[quantum_id]
        old = [ref for ref in outputs_of(quantum) if ref.id in self._account.present]
        inputs = self._account.inputs(quantum)
        if old:
            # What is made anew gets new ids, by which everything made from it is seen to be out of date.
            self._account.renamed.update((ref.id, uuid.uuid4()) for ref in outputs_of(quantum))
        quantum = with_ids(quantum, self._account.renamed)
        # First the journal: a kill between these lines leaves a quantum that was begun, of which nothing is kept.
        self._account.journal.start(self._account.key(quantum_id), list(outputs_of(quantum)), inputs)
        if old:
            self._account.registrar.take_back(old)
            self._account.present.difference_update(ref.id for ref in old)
        self._account.active[quantum_id] = quantum
        self._pool.submit(self._account.nodes[quantum_id]["task_label"], quantum_id, quantum)

    def _finish(self, quantum_id: uuid.UUID, end: Outcome | WorkerDied) -> bool:
        """Take in the end of a quantum; whether it is the end, or it will be tried again."""
        if end.code in TRIED_AGAIN and self._attempts[quantum_id] < self._retries:
            self._put_back(quantum_id, end)
            return False
        self._account.settle(quantum_id, end)
        return True

    def _put_back(self, quantum_id: uuid.UUID, end: Outcome | WorkerDied) -> None:
        """Clear away what is left of a quantum, and have it tried again."""
        remove_outputs(self._account.butler, outputs_of(self._account.active.pop(quantum_id)))
        self._account.journal.drop(self._account.key(quantum_id))
        self._attempts[quantum_id] += 1
        self._again.append(quantum_id)
        name = " ".join(f"{key}={value}" for key, value in self._account.nodes[quantum_id]["data_id"].required.items())
        self._account.reporter.note(
            f"{self._account.label(quantum_id)} {name}: [{end.code}] {end.reason}; it is tried again, alone"
        )
