"""Find what a run left of the joint calibration and the warps of a tract, and read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lsst.daf.butler import Butler, DatasetRef, MissingCollectionError

from skyloom.errors import RepositoryError
from skyloom.repo.setup import read_camera
from skyloom.repo.skymap_store import read_sky_map

from .reading import LOG, METADATA, NO_REASON, ProductReader, failure_of, loud_lines, no_collection, without_failure
from .tract_products import FilterProducts, WarpRecord

if TYPE_CHECKING:
    from skyloom.skymap import Tract

__all__ = ["TractReader", "tract_of"]

_LABEL = "jointcal"
_ANCHORS = (_LABEL + LOG, _LABEL + METADATA, "joint_metrics", "joint_history", "direct_warp")
"""What tells that a run was at a tract, the surest first: a fit that failed leaves its log."""
_TABLES = {
    "measurements": "joint_measurements",
    "stars": "joint_stars",
    "history": "joint_history",
    "metrics": "joint_metrics",
}
_VISIT_TABLES = {"wcs": "joint_wcs", "photo_calib": "joint_photo_calib"}
_WARP, _WARP_LABEL = "direct_warp", "make_direct_warp"


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
        self._instrument, self._tract = instrument, tract
        where = f"instrument = '{instrument}' AND skymap = '{tract.skymap}' AND tract = {tract.id}"
        self._products = ProductReader(butler, where, collections)

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
                for ref in self._products.refs(name, where):
                    run = "" if name == _WARP else str(ref.run)
                    found.setdefault(str(ref.dataId["physical_filter"]), (str(ref.dataId["band"]), run))
            except MissingCollectionError as error:
                raise no_collection(self._products.collections) from error
        if not found:
            raise self._nothing(bands)
        return dict(sorted(found.items()))

    def read(self, physical_filter: str, band: str, run: str) -> FilterProducts:
        """All that there is of a filter; what cannot be read is named and left out."""
        there = self._products
        there.missing.clear()
        where = f" AND physical_filter = '{physical_filter}'"
        tables = {name: there.first(kind, where, run) for name, kind in _TABLES.items()}
        by_visit = {name: there.by_visit(there.refs(kind, where, run)) for name, kind in _VISIT_TABLES.items()}
        failure, log = self._failure(where, run)
        return FilterProducts(
            physical_filter=physical_filter,
            band=band,
            run=run,
            camera=read_camera(there.butler, self._instrument),
            tract=self._tract,
            failure=failure,
            log=log,
            summaries=there.by_visit(there.refs("visit_summary", where)),
            warps=self._warps(where),
            missing=tuple(there.missing),
            **tables,
            **by_visit,
        )

    def _failure(self, where: str, run: str) -> tuple[str, tuple[str, ...]]:
        """Why the joint fit failed, in the words of its error, and the warnings of its log."""
        there = self._products
        failure = failure_of(_figures(there.first(_LABEL + METADATA, where, run), _LABEL))
        lines = loud_lines(there.first(_LABEL + LOG, where, run))
        if not failure and run and not there.refs("joint_metrics", where, run):
            failure = " ".join(lines[-1:]) or NO_REASON
        return failure, without_failure(lines, failure)

    def _warps(self, where: str) -> list[WarpRecord]:
        """Visits on patches: those that were warped, and those of which the task left its figures alone."""
        key: Callable[[DatasetRef], tuple[int, int]] = lambda ref: (int(ref.dataId["patch"]), int(ref.dataId["visit"]))  # noqa: E731
        there = self._products
        written = {key(ref) for ref in there.refs(_WARP, where)}
        newest: dict[tuple[int, int], DatasetRef] = {}
        for ref in there.refs(_WARP_LABEL + METADATA, where):
            newest.setdefault(key(ref), ref)
        found = []
        for patch, visit in sorted(written | set(newest)):
            metadata = there.get(newest[patch, visit]) if (patch, visit) in newest else None
            figures = _figures(metadata, _WARP_LABEL)
            found.append(
                WarpRecord(
                    visit=visit,
                    patch=patch,
                    exists=(patch, visit) in written,
                    filled=float(figures.get("filled_fraction", float("nan"))),
                    left_out=tuple(str(one) for one in figures.get("left_out", ())),
                    own_calibration=not all(figures.get(f"has_{name}", True) for name in _VISIT_TABLES_OF_WARPS),
                    failure=failure_of(figures),
                )
            )
        return found

    def _nothing(self, bands: Sequence[str]) -> RepositoryError:
        """Why there is nothing to show."""
        what = f" in {', '.join(bands)}" if bands else ""
        return RepositoryError(
            f"tract {self._tract.id} of {self._tract.skymap}{what}: nothing of a joint calibration of "
            f"{self._instrument} is in {', '.join(self._products.collections) or 'any run'}.",
            cure="Make it: skyloom run drp REPO, or see what failed before with 'skyloom status REPO'.",
        )


_VISIT_TABLES_OF_WARPS = tuple(_VISIT_TABLES.values())


def _figures(metadata: Any, label: str) -> dict[str, Any]:
    """What a task kept of its figures."""
    return {} if metadata is None else dict(metadata.to_dict().get(label, {}))
