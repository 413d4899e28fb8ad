"""Where an answer is looked for: the collections of an output, the runs behind it, and the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsst.daf.butler import (
    Butler,
    ButlerUserError,
    DataCoordinate,
    DatasetRef,
    InvalidQueryError,
    MissingCollectionError,
    MissingDatasetTypeError,
)

from skyloom.errors import RepositoryError
from skyloom.repo.collections import defaults_collection
from skyloom.repo.setup import instruments

from .records import Connection, RunRecord, TaskRecord, scope_of
from .why_cures import Commands

__all__ = ["Scope", "Shipped", "parse_terms"]

type Shipped = Callable[[str], Sequence[tuple[str, TaskRecord]]]
"""Tells of a dataset type the names of the pipelines that come with the package and make it, each with its task."""

_ORDER = ("skymap", "tract", "patch", "band", "instrument", "exposure", "visit", "detector")
_GOVERNORS = ("instrument", "skymap")


def parse_terms(terms: Iterable[str], known: Iterable[str]) -> dict[str, Any]:
    """Terms ``KEY=VALUE`` as a data id; numbers become integers.

    Raises
    ------
    RepositoryError
        If a term cannot be read, or its key is no dimension.
    """
    values: dict[str, Any] = {}
    for term in terms:
        key, equals, value = term.partition("=")
        if not (key and equals and value):
            raise RepositoryError(f"{term!r} is no part of a data id.", cure="Write visit=12 or band=r.")
        if key not in known:
            raise RepositoryError(
                f"there is no {key!r} in data ids.", cure="Use visit, exposure, detector, tract, patch, band, ..."
            )
        values[key] = int(value) if value.lstrip("-").isdigit() else value
    return values


@dataclass
class Scope:
    """The collections of an output and what its runs have left of themselves.

    Parameters
    ----------
    butler
        The repository.
    repository
        Its root as the user wrote it.
    output
        Chain or run; empty where nothing has run.
    records
        Its runs, newest first.
    shipped
        Tells which pipelines make a dataset type.
    """

    butler: Butler
    repository: str
    output: str
    records: list[RunRecord]
    shipped: Shipped = field(default=lambda _: ())

    def __post_init__(self) -> None:
        names = instruments(self.butler)
        there = [defaults_collection(name) for name in names]
        self.collections = [*([self.output] if self.output else []), *filter(self._exists, there)]
        maps = {str(one.name) for one in self.butler.query_dimension_records("skymap", explain=False)}
        self._usual = {"instrument": names, "skymap": sorted(maps)}
        self.commands = Commands(self.repository)

    @classmethod
    def of_product(
        cls, butler: Butler, repository: str, dataset_type: str, output: str | None, shipped: Shipped
    ) -> Scope:
        """The scope of an output, or of the newest one that has or makes a dataset type."""
        found, records = scope_of(butler, output, dataset_type)
        return cls(butler, repository, found, records, shipped)

    def _exists(self, collection: str) -> bool:
        try:
            self.butler.collections.get_info(collection)
        except MissingCollectionError:
            return False
        return True

    def name(self, what: str, data_id: Mapping[str, Any] | DataCoordinate) -> str:
        """A product in words; what there is only one of in the repository goes without saying."""
        values = dict(data_id.required) if isinstance(data_id, DataCoordinate) else dict(data_id)
        keys = sorted(values, key=lambda key: (_ORDER.index(key) if key in _ORDER else -1, key))
        plain = [key for key in keys if len(self._usual.get(key, (1, 2))) != 1]
        return " ".join([what, *(f"{key}={values[key]}" for key in plain)])

    def dimensions(self, dataset_type: str) -> tuple[str, ...] | None:
        """Required dimensions of a dataset type, of one that is not registered those its task gives; or None."""
        try:
            return tuple(self.butler.get_dataset_type(dataset_type).dimensions.required)
        except MissingDatasetTypeError:
            task = self.maker(dataset_type)[1]
        for one in () if task is None else task.outputs:
            if one.name == dataset_type:
                return tuple(self.butler.dimensions.conform(one.dimensions).required)
        return None

    def maker(self, dataset_type: str) -> tuple[RunRecord | None, TaskRecord | None, str]:
        """The newest run that makes a dataset type and its task; else that of a pipeline, and its name."""
        for record in self.records:
            for task in record.makers(dataset_type):
                return record, task, ""
        for pipeline, task in self.shipped(dataset_type):
            begun = (one for one in self.records if one.settings and task.label in one.asked)
            return next(begun, None), task, pipeline
        return None, None, ""

    def complete(self, given: Mapping[str, Any], dimensions: Iterable[str]) -> dict[str, Any]:
        """A data id with the instrument and the sky map, where there is but one and the dimensions need it.

        Raises
        ------
        RepositoryError
            If there are several and none is given.
        """
        needed = self.butler.dimensions.conform({*dimensions, *given}).names
        values = dict(given)
        for governor in _GOVERNORS:
            if governor in needed and governor not in values:
                names = self._usual[governor]
                if governor == "skymap" and len(names) > 1:
                    names = self._maps_of_output(names)
                if len(names) != 1:
                    raise RepositoryError(
                        f"the repository has the {governor}s {', '.join(names) or '(none)'}.",
                        cure=f"Choose one with {governor}=NAME." if names else "There is nothing on the sky yet.",
                    )
                values[governor] = names[0]
        return values

    def _maps_of_output(self, names: Sequence[str]) -> list[str]:
        """Of several sky maps those that the runs of the output work on."""
        found = set()
        for kind in self.butler.registry.queryDatasetTypes(("direct_warp", "joint_metrics", "deep_coadd")):
            for ref in self.butler.query_datasets(kind, self.collections, explain=False, limit=None):
                found.add(str(ref.dataId["skymap"]))
        return sorted(found) or list(names)

    def expand(self, values: Mapping[str, Any], dimensions: Iterable[str]) -> DataCoordinate | None:
        """A data id with all that follows from it; None where the repository does not know one of its values."""
        group = self.butler.dimensions.conform(dimensions)
        needed = {key: value for key, value in values.items() if key in group.names}
        try:
            return self.butler.registry.expandDataId(needed, dimensions=group)
        except (ButlerUserError, LookupError):
            return None

    def unknown_part(self, values: Mapping[str, Any]) -> str:
        """The first key of a data id whose value the repository does not know; empty if it knows all."""
        for key in sorted(values, key=lambda key: _ORDER.index(key) if key in _ORDER else -1):
            needed = set(self.butler.dimensions.conform([key]).required)
            if needed <= values.keys() and self.expand(values, [key]) is None:
                return key
        return ""

    def data_ids(self, given: Mapping[str, Any], dimensions: Iterable[str]) -> list[DataCoordinate]:
        """All data ids of some dimensions that are compatible with given values, in order.

        Detectors are those of which a visit has a frame; what lies on a patch or tract is told by the regions.
        """
        universe = self.butler.dimensions
        wanted = universe.conform(dimensions)
        values = self.complete(given, wanted.names)
        everything = universe.conform({*wanted.names, *values})
        with self.butler.query() as query:
            found = {one.subset(wanted) for one in query.where(**values).data_ids(everything)}
        if {"visit", "detector"} <= set(wanted.names) and "detector" not in values:
            known = {key: value for key, value in values.items() if key in ("instrument", "visit")}
            element = "visit_detector_region"
            rows = self.butler.query_dimension_records(element, data_id=known, explain=False, limit=None)
            frames = {(row.dataId["visit"], row.dataId["detector"]) for row in rows}
            found = {one for one in found if (one["visit"], one["detector"]) in frames}
        if {"exposure", "detector"} <= set(wanted.names) and "detector" not in values:
            refs = [ref for name in ("raw", "post_isr") for ref in self.refs(name, values)]
            frames = {(ref.dataId["exposure"], ref.dataId["detector"]) for ref in refs}
            found = {one for one in found if (one["exposure"], one["detector"]) in frames}
        return sorted(found)

    def refs(self, dataset_type: str, given: Mapping[str, Any]) -> list[DatasetRef]:
        """Datasets of a type that are compatible with given values, of each the first that is found."""
        try:
            kind = self.butler.get_dataset_type(dataset_type)
        except MissingDatasetTypeError:
            return []
        names = set(kind.dimensions.names)
        values = self.complete({key: value for key, value in given.items() if key in names}, names)
        try:
            return self.butler.query_datasets(
                dataset_type, self.collections, find_first=True, data_id=values, explain=False, limit=None
            )
        except (MissingCollectionError, InvalidQueryError):
            return []

    def place(self, ref: DatasetRef) -> str:
        """Where the file of a dataset is, or would be."""
        uri = self.butler.getURI(ref, predict=True).replace(fragment="")
        return uri.ospath if uri.isLocal else str(uri)

    def find(self, dataset_type: str, data_id: DataCoordinate) -> DatasetRef | None:
        """A dataset of the output or of its inputs."""
        try:
            return self.butler.find_dataset(dataset_type, data_id, collections=self.collections)
        except (MissingDatasetTypeError, MissingCollectionError):
            return None

    def expected(self, task: TaskRecord, connection: Connection, data_id: DataCoordinate) -> list[DataCoordinate]:
        """The data ids that an input of a quantum may have, by the regions on the sky."""
        given = dict(data_id.required)
        dimensions = self.butler.dimensions.conform(connection.dimensions)
        if set(dimensions.required) <= set(given):
            return [data_id.subset(dimensions)] if set(dimensions.names) <= set(data_id.dimensions.names) else []
        return self.data_ids(given, dimensions.names)
