"""Import calibrations, and certify for which dates they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DatasetRef, Timespan  # type: ignore[attr-defined]
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.images import MaskedImage

from skyloom.errors import BadFrameError, RepositoryError, SkyloomError
from skyloom.instruments import Camera

from .calibration_files import read_calibrations
from .calibration_kinds import CALIBRATION_TYPES, ImportOptions, Item, dataset_type_of
from .collections import calib_collection
from .setup import register_dataset_types

__all__ = [
    "CALIBRATION_TYPES",
    "Imported",
    "build_chain",
    "certified_for",
    "certify",
    "certify_built",
    "import_calibrations",
    "parse_validity",
    "validity_run",
]


@dataclass(frozen=True)
class Imported:
    """What became of one calibration of a file."""

    path: Path
    data_id: dict[str, Any]
    """Detector and filter, as far as the kind has them; empty where the file was refused."""
    error: SkyloomError | None = None
    note: str = ""
    """What people should know of it."""


def parse_validity(begin: str | None, end: str | None) -> Timespan:
    """A validity range from ISO dates (UTC); None is without bound.

    Raises
    ------
    RepositoryError
        If a date cannot be read, or the end is not after the begin.
    """
    first, last = _parse_time("--begin", begin), _parse_time("--end", end)
    if first is not None and last is not None and last <= first:
        raise RepositoryError(
            f"the validity ends {end}, not after it begins {begin}.", cure="Correct --begin or --end."
        )
    return Timespan(first, last)


def _parse_time(option: str, text: str | None) -> Time | None:
    if text is None:
        return None
    try:
        return Time(text, scale="utc").tai
    except ValueError as error:
        raise RepositoryError(f"cannot read the date {text!r}.", keyword=option, cure="Write 2026-01-31.") from error


def import_calibrations(
    butler: Butler,
    camera: Camera,
    kind: str,
    paths: list[Path],
    *,
    validity: Timespan,
    detector: int | None = None,
    physical_filter: str | None = None,
    unit: str | None = None,
    header_dates: bool = False,
    replace: bool = False,
) -> list[Imported]:
    """Import calibrations of one kind and certify them for a range of dates.

    A file, or an image of a file, that cannot be used is refused alone; a conflict with what is certified already is an
    error, and then nothing of the call is kept.

    Parameters
    ----------
    butler
        A writeable butler.
    camera
        The camera.
    kind
        One of `CALIBRATION_TYPES`.
    paths
        Files, see `skyloom.repo.calibration_files`.
    validity
        When they hold.
    detector
        Id of the detector, where the headers do not tell it.
    physical_filter
        Filter of flats, where the headers do not tell it.
    unit
        Unit of the pixels, or of wavelengths, where the file does not tell it.
    header_dates
        Whether the headers tell when the masters hold, instead of `validity`.
    replace
        Whether what is certified for the same detector, filter and dates gives way.

    Raises
    ------
    RepositoryError
        If something is certified for part of the range already and ``replace`` is False.
    """
    register_dataset_types(butler)
    options = ImportOptions(
        detector=detector,
        physical_filter=physical_filter,
        unit=unit,
        header_dates=header_dates,
        bias_of=_certified_biases(butler, camera.name, validity),
    )
    results: list[Imported] = []
    seen: dict[tuple[Any, ...], Path] = {}
    with butler.transaction():
        for path in paths:
            results.extend(
                _take(butler, camera, kind, path, item, seen, validity=validity, replace=replace)
                for item in _items(path, camera, kind, options)
            )
    return results


def _items(path: Path, camera: Camera, kind: str, options: ImportOptions) -> Iterator[Item]:
    """The calibrations of a file as they are read, and what is wrong with it."""
    try:
        yield from read_calibrations(path, camera, kind, options)
    except BadFrameError as error:
        error.file = str(path)
        yield error


def _take(
    butler: Butler,
    camera: Camera,
    kind: str,
    path: Path,
    item: Item,
    seen: dict[tuple[Any, ...], Path],
    *,
    validity: Timespan,
    replace: bool,
) -> Imported:
    """Certify one calibration, unless there is something wrong with it."""
    if isinstance(item, BadFrameError):
        return Imported(path, {}, item)
    held = item.validity or validity
    key = (*item.data_id.values(), held)
    if key in seen:
        error = BadFrameError(
            f"{seen[key].name} is a {kind} of {item.data_id} as well.", file=str(path), cure="Import one of them."
        )
        return Imported(path, {}, error)
    dataset_type = dataset_type_of(kind)
    run = validity_run(camera.name, dataset_type, held)
    butler.collections.register(run, CollectionType.RUN)
    data_id = {"instrument": camera.name, **item.data_id}
    certify(butler, dataset_type, item.dataset, data_id, run=run, validity=held, replace=replace)
    seen[key] = path
    return Imported(path, item.data_id, note=item.note)


def _certified_biases(
    butler: Butler, instrument: str, validity: Timespan
) -> Callable[[int, Timespan | None], MaskedImage | None]:
    """Finds the bias that is certified for a detector and all of the dates; the registry is asked once for each."""

    @cache
    def refs(dates: Timespan) -> dict[int, DatasetRef]:
        return certified_for(butler, "bias", instrument, dates)

    def bias_of(detector: int, dates: Timespan | None) -> MaskedImage | None:
        ref = refs(dates or validity).get(detector)
        return None if ref is None else butler.get(ref)

    return bias_of


def certify(
    butler: Butler,
    kind: str,
    dataset: Any,
    data_id: dict[str, Any],
    *,
    run: str,
    validity: Timespan,
    replace: bool = False,
) -> DatasetRef:
    """Store a calibration in a run and certify it for a range of dates.

    Raises
    ------
    RepositoryError
        If something is certified for part of the range already and ``replace`` is False.
    """
    collection = calib_collection(data_id["instrument"])
    # The registry cannot take back the certificates of a kind of which it has none.
    if replace and kind in (butler.collections.get_info(collection, include_summary=True).dataset_types or ()):
        butler.registry.decertify(collection, kind, validity, dataIds=[butler.registry.expandDataId(data_id)])
    existing = butler.find_dataset(kind, data_id, collections=run)
    if existing is not None and not replace:
        raise _conflict(kind, data_id, validity)
    if existing is not None and _same_values(butler.get(existing), dataset):
        ref = existing  # what was made with it stays up to date
    else:
        if existing is not None:
            butler.pruneDatasets([existing], disassociate=True, unstore=True, purge=True)
        ref = butler.put(dataset, kind, data_id, run=run)
    try:
        butler.registry.certify(collection, [ref], validity)
    except ConflictingDefinitionError as error:
        raise _conflict(kind, data_id, validity) from error
    return ref


def certify_built(
    butler: Butler, refs: Sequence[DatasetRef], *, validity: Timespan, chain: str, replace: bool = False
) -> None:
    """Certify calibrations that are stored already for a range of dates.

    What a run of the same chain has made before gives way.

    Parameters
    ----------
    butler
        A writeable butler.
    refs
        The datasets, of one type.
    validity
        When they hold.
    chain
        The output chain that they were made in.
    replace
        Whether what comes from elsewhere and is certified for the same detector, filter and dates gives way too.

    Raises
    ------
    RepositoryError
        If something from elsewhere is certified for part of the range already and ``replace`` is False.
    """
    if not refs:
        return
    kind, collection = refs[0].datasetType.name, calib_collection(str(refs[0].dataId["instrument"]))
    there: dict[Any, list[Any]] = {}
    for association in butler.registry.queryDatasetAssociations(
        kind, collections=[collection], collectionTypes={CollectionType.CALIBRATION}
    ):
        if association.timespan is not None and association.timespan.overlaps(validity):
            there.setdefault(association.ref.dataId, []).append(association)
    with butler.transaction():
        for ref in refs:
            before = there.get(ref.dataId, [])
            if any(one.ref == ref and one.timespan.contains(validity) for one in before):
                continue
            if any(not one.ref.run.startswith(f"{chain}/") for one in before) and not replace:
                raise _conflict(kind, dict(ref.dataId.required), validity)
            if before:
                butler.registry.decertify(collection, kind, validity, dataIds=[ref.dataId])
            butler.registry.certify(collection, [ref], validity)


def certified_for(butler: Butler, kind: str, instrument: str, validity: Timespan) -> dict[int, DatasetRef]:
    """The biases or darks that are certified for the whole of a range of dates, by detector."""
    associations = butler.registry.queryDatasetAssociations(
        kind, collections=[calib_collection(instrument)], collectionTypes={CollectionType.CALIBRATION}
    )
    return {
        int(one.ref.dataId["detector"]): one.ref
        for one in associations
        if one.timespan is not None and one.timespan.contains(validity)
    }


def _same_values(one: Any, other: Any) -> bool:
    """Whether two master frames, two tables of defects, or plain data hold the same."""
    if isinstance(one, dict):
        return bool(one == other)
    if isinstance(one, Table) and isinstance(other, Table):
        return one.colnames == other.colnames and all(np.array_equal(one[name], other[name]) for name in one.colnames)
    if not (isinstance(one, MaskedImage) and isinstance(other, MaskedImage)):
        return False
    planes = ((first.image.array, first.variance.array, first.mask.array) for first in (one, other))
    return (one.bbox, one.unit) == (other.bbox, other.unit) and all(
        np.array_equal(first, second, equal_nan=first.dtype.kind == "f") for first, second in zip(*planes, strict=True)
    )


def _conflict(kind: str, data_id: dict[str, Any], validity: Timespan) -> RepositoryError:
    what = ", ".join(f"{name} {value}" for name, value in data_id.items() if name != "instrument")
    return RepositoryError(
        f"a {kind} of {what} is certified already for some of the dates ({_words(validity)}).",
        cure="Give other dates with --begin and --end, or replace it with --replace.",
    )


def _words(validity: Timespan) -> str:
    begin, end = _label(validity.begin), _label(validity.end)
    return "all dates" if begin == end == "open" else f"{begin} to {end}"


def validity_run(instrument: str, kind: str, validity: Timespan) -> str:
    """Run of the calibrations of one kind and range, so that each range has datasets of its own."""
    return f"{calib_collection(instrument)}/{kind}/{_label(validity.begin)}_{_label(validity.end)}"


def build_chain(instrument: str, validity: Timespan) -> str:
    """Output chain of the calibrations that are built for a range of dates."""
    return f"{calib_collection(instrument)}/build/{_label(validity.begin)}_{_label(validity.end)}"


def _label(time: Any) -> str:
    return str(time.utc.strftime("%Y%m%dT%H%M%SZ")) if isinstance(time, Time) else "open"
