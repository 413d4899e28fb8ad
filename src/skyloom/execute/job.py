"""What a job of a batch system does: execute some quanta of a graph, and leave word how they ended.

``python -m skyloom.execute.job REPOSITORY FOLDER IDS``: the folder holds the graph (see `skyloom.execute.ends`); ids
are separated by commas.  A quantum that fails by its own fault does not fail the job: what depends on it runs on the
inputs that are there, as in a run on one machine.  What the machine may have caused fails the job with status 75, so
that the site tries it again.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ends import Ends

__all__ = ["main"]

TRY_AGAIN = 75
"""Exit status of a job with a quantum that is worth another attempt."""
_ONE_THREAD = "OMP", "OPENBLAS", "MKL", "VECLIB", "NUMEXPR", "NUMBA"


def main(arguments: Sequence[str]) -> int:
    """Execute the quanta of a job; see the module.

    Parameters
    ----------
    arguments
        Root of the repository, folder of the submission, ids.

    Returns
    -------
    int
        0, or `TRY_AGAIN`.
    """
    repository, folder, ids = arguments
    _set_up()
    from lsst.resources import ResourcePath

    from .ends import Ends

    return _execute(
        repository,
        Ends(ResourcePath(folder, forceDirectory=True)),
        [uuid.UUID(one) for one in ids.split(",")],
    )


def _set_up() -> None:
    """One thread a process, which has to be said before anything is imported; all messages to stderr."""
    import logging

    os.environ.update({f"{name}_NUM_THREADS": "1" for name in _ONE_THREAD})
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.captureWarnings(True)


def _execute(repository: str, ends: Ends, ids: Sequence[uuid.UUID]) -> int:
    from dataclasses import replace
    from functools import partial

    from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

    from .graph import in_order
    from .limits import TRIED_AGAIN
    from .memory import PeakMemory
    from .outcome import Outcome
    from .worker import StepSetup, Worker, WorkerSetup

    graph = PredictedQuantumGraph.read_execution_quanta(ends.graph, quantum_ids=ids)
    pipeline = graph.pipeline_graph
    quanta = graph.build_execution_quanta()
    types = {node.name: node.dataset_type for node in pipeline.dataset_types.values()}
    worker = Worker(WorkerSetup(repository, pipeline.universe.dimensionConfig, ""), clears=True)
    worker.use(StepSetup(dict(pipeline.tasks), types))
    ends.begin(ids[0])
    memory = PeakMemory()
    status = 0
    for quantum_id in in_order(graph):
        if not ends.graph.exists():
            return TRY_AGAIN  # taken back by a later call of the command, which makes the rest anew
        before = ends.read(quantum_id)
        if before is not None and before.code not in TRIED_AGAIN:
            continue  # an earlier attempt at this job came as far
        label = graph.quantum_only_xgraph.nodes[quantum_id]["task_label"]
        memory.begin()
        end = worker.try_execute(label, quantum_id, partial(quanta.__getitem__, quantum_id))
        if isinstance(end, Outcome):
            end = replace(end, growth=memory.growth())
        ends.write(quantum_id, end)
        if end.code in TRIED_AGAIN:
            status = TRY_AGAIN
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
