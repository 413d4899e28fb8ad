"""Where a product comes from: all that it was made from, down to the raw frames, with tasks, settings and versions."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsst.daf.butler import Butler, DatasetRef
from lsst.resources import ResourcePath

from skyloom.errors import BadFrameError, RepositoryError
from skyloom.repo.file_record import FileRecord, read_file_record

from .records import RunRecord, TaskRecord

__all__ = ["Maker", "Node", "Provenance", "changes_since", "file_hash", "hash_files", "read_provenance"]


@dataclass(frozen=True)
class Maker:
    """The quantum that made a dataset."""

    label: str
    run: str
    task_class: str
    """Empty where no journal tells it."""
    data_id: Mapping[str, Any]
    quantum: uuid.UUID | None


@dataclass
class Node:
    """One dataset."""

    id: uuid.UUID
    dataset_type: str
    data_id: Mapping[str, Any]
    run: str
    file: str
    """Empty where the repository knows nothing of it any more."""
    maker: Maker | None = None
    """None of what came into the repository by itself: raw frames, imported calibrations, catalogues."""
    inputs: tuple[uuid.UUID, ...] = ()
    is_calibration: bool = False
    sha256: str = ""
    """Of its file; empty until `hash_files` has been asked."""
    changed: bool = False
    """Whether its file is younger than the product."""

    @property
    def name(self) -> str:
        """Dataset type and data id."""
        return " ".join([self.dataset_type, *(f"{key}={value}" for key, value in self.data_id.items())])


@dataclass
class Provenance:
    """All that a product was made from."""

    product: uuid.UUID
    nodes: dict[uuid.UUID, Node] = field(default_factory=dict)
    """Datasets by id, each after those that it was made from, the product last."""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By RUN collection: pipeline, command, query, inputs and versions of the journal, and ``packages``."""
    configs: dict[str, dict[str, str]] = field(default_factory=dict)
    """By ``RUN:LABEL``: class of the task, file of its configuration and the hash of that."""

    @property
    def sources(self) -> list[Node]:
        """What came into the repository by itself."""
        return sorted((node for node in self.nodes.values() if node.maker is None), key=lambda node: node.name)

    def as_dict(self) -> dict[str, Any]:
        """The same for other programs and for `changes_since`, with the text of all settings."""
        return {
            "product": str(self.product),
            "datasets": [_node_dict(node) for node in self.nodes.values()],
            "runs": self.runs,
            "configs": {key: {**one, "text": _text(one["file"])} for key, one in self.configs.items()},
        }

    def lines(self) -> Iterator[str]:
        """The same as text: the product, its tasks and settings, the runs, and the sources."""
        product = self.nodes[self.product]
        yield product.name
        yield f"  id {product.id}, in {product.run}"
        yield f"  file {product.file}"
        counts = Counter((node.maker.run, node.maker.label) for node in self.nodes.values() if node.maker is not None)
        yield "tasks, the first one first:"
        for (run, label), count in counts.items():
            config = self.configs.get(f"{run}:{label}", {})
            yield f"  {label}: {count} dataset(s), {config.get('class') or 'class not recorded'}"
            yield f"    settings {config.get('file', 'not recorded')}, sha256 {config.get('sha256', '')[:16]}"
        for run, told in self.runs.items():
            yield f"run {run}"
            yield f"  command: {told.get('command') or 'not recorded'}"
            versions = told.get("versions") or told.get("packages") or {}
            yield f"  versions: {', '.join(f'{name} {one}' for name, one in versions.items())}"
        kinds = Counter(node.dataset_type for node in self.sources)
        yield f"made from {', '.join(f'{count} {name}' for name, count in kinds.items())}:"
        for node in self.sources:
            yield f"  {node.name}: {node.file or 'gone from the repository'}"
            if node.sha256:
                yield f"    sha256 {node.sha256}"
            if node.changed:
                yield "    changed since the product was made"


