"""Find what a run left of the coadds of a patch, and read it band by band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsst.daf.butler import (  # type: ignore[attr-defined]
    Butler,
    CollectionType,
    DatasetRef,
    MissingCollectionError,
    MissingDatasetTypeError,
)

from skyloom.errors import RepositoryError
from skyloom.images import from_coadd
from skyloom.repo.setup import instruments

from .patch_products import BandProducts, clipped_pixels
from .reading import (
    LOG,
    METADATA,
    NO_REASON,
    ProductReader,
    failure_of,
    loud_lines,
    no_collection,
    query,
    without_failure,
)
from .tract_inputs import tract_of

if TYPE_CHECKING:
    from skyloom.images import SpanSet
    from skyloom.skymap import Patch

__all__ = ["PatchReader", "patch_of"]

_PATCH = {"skymap", "tract", "patch", "band"}
_ASSEMBLIES = ("assemble", "clip", "compare")
"""Parts of the labels of tasks that make coadds; others take them in, and say nothing of how they were made."""
_ARTIFACT_MASKS = "*artifact_mask*"
_WARPS = {False: "direct_warp", True: "psf_matched_warp"}
_MATCHED = "psf_matched"


def patch_of(
    butler: Butler, number: int, tract: int | None = None, sky_map: str | None = None, coadd: str = "deep_coadd"
) -> Patch:
    """A patch of a repository; without a tract, that of the only one in which it has coadds.

    Raises
    ------
    RepositoryError
        If there is no such patch, tract or sky map, or none is given and there are several.
    """
    if tract is None:
        tract = _only_tract(butler, number, sky_map, coadd)
    place = tract_of(butler, tract, sky_map)
    try:
        return place.patch(number)
    except IndexError as error:
        raise RepositoryError(
            f"tract {tract} of {place.skymap} has no patch {number}; it has {len(place)}.",
            cure=f"List them with 'skyloom skymap show REPO {place.skymap}'.",
        ) from error


def _only_tract(butler: Butler, patch: int, sky_map: str | None, coadd: str) -> int:
    where = f"patch = {patch}"
    names = sorted(str(record.name) for record in butler.query_dimension_records("skymap", explain=False))
    name = names[0] if sky_map is None and len(names) == 1 else sky_map
    if name is None or name not in names:
        tract_of(butler, 0, sky_map)  # says what is wrong with the sky map
    where = f"skymap = '{name}' AND {where}"
    found: set[int] = set()
    for kind in (coadd, *(label + METADATA for label in _labels(butler) if _assembles(label))):
        refs = query(butler, kind, where, list(butler.collections.query("*", CollectionType.RUN)), first=False)
        found |= {int(ref.dataId["tract"]) for ref in refs}
    if len(found) == 1:
        return found.pop()
    told = f"the tracts {', '.join(map(str, sorted(found)))}" if found else "no tract"
    raise RepositoryError(f"patch {patch} has coadds in {told} of {name}.", cure="Choose one with --tract.")


def _labels(butler: Butler) -> list[str]:
    """Labels of the tasks that work on a patch in a band, by where they leave their figures."""
    kinds = butler.registry.queryDatasetTypes("*" + METADATA)
    return sorted(kind.name.removesuffix(METADATA) for kind in kinds if set(kind.dimensions.names) == _PATCH)


def _assembles(label: str) -> bool:
    return any(part in label.lower() for part in _ASSEMBLIES)


class PatchReader:
    """Reads the products of a patch, band by band.

    Parameters
    ----------
    butler
        The repository.
    patch
        The patch.
    collections
        Where to look, the first first; empty: everywhere, the newest of each product.
    coadd
        Dataset type of the coadds; the number of warps is beside it under the name with ``_n_image``.
    """

    def __init__(
        self, butler: Butler, patch: Patch, collections: Sequence[str] = (), coadd: str = "deep_coadd"
    ) -> None:
        self._patch, self._coadd = patch, coadd
        where = f"skymap = '{patch.tract.skymap}' AND tract = {patch.tract.id} AND patch = {patch.id}"
        self._products = ProductReader(butler, where, collections)
        self._labels = _labels(butler)

    def runs(self, bands: Sequence[str] = ()) -> dict[str, str]:
        """By band, the run that was at its coadd last, or the first of the collections that are given.

        Raises
        ------
        RepositoryError
            If there is nothing to show, or no such collection.
        """
        there = self._products
        try:
            given = there.collections or "*"
            places = list(there.butler.collections.query(given, CollectionType.RUN, flatten_chains=True))
        except MissingCollectionError as error:
            raise no_collection(there.collections) from error
        where = f" AND band IN ({', '.join(repr(band) for band in bands)})" if bands else ""
        # A task that failed leaves its log; a coadd may have come without a task.
        anchors = [label + kind for kind in (LOG, METADATA) for label in self._labels if _assembles(label)]
        # The largest of what is to be preferred.
        rank = {run: -place if there.collections else 0 for place, run in enumerate(places)}
        best: dict[str, tuple[int, float]] = {}
        found: dict[str, str] = {}
        for name in (*anchors, self._coadd):
            for band, run, when in self._traces(name, where, places):
                if band not in best or (rank[run], when) > best[band]:
                    best[band], found[band] = (rank[run], when), run
        if not found:
            what = f" in {', '.join(bands)}" if bands else ""
            place = f"patch {self._patch.id} of tract {self._patch.tract.id} of {self._patch.tract.skymap}"
            raise RepositoryError(
                f"{place}{what}: no {self._coadd} is in {', '.join(there.collections) or 'any run'}.",
                cure="Make it: skyloom run drp REPO, or see what failed before with 'skyloom status REPO'.",
            )
        return dict(sorted(found.items()))

    def read(self, band: str, run: str) -> BandProducts:
        """All that there is of a band; what cannot be read is named and left out."""
        there = self._products
        there.missing.clear()
        where = f" AND band = '{band}'"
        ref = next(iter(there.refs(self._coadd, where, run)), None)
        made = None if ref is None else there.get(ref)
        label, metadata = self._metadata(where, run, ref)
        failure = ""
        log = self._log(label, where, run)
        if made is None:
            failure = failure_of(metadata) or (" ".join(there.missing) or " ".join(log[-1:]) or NO_REASON)
        n_image = there.first(f"{self._coadd}_n_image", where, run) if made is not None else None
        coadd = None if made is None else from_coadd(made)
        warps = there.refs(_WARPS[_MATCHED in self._coadd], where)
        visits = set() if coadd is None or coadd.inputs is None else {int(visit) for visit in coadd.inputs["visit"]}
        return BandProducts(
            band=band,
            run=run,
            coadd=coadd,
            n_image=None if n_image is None else n_image.array,
            clipped=self._clipped(where, run) if coadd is not None else {},
            warped=frozenset(int(one.dataId["visit"]) for one in warps) or None,
            summaries=self._summaries(visits, warps),
            metadata={key: value for key, value in metadata.items() if key != "failure"},
            failure=failure,
            log=without_failure(log, failure),
            missing=tuple(there.missing) if made is not None else (),
        )

    def _traces(self, name: str, where: str, places: Sequence[str]) -> list[tuple[str, str, float]]:
        """Band, run and time (days) of each dataset of a type on the patch."""
        with self._products.butler.query() as asked:
            try:
                rows = (
                    asked.join_dataset_search(name, places)
                    .where(self._products.where + where)
                    .general(["band", "patch"], dataset_fields={name: {"ingest_date", "run"}}, find_first=False)
                )
                return [
                    (str(row["band"]), str(row[f"{name}.run"]), float(row[f"{name}.ingest_date"].jd)) for row in rows
                ]
            except MissingDatasetTypeError:
                return []

    def _metadata(self, where: str, run: str, coadd: DatasetRef | None) -> tuple[str, dict[str, Any]]:
        """Label and figures of the task that made the coadd: its figures say what it wrote."""
        found: list[tuple[str, dict[str, Any], bool]] = []
        for label in self._labels:
            metadata = self._products.first(label + METADATA, where, run)
            if metadata is None:
                continue
            whole = metadata.to_dict()
            wrote = coadd is not None and str(coadd.id) in map(str, whole.get("quantum", {}).get("outputs", ()))
            if wrote or _assembles(label):
                found.append((label, dict(whole.get(label, {})), wrote))
        if not found:
            logged = (one for one in self._labels if _assembles(one) and self._products.refs(one + LOG, where, run))
            return next(logged, ""), {}
        label, figures, _ = max(found, key=lambda one: one[2])
        return label, figures

    def _log(self, label: str, where: str, run: str) -> list[str]:
        """Warnings and errors of the assembly, one line each."""
        return loud_lines(self._products.first(label + LOG, where, run) if label else None)

    def _clipped(self, where: str, run: str) -> dict[int, SpanSet]:
        """By visit, what was clipped of its warp, by the run that made the coadd."""
        found: dict[int, SpanSet] = {}
        for kind in self._products.butler.registry.queryDatasetTypes(_ARTIFACT_MASKS):
            if {"visit", "patch"} <= set(kind.dimensions.names):
                for ref in self._products.refs(kind.name, where, run):
                    mask = self._products.get(ref)
                    if mask is not None:
                        found.setdefault(int(ref.dataId["visit"]), clipped_pixels(mask))
        return dict(sorted(found.items()))

    def _summaries(self, visits: set[int], warps: Sequence[DatasetRef]) -> dict[int, Any]:
        """Summaries of visits, the first of each."""
        names = {str(ref.dataId["instrument"]) for ref in warps} or set(instruments(self._products.butler))
        if not visits or len(names) != 1:
            return {}
        where = f"instrument = '{names.pop()}' AND visit IN ({', '.join(map(str, sorted(visits)))})"
        return self._products.by_visit(self._products.anywhere("visit_summary", where))
