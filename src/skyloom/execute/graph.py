"""Steps of a pipeline, and the quantum graph of one of them."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.pipeline import LabelSpecifier
from lsst.pipe.base.pipeline_graph import PipelineGraph
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph, PredictedQuantumGraphComponents

from skyloom.errors import SkyloomError

__all__ = ["Step", "build_graph", "graph_components", "in_order", "split_steps", "write_init_outputs"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """Tasks that are run from one graph.

    Parameters
    ----------
    label
        Name of the step.
    pipeline
        The part of the pipeline that holds its tasks.
    on_sky
        Whether a task of it works on tracts of a sky map.
    """

    label: str
    pipeline: Pipeline
    on_sky: bool

    @property
    def graph(self) -> PipelineGraph:
        """A new graph of the tasks, not yet resolved by a repository."""
        return self.pipeline.to_graph()


def split_steps(pipeline: Pipeline, selected: Iterable[str] = ()) -> list[Step]:
    """The steps of a pipeline in the order of their execution; a pipeline that states none is one step.

    Parameters
    ----------
    pipeline
        The pipeline.
    selected
        Labels of tasks, of subsets or of steps; all tasks when empty.

    Raises
    ------
    SkyloomError
        Raised if a label is unknown, or a selected task belongs to no step.
    """
    graph = pipeline.to_graph()
    wanted = _expand(graph, selected)
    groups = {label: set(graph.task_subsets[label]) & wanted for label in graph.steps} or {"all": wanted}
    left = wanted - set().union(*groups.values())
    if left:
        raise SkyloomError(f"tasks in no step of the pipeline: {', '.join(sorted(left))}", cure="Add them to a step.")
    return [_step(pipeline, label, tasks) for label, tasks in groups.items() if tasks]


def _expand(graph: PipelineGraph, selected: Iterable[str]) -> set[str]:
    """Labels of the selected tasks."""
    tasks: set[str] = set()
    for label in selected:
        if label in graph.tasks:
            tasks.add(label)
        elif label in graph.task_subsets:
            tasks |= set(graph.task_subsets[label])
        else:
            known = ", ".join([*graph.task_subsets, *graph.tasks])
            raise SkyloomError(f"the pipeline has no step, subset or task {label!r}", cure=f"It has: {known}.")
    return tasks or set(graph.tasks)


def _step(pipeline: Pipeline, label: str, tasks: set[str]) -> Step:
    part = pipeline.subsetFromLabels(LabelSpecifier(labels=tasks))
    on_sky = any("skymap" in node.raw_dimensions for node in part.to_graph().tasks.values())
    return Step(label, part, on_sky)


def build_graph(
    butler: Butler, graph: PipelineGraph, *, where: str, inputs: Sequence[str], run: str, output: str
) -> PredictedQuantumGraph:
    """Build the graph of all quanta of a step, those of an earlier call in the same run included.

    Quanta that are whole stay in the graph, with the ids of what they wrote: whether they run again is decided when
    their turn comes, since it depends on what becomes of their inputs.
    """
    return graph_components(butler, graph, where=where, inputs=inputs, run=run, output=output).assemble()


def graph_components(
    butler: Butler, graph: PipelineGraph, *, where: str, inputs: Sequence[str], run: str, output: str
) -> PredictedQuantumGraphComponents:
    """The graph of `build_graph` in the form in which it can be written, or a part of it."""
    graph.resolve(butler.registry)
    graph.register_dataset_types(butler)
    builder = AllDimensionsQuantumGraphBuilder(
        graph, butler, where=where, input_collections=[run, *inputs], output_run=run, clobber=True
    )
    components = builder.finish(output=output, metadata={}, attach_datastore_records=True)
    _LOG.info("%d quanta of %d tasks", components.header.n_quanta, len(graph.tasks))
    return components


def in_order(graph: PredictedQuantumGraph) -> list[uuid.UUID]:
    """The quanta of a graph, each after those that it depends on."""
    quanta = graph.quantum_only_xgraph
    return list(TopologicalSorter({one: set(quanta.predecessors(one)) for one in quanta}).static_order())


def write_init_outputs(butler: Butler, graph: PredictedQuantumGraph) -> None:
    """Write configurations, versions and schemas of a step, or check those that are there.

    The versions are written once in a run: to collect them takes a second, and a run is not gone on with under others.
    """
    writer = butler.clone(run=graph.header.output_run)
    graph.write_configs(writer)
    if not all(writer.stored_many(graph.get_init_outputs("").values()).values()):
        graph.write_packages(writer)
    graph.write_init_outputs(writer)
