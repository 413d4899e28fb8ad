"""One step whose quanta are jobs of a batch system."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import uuid
from collections.abc import Collection
from pathlib import Path

from lsst.daf.butler import Butler, Quantum
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph, PredictedQuantumGraphComponents
from lsst.resources import ResourcePath

from skyloom.errors import SkyloomError

from .account import StepAccount, outputs_of, with_ids
from .ends import Ends, leftovers, new_ends
from .graph import in_order
from .journal import Journal, Key, digest, key_of
from .limits import TRIED_AGAIN
from .outcome import Outcome, WorkerDied
from .register import Registrar
from .stores import remove_outputs
from .submission import log_of, reason_in, running, write_submission

__all__ = ["SubmittedStep", "take_in_leftovers"]

_POLL_SECONDS = 2.0
_FAR_POLL_SECONDS = 15.0
"""Time between two looks at what has ended; to list the files of an object store takes longer."""
_LOST = "its job did not come to an end"


class SubmittedStep:
    """Executes the quanta of one graph as jobs that ``bps submit`` hands to a batch system.

    A job leaves word how its quanta ended; that is taken in while the jobs run, so that `skyloom status` knows, and
    nothing is lost when this process is.  A quantum whose job is lost for good counts as failed; what the batch system
    did not begin on its account is submitted again, without it.

    Parameters
    ----------
    account
        The account of the step.
    components
        Its graph in the form in which it can be written; what is to be executed is left of it.
    repository
        Root of the repository, as jobs reach it.
    site
        File of the site.
    step
        Label of the step.
    """

    def __init__(
        self,
        account: StepAccount,
        components: PredictedQuantumGraphComponents,
        *,
        repository: str,
        site: str,
        step: str,
    ) -> None:
        self._account = account
        self._components, self._repository, self._site, self._step = components, repository, site, step

    def execute(self) -> None:
        """Run what has to be run; all that is complete is registered, also when an exception ends the step."""
        try:
            waiting = self._choose()
            while waiting:
                waiting = self._submit_all(waiting)
        finally:
            self._account.journal.phase("register")
            self._account.registrar.flush()

    def _choose(self) -> set[uuid.UUID]:
        """The quanta that have to run: those not kept, and all that depend on them.

        Whether a product is out of date can be told only when its inputs are there; jobs cannot wait for that.
        """
        chosen: set[uuid.UUID] = set()
        graph = self._account.graph.quantum_only_xgraph
        for quantum_id in in_order(self._account.graph):
            past = self._account.kept(quantum_id) if chosen.isdisjoint(graph.predecessors(quantum_id)) else None
            if past is None:
                chosen.add(quantum_id)
            else:
                self._account.keep(quantum_id, past)
        for quantum_id in chosen:
            self._clear(quantum_id)
        return chosen

    def _clear(self, quantum_id: uuid.UUID) -> None:
        """Take back what a quantum wrote earlier; what it writes now gets new ids."""
        refs = list(outputs_of(self._account.quanta[quantum_id]))
        old = [ref for ref in refs if ref.id in self._account.present]
        if not old:
            return
        self._account.renamed.update((ref.id, uuid.uuid4()) for ref in refs)
        # First the journal: a kill between these lines leaves a quantum that was begun, of which nothing is kept.
        self._account.journal.start(self._account.key(quantum_id), refs, "")
        self._account.registrar.take_back(old)
        self._account.journal.drop(self._account.key(quantum_id))
        self._account.present.difference_update(ref.id for ref in old)

    def _submit_all(self, chosen: set[uuid.UUID]) -> set[uuid.UUID]:
        """Submit quanta, and take in how they end; those that were never begun are given back.

        Raises
        ------
        SkyloomError
            Raised if ``bps`` failed, or no job could begin.
        """
        ends = new_ends(self._account.butler, self._account.summary.run, self._step)
        folder = _new_folder(Path("submit", self._account.summary.run).absolute(), self._step)
        graph = folder / "graph.qg"
        _restrict(self._components, chosen, self._account.renamed)
        self._components.write(str(graph))
        ends.graph.parent().mkdir()
        ends.graph.transfer_from(ResourcePath(str(graph)), transfer="copy")
        file = write_submission(
            self._site,
            folder,
            graph,
            repository=self._repository,
            run=self._account.summary.run,
            output=self._account.summary.output,
            step=self._step,
            ends=ends.folder,
        )
        self._account.reporter.note(
            f"step {self._step}: {len(chosen)} of {len(self._account.quanta)} quanta submitted from {folder}"
        )
        open_ = set(chosen)
        try:
            with running(file) as process:
                interval = _POLL_SECONDS if ends.folder.isLocal else _FAR_POLL_SECONDS
                while process.poll() is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(interval)
                    self._take_in(ends, open_, final=False)
        finally:
            self._take_in(ends, open_, final=True)
        begun = ends.any_begun()
        lost = {one for one in open_ if open_.isdisjoint(self._account.graph.quantum_only_xgraph.predecessors(one))}
        if not process.returncode and begun:
            for quantum_id in lost:
                self._note_end(quantum_id, WorkerDied(_LOST, f"See the logs in {folder}."))
        ends.remove()
        if process.returncode or not begun:
            why = reason_in(log_of(file))
            cause = f"bps submit ended with status {process.returncode}, {len(open_)} of {len(chosen)} quanta are open"
            cure = "Mend what it says, or the logs of jobs below its folder do; the same command goes on."
            raise SkyloomError(f"{cause}: {why}" if why else f"{cause}.", file=str(log_of(file)), cure=cure)
        return open_ - lost

    def _take_in(self, ends: Ends, open_: set[uuid.UUID], *, final: bool) -> None:
        """Take in how quanta ended; until it is final, the site may try again what the machine has caused."""
        ended = ends.ended() & open_
        for quantum_id in (one for one in in_order(self._account.graph) if one in ended):
            end = ends.read(quantum_id)
            # A list of files takes its time: what is in it may depend on what came too late for it.
            early = not open_.isdisjoint(self._account.graph.quantum_only_xgraph.predecessors(quantum_id))
            if end is not None and (final or (end.code not in TRIED_AGAIN and not early)):
                self._note_end(quantum_id, end)
                open_.discard(quantum_id)
        self._account.flush_if_due()

    def _note_end(self, quantum_id: uuid.UUID, end: Outcome | WorkerDied) -> None:
        quantum = self._account.quanta[quantum_id]
        inputs = self._account.inputs(quantum)
        quantum = with_ids(quantum, self._account.renamed)
        self._account.journal.start(self._account.key(quantum_id), list(outputs_of(quantum)), inputs)
        self._account.active[quantum_id] = quantum
        self._account.settle(quantum_id, end)


def _restrict(
    components: PredictedQuantumGraphComponents, chosen: Collection[uuid.UUID], ids: dict[uuid.UUID, uuid.UUID]
) -> None:
    """Leave some quanta in a graph, and give datasets other ids where `ids` says so."""
    components.quantum_datasets = {one: model for one, model in components.quantum_datasets.items() if one in chosen}
    for model in components.quantum_datasets.values():
        for dataset in itertools.chain(*model.inputs.values(), *model.outputs.values()):
            dataset.dataset_id = ids.get(dataset.dataset_id, dataset.dataset_id)
    components.set_thin_graph()
    components.set_header_counts()


def _new_folder(parent: Path, name: str) -> Path:
    """A new folder, numbered."""
    for number in itertools.count(1):
        folder = parent / f"{name}_{number}"
        if not folder.exists():
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("the count has no end")


def take_in_leftovers(butler: Butler, journal: Journal, registrar: Registrar) -> int:
    """Take in what jobs did after the process that had submitted them was gone; what they only began is cleared away.

    Returns
    -------
    int
        Number of quanta that were found finished.
    """
    found = 0
    for ends in leftovers(butler, journal.run):
        graph = PredictedQuantumGraph.read_execution_quanta(ends.graph)
        ended = ends.ended()
        quanta = graph.build_execution_quanta()
        absent = {ref.id for quantum in quanta.values() for ref in outputs_of(quantum)}
        for quantum_id in in_order(graph):
            quantum = quanta[quantum_id]
            key = key_of(graph.quantum_only_xgraph.nodes[quantum_id]["task_label"], quantum)
            if (written := _registered(journal, key, quantum)) is not None:
                absent -= written
                continue
            end = ends.read(quantum_id) if quantum_id in ended else None
            if not isinstance(end, Outcome) or end.code in TRIED_AGAIN:
                remove_outputs(butler, outputs_of(quantum))
                continue
            inputs = (ref.id for refs in quantum.inputs.values() for ref in refs if ref.id not in absent)
            journal.start(key, list(outputs_of(quantum)), digest(inputs))
            journal.end(key, end)
            absent.difference_update(end.written)
            registrar.add(ref for ref in outputs_of(quantum) if ref.id in end.written)
            found += 1
        registrar.flush()
        ends.remove()
    return found


def _registered(journal: Journal, key: Key, quantum: Quantum) -> frozenset[uuid.UUID] | None:
    """What a quantum wrote, if the registry knows of this very execution."""
    past = journal.quanta.get(key)
    same = past is not None and {one for *_, one in past.outputs} == {ref.id for ref in outputs_of(quantum)}
    return past.written if past is not None and same and past.registered else None
