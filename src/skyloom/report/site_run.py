"""What a site is about: an output of the repository, the runs behind it, and what failed in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lsst.daf.butler import (  # type: ignore[attr-defined]
    Butler,
    CollectionType,
    DatasetRef,
    MissingCollectionError,
    MissingDatasetTypeError,
)

from skyloom.errors import RepositoryError

if TYPE_CHECKING:
    from collections import Counter

__all__ = ["Failure", "RunSummary", "SiteData", "runs_of"]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A quantum that failed in the last run that tried it."""

    task: str
    data_id: Mapping[str, Any] = field(default_factory=dict)
    reason: str
    name: str = ""
    """What it worked on in words, where there is no data id."""

    @property
    def where(self) -> str:
        """The data id in words."""
        return self.name or " ".join(
            f"{key} {value}" for key, value in self.data_id.items() if key not in {"instrument", "skymap"}
        )


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What the journal of a run tells."""

    run: str
    pipeline: str = ""
    begun: str = ""
    """When, UTC."""
    wall_s: float = 0.0
    inputs: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Counter[str]] = field(default_factory=dict)
    """Task: quanta by how they ended."""
    busy_s: Mapping[str, float] = field(default_factory=dict)
    """Task: seconds that workers were busy with it."""
    failures: Sequence[Failure] = ()

    @property
    def quanta(self) -> int:
        """Of all tasks."""
        return sum(sum(counts.values()) for counts in self.counts.values())


@dataclass(frozen=True, kw_only=True)
class SiteData:
    """An output of a repository: where products are looked for, and the runs among it that are known."""

    butler: Butler
    output: str
    """A chain, or a run."""
    runs: Sequence[RunSummary] = ()
    """The newest first."""
    plan: Sequence[tuple[str, str]] = ()
    """What was to be done and why, where that is known: names of parts, and words."""
    other_failures: Sequence[Failure] = ()
    """Those of which no run tells."""
    sky_map: str = ""
    """Of several, the one whose tracts and patches are shown; all where empty."""

    @property
    def failures(self) -> list[Failure]:
        """All; of what several runs tried and failed at, that of the newest."""
        found: dict[tuple[str, str], Failure] = {}
        for run in self.runs:
            for failure in run.failures:
                found.setdefault((failure.task, failure.where), failure)
        return [*self.other_failures, *found.values()]

    def refs(self, name: str, where: str = "") -> list[DatasetRef]:
        """Datasets of a type in the order of their data ids, the first of each."""
        with self.butler.query() as query:
            try:
                found = query.datasets(name, [self.output], find_first=True)
                refs = list(found.where(where) if where else found)
            except MissingDatasetTypeError:
                return []
        if self.sky_map:
            refs = [ref for ref in refs if ref.dataId.get("skymap", self.sky_map) == self.sky_map]
        return sorted(refs, key=lambda ref: tuple(ref.dataId.required_values))

    def get(self, ref: DatasetRef) -> Any:
        """A product; None where its file is gone."""
        try:
            return self.butler.get(ref)
        except FileNotFoundError:
            return None


def runs_of(butler: Butler, output: str) -> list[str]:
    """The runs of a chain, or the run itself, the newest first.

    Raises
    ------
    RepositoryError
        If there is no such collection.
    """
    try:
        return list(butler.collections.query(output, CollectionType.RUN, flatten_chains=True))
    except MissingCollectionError as error:
        raise RepositoryError(
            f"there is no collection {output}.", cure="List them with 'butler query-collections REPO'."
        ) from error
