"""Make a product anew from its recorded inputs and settings, and tell whether it is the same."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lsst.daf.butler import (  # type: ignore[attr-defined]
    Butler,
    CollectionType,
    DatasetRef,
    MissingCollectionError,
    NamedKeyDict,
    Quantum,
)
from lsst.pipe.base import PipelineTask
from lsst.pipe.base.pipeline_graph import PipelineGraph, TaskNode
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from skyloom.errors import RepositoryError
from skyloom.repo.compare_files import differences_of_files

from .provenance import Maker, Node, Provenance
from .runs import installed_versions

__all__ = ["MadeAgain", "make_again"]

type Step = tuple[str, str, tuple[tuple[str, Any], ...]]
"""A quantum: its run, label and data id."""


@dataclass
class MadeAgain:
    """What came of making a product anew."""

    run: str
    differences: list[str] = field(default_factory=list)
    """In the product, a line each; empty where it is identical."""
    first: str = ""
    """The first dataset on the way that differs, and how, where the product does."""
    versions: list[str] = field(default_factory=list)
    """Packages of which another version made the original."""

    @property
    def identical(self) -> bool:
        """Whether it is the same, but for ids, dates and names of runs."""
        return not self.differences


def make_again(
    repository: str,
    provenance: Provenance,
    run: str,
    *,
    advance: Callable[[str, int, int], object] = lambda *_: None,
) -> MadeAgain:
    """Run every task between the sources of a product and itself once more.

    Calibrations are sources here, also those that were built from frames: the product is made with the same ones.

    Parameters
    ----------
    repository
        Root of the repository.
    provenance
        Of the product.
    run
        RUN collection to write to; there must be none of this name.
    advance
        Called before each quantum with its name, its number and that of all.

    Raises
    ------
    RepositoryError
        If the collection is there, an input is gone, or it is not recorded what made something.
    """
    with Butler.from_config(repository, writeable=True) as butler:
        _check_new(butler, run)
        steps = _steps(provenance)
        graph = _graph(butler, provenance, steps)
        butler.collections.register(run, CollectionType.RUN)
        writer = butler.clone(run=run, collections=[run])
        graph.init_output_run(writer)
        redo = _Redo(writer, run, provenance, graph)
        for number, (step, nodes) in enumerate(steps.items(), start=1):
            name = " ".join([step[1], *(f"{key}={value}" for key, value in step[2])])
            advance(name, number, len(steps))
            try:
                redo.execute(step, nodes)
            except Exception as error:
                line = " ".join(str(error).split())
                versions = _other_versions(provenance)
                return MadeAgain(run, [f"{name} failed this time: {type(error).__name__}: {line}"], name, versions)
        return redo.result(provenance)


def _check_new(butler: Butler, run: str) -> None:
    try:
        butler.collections.get_info(run)
    except MissingCollectionError:
        return
    raise RepositoryError(f"there is a collection {run!r} already.", cure="Give another name.")


def _steps(provenance: Provenance) -> dict[Step, list[Node]]:
    """The quanta to run, in order, each with the datasets of the chain that it made."""
    wanted = {provenance.product}
    for one, node in reversed(provenance.nodes.items()):
        if one in wanted and node.maker is not None and not node.is_calibration:
            wanted.update(node.inputs)
    steps: dict[Step, list[Node]] = {}
    for one, node in provenance.nodes.items():
        if one not in wanted:
            continue
        if node.maker is None or node.is_calibration:
            if not node.file:
                raise RepositoryError(f"dataset {one} is gone from the repository.", cure="Bring it back first.")
            continue
        steps.setdefault(_step(node.maker), []).append(node)
    if not steps:
        raise RepositoryError("no task made this: there is nothing to run.", cure="Name a product of a pipeline.")
    for nodes in steps.values():
        for node in nodes:
            if not (node.inputs and node.maker and node.maker.data_id):
                raise RepositoryError(f"the inputs of {node.name} are not recorded.", cure="Run its pipeline instead.")
    return steps


def _step(maker: Maker) -> Step:
    return maker.run, maker.label, tuple(sorted(maker.data_id.items()))


def _graph(butler: Butler, provenance: Provenance, steps: dict[Step, list[Node]]) -> PipelineGraph:
    """The tasks, with the settings that they had; of the runs of several nights these have to be the same."""
    graph = PipelineGraph(universe=butler.dimensions)
    origin: dict[str, str] = {}
    for run, label, _ in steps:
        first, settings = origin.setdefault(label, run), provenance.configs
        if settings[f"{first}:{label}"]["sha256"] != settings[f"{run}:{label}"]["sha256"]:
            raise RepositoryError(
                f"{label} had a part in it in two runs with unlike settings, {first} and {run}.",
                cure="Make what the first of them wrote anew by itself.",
            )
        if label not in graph.tasks:
            config = butler.get(f"{label}_config", collections=run)
            graph.add_task(label, _task_class(provenance.configs[f"{run}:{label}"]["class"], config), config)
    graph.resolve(butler.registry)
    graph.register_dataset_types(butler)
    return graph


def _task_class(name: str, config: Any) -> type[PipelineTask]:
    """The class of a task by its name, or, where none is recorded, by its configuration."""
    if name:
        module, _, short = name.rpartition(".")
        found: type[PipelineTask] = getattr(importlib.import_module(module), short)
        return found
    for place in (type(config).__module__, type(config).__module__.rpartition(".")[0]):
        module_of = importlib.import_module(place)
        for short in getattr(module_of, "__all__", dir(module_of)):
            one = getattr(module_of, short)
            if isinstance(one, type) and issubclass(one, PipelineTask) and one.ConfigClass is type(config):
                return one
    raise RepositoryError(
        f"it is not recorded which task has the settings {type(config).__name__}.", cure="Run its pipeline instead."
    )


class _Redo:
    """Executes quanta whose inputs are the recorded ones, or what was made anew in their place."""

    def __init__(self, butler: Butler, run: str, provenance: Provenance, graph: PipelineGraph) -> None:
        self._butler, self._run, self._nodes, self._graph = butler, run, provenance.nodes, graph
        self._anew: dict[uuid.UUID, DatasetRef] = {}
        self._executor = SingleQuantumExecutor(
            butler=butler, assume_no_existing_outputs=True, raise_on_partial_outputs=False
        )

    def execute(self, step: Step, nodes: list[Node]) -> None:
        """Run one quantum."""
        _, label, values = step
        task = self._graph.tasks[label]
        data_id = self._butler.registry.expandDataId(dict(values), dimensions=task.dimensions)
        outputs = self._outputs(task, step, nodes)
        quantum = Quantum(
            taskName=task.task_class_name,
            taskClass=task.task_class,
            dataId=data_id,
            inputs=self._inputs(task, {one for node in nodes for one in node.inputs}),
            outputs=outputs,
        )
        self._executor.execute(task, quantum, uuid.uuid4())

    def _inputs(self, task: TaskNode, ids: set[uuid.UUID]) -> NamedKeyDict[Any, list[DatasetRef]]:
        refs = [self._anew.get(one) or self._recorded(one) for one in sorted(ids)]
        found: NamedKeyDict[Any, list[DatasetRef]] = NamedKeyDict()
        for edge in (*task.inputs.values(), *task.prerequisite_inputs.values()):
            own = [ref for ref in refs if ref.datasetType.name == edge.parent_dataset_type_name]
            kind = edge.adapt_dataset_type(self._graph.dataset_types[edge.parent_dataset_type_name].dataset_type)
            found[kind] = [edge.adapt_dataset_ref(ref) for ref in sorted(own)]
        return found

    def _recorded(self, one: uuid.UUID) -> DatasetRef:
        ref = self._butler.get_dataset(one, dimension_records=True)
        if ref is None:
            raise RepositoryError(f"dataset {one} is gone from the repository.", cure="Bring it back first.")
        return ref

    def _outputs(self, task: TaskNode, step: Step, nodes: list[Node]) -> NamedKeyDict[Any, list[DatasetRef]]:
        """References to all outputs of a quantum; of those that it may write several of, those of the original."""
        made: NamedKeyDict[Any, list[DatasetRef]] = NamedKeyDict()
        for edge in task.iter_all_outputs():
            kind = self._graph.dataset_types[edge.parent_dataset_type_name].dataset_type
            old = list(self._originals(step, nodes, kind.name))
            data_ids = [ref.dataId for ref in old]
            if not data_ids and set(kind.dimensions.required) <= dict(step[2]).keys():
                data_ids = [self._butler.registry.expandDataId(dict(step[2]), dimensions=kind.dimensions)]
            refs = [DatasetRef(kind, self._butler.registry.expandDataId(one), run=self._run) for one in data_ids]
            self._anew.update({before.id: ref for before, ref in zip(old, refs, strict=False)})
            made[edge.adapt_dataset_type(kind)] = [edge.adapt_dataset_ref(ref) for ref in refs]
        return made

    def _originals(self, step: Step, nodes: list[Node], name: str) -> Iterator[DatasetRef]:
        """What the original quantum wrote of a dataset type, as its run has it."""
        run, _, values = step
        known = self._butler.get_dataset_type(name)
        group = known.dimensions
        own = {key: value for key, value in values if key in group.names}
        found = self._butler.query_datasets(name, run, find_first=False, data_id=own, explain=False, limit=None)
        for ref in sorted(found):
            data_id = self._butler.registry.expandDataId(ref.dataId)
            if all(data_id.mapping.get(key, value) == value for key, value in values):
                yield ref

    def result(self, provenance: Provenance) -> MadeAgain:
        """Compare the product with the original."""
        told = MadeAgain(self._run, versions=_other_versions(provenance))
        told.differences = self._differences(provenance.product)
        if told.differences:
            for one in self._nodes:
                lines = self._differences(one) if one in self._anew and one != provenance.product else []
                if lines:
                    told.first = f"{self._nodes[one].name}: {lines[0]}"
                    break
        return told

    def _differences(self, one: uuid.UUID) -> list[str]:
        before, after = self._recorded(one), self._anew[one]
        if not self._butler.stored(after):
            return ["it was not made this time: see the log of its task"]
        if not self._butler.stored(before):
            return ["the file of the original is gone"]
        return list(differences_of_files(self._butler.getURI(before), self._butler.getURI(after)))


def _other_versions(provenance: Provenance) -> list[str]:
    """Packages that are installed in another version than the product was made with."""
    now = installed_versions()
    return sorted(
        {
            f"{name} {then} then, {now[name]} now"
            for told in provenance.runs.values()
            for name, then in told.get("versions", {}).items()
            if name in now and now[name] != then
        }
    )