def _text(place: str) -> str:
    """A file of settings; empty where it is gone."""
    uri = ResourcePath(place) if place else None
    return uri.read().decode() if uri is not None and uri.exists() else ""


def _node_dict(node: Node) -> dict[str, Any]:
    maker = node.maker
    told: dict[str, Any] = {
        "id": str(node.id),
        "dataset_type": node.dataset_type,
        "data_id": dict(node.data_id),
        "run": node.run,
        "file": node.file,
        "sha256": node.sha256,
        "changed": node.changed,
        "inputs": [str(one) for one in node.inputs],
    }
    if maker is not None:
        quantum = "" if maker.quantum is None else str(maker.quantum)
        told["made_by"] = {"task": maker.label, "class": maker.task_class, "run": maker.run, "quantum": quantum}
        told["made_by"]["data_id"] = dict(maker.data_id)
    return told


def read_provenance(butler: Butler, product: uuid.UUID) -> Provenance:
    """Follow a dataset to its sources, by what the files of the repository say of themselves.

    Parameters
    ----------
    butler
        The repository.
    product
        Id of the dataset.

    Raises
    ------
    RepositoryError
        If the repository does not know the dataset.
    """
    if butler.get_dataset(product) is None:
        raise RepositoryError(
            f"the repository has no dataset {product}.", cure="Name the repository that it was made in with --repo."
        )
    with butler.registry.caching_context():
        reader = _Reader(butler, product)
        reader.follow(product)
        reader.note_runs()
    return reader.found


class _Reader:
    """Reads datasets one after the other, inputs first."""

    def __init__(self, butler: Butler, product: uuid.UUID) -> None:
        self._butler = butler
        self._records: dict[str, RunRecord] = {}
        self.found = Provenance(product)
        ref = butler.get_dataset(product)
        assert ref is not None
        self._made = _changed(_place(butler, ref))

    def follow(self, start: uuid.UUID) -> None:
        """Take in a dataset and all before it, without recursion: chains of large coadds are long."""
        stack: list[tuple[uuid.UUID, Node | None]] = [(start, None)]
        while stack:
            one, node = stack.pop()
            if node is not None:
                self.found.nodes[one] = node
            elif one not in self.found.nodes:
                node = self._node(one)
                stack.append((one, node))
                stack += [(before, None) for before in node.inputs if before not in self.found.nodes]

    def _node(self, one: uuid.UUID) -> Node:
        ref = self._butler.get_dataset(one)
        if ref is None:
            return Node(one, "(unknown)", {}, "", "")
        place = _place(self._butler, ref)
        node = Node(one, ref.datasetType.name, dict(ref.dataId.required), ref.run, place)
        node.is_calibration = ref.datasetType.isCalibration()
        node.changed = bool(self._made) and _changed(place) > self._made and one != self.found.product
        task = self._task(ref)
        if task is None:
            return node
        record = self._record_of(ref, task)
        inputs = () if record is None else tuple(dict.fromkeys(given.id for given in record.inputs))
        classes = {k: v for one in self._records[ref.run].settings for k, v in one.get("classes", {}).items()}
        data_id = self._quantum(ref, task)
        quantum = None if record is None else record.quantum
        node.maker = Maker(task.label, ref.run, classes.get(task.label, ""), data_id, quantum)
        node.inputs = inputs
        return node

    def _task(self, ref: DatasetRef) -> TaskRecord | None:
        if ref.run not in self._records:
            self._records[ref.run] = RunRecord(self._butler, ref.run)
        makers = self._records[ref.run].makers(ref.datasetType.name)
        return makers[0] if makers else None

    def _quantum(self, ref: DatasetRef, task: TaskRecord) -> dict[str, Any]:
        """Data id of the quantum; empty where the dataset does not tell it."""
        expanded = self._butler.registry.expandDataId(ref.dataId)
        group = self._butler.dimensions.conform(task.dimensions)
        if not set(group.names) <= set(expanded.dimensions.names):
            return {}
        return dict(expanded.subset(group).required)

    def _record_of(self, ref: DatasetRef, task: TaskRecord) -> FileRecord | None:
        """What the file of a dataset says, or that of another output of its quantum where its own kind says nothing."""
        for one in (ref, *self._siblings(ref, task)):
            try:
                record = read_file_record(self._butler.getURI(one))
            except (FileNotFoundError, BadFrameError):
                continue
            if record is not None and record.n_inputs:
                return record
        return None

    def _siblings(self, ref: DatasetRef, task: TaskRecord) -> Iterator[DatasetRef]:
        for connection in task.outputs:
            if connection.name == ref.datasetType.name or connection.multiple:
                continue
            if connection.name in self._records[ref.run].dataset_types:
                found = self._butler.find_dataset(connection.name, self._quantum(ref, task), collections=ref.run)
                if found is not None:
                    yield found

    def note_runs(self) -> None:
        """Take in what the runs tell of themselves."""
        for node in self.found.nodes.values():
            if node.maker is None:
                continue
            record = self._records[node.run]
            if node.run not in self.found.runs:
                self.found.runs[node.run] = _run_facts(self._butler, record)
            key = f"{node.run}:{node.maker.label}"
            if key not in self.found.configs:
                ref = self._butler.find_dataset(f"{node.maker.label}_config", collections=node.run)
                place = "" if ref is None else _place(self._butler, ref)
                known = {"class": node.maker.task_class, "file": place, "sha256": file_hash(place) if place else ""}
                self.found.configs[key] = known


