"""What all pages need to read of a repository: the newest products, or those of collections; failures and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lsst.daf.butler import (  # type: ignore[attr-defined]
    Butler,
    CollectionType,
    DatasetRef,
    MissingDatasetTypeError,
)

from skyloom.errors import RepositoryError

if TYPE_CHECKING:
    from lsst.daf.butler.logging import ButlerLogRecords

__all__ = [
    "LOG",
    "METADATA",
    "NO_REASON",
    "ProductReader",
    "failure_of",
    "loud_lines",
    "no_collection",
    "query",
    "without_failure",
]

METADATA, LOG = "_metadata", "_log"
"""Behind the label of a task: its figures, and its log."""
NO_REASON = "The run left no reason; its log may have more."
_LOUD = ("WARNING", "ERROR", "CRITICAL", "FATAL")
_EXECUTOR = "exited with partial outputs"
"""What the executor adds of its own to a failure."""


def query(butler: Butler, name: str, where: str, places: Sequence[str], *, first: bool) -> list[DatasetRef]:
    """Datasets of a type: of each the one in the first of the places, or all, the newest first."""
    with butler.query() as asked:
        try:
            refs = asked.datasets(name, places, find_first=first).where(where)
            return list(refs if first else refs.order_by(f"-{name}.ingest_date"))
        except MissingDatasetTypeError:
            return []


def no_collection(collections: Iterable[str]) -> RepositoryError:
    """The error for collections that are not there."""
    return RepositoryError(
        f"there is no collection {', '.join(collections)}.", cure="List them with 'butler query-collections REPO'."
    )


def failure_of(figures: dict[str, Any]) -> str:
    """Why a task failed, in the words of its error, from the figures it left; empty where it did not."""
    failure = figures.get("failure", "")
    return str(failure.get("message", "")) if isinstance(failure, dict) else str(failure)


def loud_lines(records: ButlerLogRecords | None) -> list[str]:
    """Warnings and errors of a log, a line each."""
    return [
        f"{record.levelname}: {record.message.strip().splitlines()[-1]}"
        for record in records or ()
        if record.levelname in _LOUD and record.message.strip()
    ]


def without_failure(lines: Iterable[str], failure: str) -> tuple[str, ...]:
    """Those lines of a log that do not repeat the failure."""
    return tuple(line for line in lines if not failure or (failure not in line and _EXECUTOR not in line))


class ProductReader:
    """Reads products at a place of the sky; those whose file is gone are named in `missing`, and left out.

    Parameters
    ----------
    butler
        The repository.
    where
        Expression that chooses the place.
    collections
        Where to look, the first first; empty: everywhere, the newest of each product.
    """

    def __init__(self, butler: Butler, where: str, collections: Sequence[str] = ()) -> None:
        self.butler, self.where, self.collections = butler, where, list(collections)
        self.missing: list[str] = []

    def refs(self, name: str, where: str = "", run: str | None = None) -> list[DatasetRef]:
        """Datasets of a type at the place: of a run, of the first collection that has one, or all, newest first."""
        return self.anywhere(name, self.where + where, run)

    def anywhere(self, name: str, where: str, run: str | None = None) -> list[DatasetRef]:
        """The same, wherever on the sky."""
        if run == "":
            return []
        places = [run] if run else self.collections or list(self.butler.collections.query("*", CollectionType.RUN))
        return query(self.butler, name, where, places, first=bool(run or self.collections))

    def get(self, ref: DatasetRef) -> Any:
        """A product; None, and a word about it, where its file is gone."""
        try:
            return self.butler.get(ref)
        except FileNotFoundError:
            visit = f" of visit {ref.dataId['visit']}" if "visit" in ref.dataId else ""
            self.missing.append(f"The file of {ref.datasetType.name}{visit} is gone.")
            return None

    def first(self, name: str, where: str, run: str) -> Any:
        """The product of a run; None where it has none."""
        refs = self.refs(name, where, run)
        return self.get(refs[0]) if refs else None

    def by_visit(self, refs: Iterable[DatasetRef]) -> dict[int, Any]:
        """Products by visit, the first of each."""
        first: dict[int, DatasetRef] = {}
        for ref in refs:
            first.setdefault(int(ref.dataId["visit"]), ref)
        tables = {visit: self.get(ref) for visit, ref in sorted(first.items())}
        return {visit: table for visit, table in tables.items() if table is not None}
