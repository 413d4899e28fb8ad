"""Find what a run left of the joint calibration and the warps of a tract, and read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lsst.daf.butler import (  # type: ignore[attr-defined]
    Butler,
    CollectionType,
    DatasetRef,
    MissingCollectionError,
    MissingDatasetTypeError,
)

from skyloom.errors import RepositoryError
from skyloom.repo.setup import read_camera
from skyloom.repo.skymap_store import read_sky_map

from .tract_products import FilterProducts, WarpRecord

if TYPE_CHECKING:
    from skyloom.skymap import Tract

__all__ = ["TractReader", "tract_of"]

_LABEL = "jointcal"
_ANCHORS = (f"{_LABEL}_log", f"{_LABEL}_metadata", "joint_metrics", "joint_history", "direct_warp")
"""What tells that a run was at a tract, the surest first: a fit that failed leaves its log."""
_TABLES = {
    "measurements": "joint_measurements",
    "stars": "joint_stars",
    "history": "joint_history",
    "metrics": "joint_metrics",
}
_VISIT_TABLES = {"wcs": "joint_wcs", "photo_calib": "joint_photo_calib"}
_WARP, _WARP_LABEL = "direct_warp", "make_direct_warp"
_LOUD = ("WARNING", "ERROR", "CRITICAL", "FATAL")
_EXECUTOR = "exited with partial outputs"
"""What the executor adds of its own to a failure."""


def tract_of(butler: Butler, number: int, sky_map: str | None = None) -> Tract:
    """A tract of a repository.

    Raises
    ------
    RepositoryError
        If there is no such tract or sky map, or none is given and the repository has several.
    """
    names = sorted(str(record.name) for record in butler.query_dimension_records("skymap", explain=False))
    if sky_map is None and len(names) == 1:
        sky_map = names[0]
    if sky_map is None or sky_map not in names:
        raise RepositoryError(
            f"the repository has the sky maps {', '.join(names) or '(none)'}"
            + (f", and not {sky_map}." if sky_map is not None else "."),
            cure="Choose one with --skymap." if names else "Make one with 'skyloom skymap make'.",
        )
    stored = read_sky_map(butler, sky_map)
    if stored is None:
        raise RepositoryError(f"the sky map {sky_map} is not stored.", cure="Make it with 'skyloom skymap make'.")
    try:
        return stored.tract(number)
    except (IndexError, LookupError) as error:
        raise RepositoryError(
            f"the sky map {sky_map} has no tract {number}.",
            cure=f"List them with 'skyloom skymap show REPO {sky_map}'.",
        ) from error


class TractReader:
    """Reads the products of a tract, filter by filter.

    Parameters
    ----------
    butler
        The repository.
    instrument
        Whose visits.
    tract
        The tract.
    collections
        Where to look, the first first; empty: everywhere, the newest of each product.
    """

    def __init__(self, butler: Butler, instrument: str, tract: Tract, collections: Sequence[str] = ()) -> None:
        self._butler, self._instrument, self._tract = butler, instrument, tract
        self._collections = list(collections)
        self._missing: list[str] = []

    def runs(self, bands: Sequence[str] = ()) -> dict[str, tuple[str, str]]:
        """By physical filter, the band, and the run that was at its joint fit last (empty where there are only warps).

        Raises
        ------
        RepositoryError
            If there is nothing to show, or no such collection.
        """
        where = f" AND band IN ({', '.join(repr(band) for band in bands)})" if bands else ""
        found: dict[str, tuple[str, str]] = {}
        for name in _ANCHORS:
            try:
                for ref in self._refs(name, where):
                    run = "" if name == _WARP else str(ref.run)
                    found.setdefault(str(ref.dataId["physical_filter"]), (str(ref.dataId["band"]), run))
            except MissingCollectionError as error:
                raise RepositoryError(
                    f"there is no collection {', '.join(self._collections)}.",
                    cure="List them with 'butler query-collections REPO'.",
                ) from error
        if not found:
            raise self._nothing(bands)
        return dict(sorted(found.items()))

    def read(self, physical_filter: str, band: str, run: str) -> FilterProducts:
        """All that there is of a filter; what cannot be read is named and left out."""
        self._missing = []
        where = f" AND physical_filter = '{physical_filter}'"
        tables = {name: self._first(kind, where, run) for name, kind in _TABLES.items()}
        by_visit = {name: self._by_visit(self._refs(kind, where, run)) for name, kind in _VISIT_TABLES.items()}
        failure, log = self._failure(where, run)
        return FilterProducts(
            physical_filter=physical_filter,
            band=band,
            run=run,
            camera=read_camera(self._butler, self._instrument),
            tract=self._tract,
            failure=failure,
            log=log,
            summaries=self._by_visit(self._refs("visit_summary", where)),
            warps=self._warps(where),
            missing=tuple(self._missing),
            **tables,
            **by_visit,
        )

    def _refs(self, name: str, where: str = "", run: str | None = None) -> list[DatasetRef]:
        """Datasets of a type on the tract: of a run, of the first collection that has one, or all, the newest first."""
        if run == "":
            return []
        places = [run] if run else self._collections or list(self._butler.collections.query("*", CollectionType.RUN))
        chosen = bool(run or self._collections)
        tract = f"skymap = '{self._tract.skymap}' AND tract = {self._tract.id}"
        with self._butler.query() as query:
            try:
                refs = query.datasets(name, places, find_first=chosen).where(
                    f"instrument = '{self._instrument}' AND {tract}{where}"
                )
                return list(refs if chosen else refs.order_by(f"-{name}.ingest_date"))
            except MissingDatasetTypeError:
                return []

    def _get(self, ref: DatasetRef) -> Any:
        """A product; None, and a word about it, where its file is gone."""
        try:
            return self._butler.get(ref)
        except FileNotFoundError:
            visit = f" of visit {ref.dataId['visit']}" if "visit" in ref.dataId else ""
            self._missing.append(f"The file of {ref.datasetType.name}{visit} is gone.")
            return None

    def _first(self, name: str, where: str, run: str) -> Any:
        refs = self._refs(name, where, run)
        return self._get(refs[0]) if refs else None

    def _by_visit(self, refs: Iterable[DatasetRef]) -> dict[int, Any]:
        """Tables by visit, the first of each."""
        first: dict[int, DatasetRef] = {}
        for ref in refs:
            first.setdefault(int(ref.dataId["visit"]), ref)
        tables = {visit: self._get(ref) for visit, ref in sorted(first.items())}
        return {visit: table for visit, table in tables.items() if table is not None}

    def _failure(self, where: str, run: str) -> tuple[str, tuple[str, ...]]:
        """Why the joint fit failed, in the words of its error, and the warnings of its log."""
        failure = _failure_of(self._first(f"{_LABEL}_metadata", where, run), _LABEL)
        records = self._first(f"{_LABEL}_log", where, run) or []
        lines = [
            f"{record.levelname}: {record.message.strip().splitlines()[-1]}"
            for record in records
            if record.levelname in _LOUD and record.message.strip()
        ]
        if not failure and run and not self._refs("joint_metrics", where, run):
            failure = " ".join(lines[-1:]) or "The run left no reason; its log may have more."
        return failure, tuple(line for line in lines if not failure or (failure not in line and _EXECUTOR not in line))

    def _warps(self, where: str) -> list[WarpRecord]:
        """Visits on patches: those that were warped, and those of which the task left its figures alone."""
        key: Callable[[DatasetRef], tuple[int, int]] = lambda ref: (int(ref.dataId["patch"]), int(ref.dataId["visit"]))  # noqa: E731
        written = {key(ref) for ref in self._refs(_WARP, where)}
        newest: dict[tuple[int, int], DatasetRef] = {}
        for ref in self._refs(f"{_WARP_LABEL}_metadata", where):
            newest.setdefault(key(ref), ref)
        found = []
        for patch, visit in sorted(written | set(newest)):
            metadata = self._get(newest[patch, visit]) if (patch, visit) in newest else None
            figures = {} if metadata is None else dict(metadata.to_dict().get(_WARP_LABEL, {}))
            failure = _failure_of(metadata, _WARP_LABEL)
            found.append(
                WarpRecord(
                    visit=visit,
                    patch=patch,
                    exists=(patch, visit) in written,
                    filled=float(figures.get("filled_fraction", float("nan"))),
                    left_out=tuple(str(one) for one in figures.get("left_out", ())),
                    own_calibration=not all(figures.get(f"has_{name}", True) for name in _VISIT_TABLES_OF_WARPS),
                    failure=failure,
                )
            )
        return found

    def _nothing(self, bands: Sequence[str]) -> RepositoryError:
        """Why there is nothing to show."""
        what = f" in {', '.join(bands)}" if bands else ""
        return RepositoryError(
            f"tract {self._tract.id} of {self._tract.skymap}{what}: nothing of a joint calibration of "
            f"{self._instrument} is in {', '.join(self._collections) or 'any run'}.",
            cure="Make it: skyloom run drp REPO, or see what failed before with 'skyloom status REPO'.",
        )


_VISIT_TABLES_OF_WARPS = tuple(_VISIT_TABLES.values())


def _failure_of(metadata: Any, label: str) -> str:
    """Why a task failed, in the words of its error; empty where it did not."""
    failure = {} if metadata is None else metadata.to_dict().get(label, {}).get("failure", "")
    return str(failure.get("message", "")) if isinstance(failure, dict) else str(failure)