def _run_facts(butler: Butler, record: RunRecord) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if record.settings:
        last = record.settings[-1]
        told = {name: last.get(name, "") for name in ("pipeline", "command", "where", "inputs", "versions")}
    if "packages" in record.dataset_types:
        told["packages"] = dict(butler.get("packages", collections=record.run))
    return told


def _place(butler: Butler, ref: DatasetRef) -> str:
    """File of a dataset, without the part of it that is meant."""
    uri = butler.getURI(ref, predict=True).replace(fragment="")
    return uri.ospath if uri.isLocal else str(uri)


def _changed(place: str) -> float:
    """When a file was written, Unix time; 0 where that is not known."""
    path = Path(place)
    return path.stat().st_mtime if path.is_file() else 0.0


def file_hash(place: str) -> str:
    """SHA-256 of a file, hexadecimal; empty where it is not there."""
    uri = ResourcePath(place)
    if not uri.exists():
        return ""
    with uri.as_local() as local, Path(local.ospath).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(nodes: Iterable[Node]) -> None:
    """Set the hashes of some datasets, in place; a file of many frames is read once."""
    known: dict[str, str] = {}
    for node in nodes:
        if node.file:
            if node.file not in known:
                known[node.file] = file_hash(node.file)
            node.sha256 = known[node.file]


def changes_since(now: Provenance, before: Mapping[str, Any]) -> list[str]:
    """What differs from an earlier account, a line each; nothing where all is as it was.

    Parameters
    ----------
    now
        With hashes of the files that are to be compared.
    before
        What `Provenance.as_dict` gave then.
    """
    old = {one["id"]: one for one in before["datasets"]}
    lines = []
    for one, node in now.nodes.items():
        past = old.pop(str(one), None)
        if past is None:
            lines.append(f"{node.name}: it was not among the inputs before")
        elif node.sha256 and past["sha256"] and node.sha256 != past["sha256"]:
            hashes = f"sha256 {past['sha256'][:16]} then, {node.sha256[:16]} now"
            lines.append(f"{node.name}: {node.file} has changed ({hashes})")
        elif past["sha256"] and not node.sha256:
            lines.append(f"{node.name}: {past['file']} is gone")
    lines += [f"{past['dataset_type']} {past['data_id']}: it is no longer among the inputs" for past in old.values()]
    for key, past in before["configs"].items():
        if key in now.configs and now.configs[key]["sha256"] != past["sha256"]:
            lines.append(f"settings of {key} have changed")
    return lines
