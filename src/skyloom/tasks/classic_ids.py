"""From data ids of the classic command line to data references: frames that are there, and patches of a sky map."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsst.daf.butler import Butler, DataIdValueError, DatasetRef, MissingDatasetTypeError

from skyloom.repo.skymap_store import read_sky_map
from skyloom.skymap import SkyMap

from .classic_values import DataIdError, DataIdValues, where_of
from .data_reference import ButlerDataRef, dataset_type_of

__all__ = ["DataIds", "DataIdsOf", "frames_of", "overlapping_frames", "patches_of"]

_LOG = logging.getLogger(__name__)


@dataclass
class DataIds:
    """What ``--id`` or ``--selectId`` names."""

    idList: list[DataIdValues] = field(default_factory=list)
    """By argument, the values of each key."""
    refList: list[ButlerDataRef] = field(default_factory=list)
    """References to what was found, in the order of their data ids."""


@dataclass(frozen=True)
class DataIdsOf:
    """Where data ids are looked up.

    Parameters
    ----------
    butler
        Its collections are looked into.
    instrument
        Whose frames.
    names
        Connections of the task to dataset types.
    """

    butler: Butler
    instrument: str
    names: Mapping[str, str]


def frames_of(within: DataIdsOf, arguments: Sequence[DataIdValues], kind: str) -> DataIds:
    """The frames that are there of some data ids.

    Parameters
    ----------
    within
        Where to look.
    arguments
        Values of each key; none at all stands for every frame.  Values that nothing is found of are named in a warning.
    kind
        The connection that reads the frames.

    Raises
    ------
    DataIdError
        If a key is not known.
    """
    dataset_type = dataset_type_of(kind, within.names)
    found: dict[Any, ButlerDataRef] = {}
    known: dict[Any, Any] = {}
    for values in arguments:
        translated = _with_exposures(within, dataset_type, _with_filter(within, values))
        refs = _query(within, dataset_type, translated)
        for key, some in translated.items():
            absent = [value for value in some if all(ref.dataId[key] != value for ref in refs)]
            if absent:
                _LOG.warning("there is no %s of %s", dataset_type, ", ".join(f"{key}={value}" for value in absent))
        if not refs and not translated:
            _LOG.warning("there is no %s", dataset_type)
        for ref in refs:
            found[ref.dataId] = _reference(within, ref, kind, known)
    return DataIds(list(arguments), [found[key] for key in sorted(found)])


def overlapping_frames(within: DataIdsOf, patch: ButlerDataRef, kind: str) -> list[ButlerDataRef]:
    """The frames whose regions touch a patch, of its band where it has one."""
    data_id = patch.dataId.mapping
    values = {key: [data_id[key]] for key in ("skymap", "tract", "patch", "band") if key in data_id}
    refs = _query(within, dataset_type_of(kind, within.names), values)
    known: dict[Any, Any] = {}
    return [_reference(within, ref, kind, known) for ref in sorted(refs, key=lambda one: one.dataId)]


def patches_of(within: DataIdsOf, arguments: Sequence[DataIdValues], *, banded: bool) -> DataIds:
    """The patches of some data ids, which need not hold anything.

    Parameters
    ----------
    within
        Where to look.
    arguments
        Values of each key: ``tract``; ``patch`` as number or column and row (``1,2``), all of the tract without;
        ``filter``; ``skymap``, the only one without.
    banded
        Whether the data ids must have a band.

    Raises
    ------
    DataIdError
        If a key is not known, a needed one missing, or there is no such patch.
    """
    found: dict[Any, ButlerDataRef] = {}
    for values in arguments:
        for ref in _patches(within, values, banded):
            found[ref.dataId] = ref
    return DataIds(list(arguments), [found[key] for key in sorted(found)])


def _patches(within: DataIdsOf, values: DataIdValues, banded: bool) -> Iterator[ButlerDataRef]:
    translated = dict(_with_filter(within, values, bands_only=True))
    sky_map = _sky_map(within.butler, translated.pop("skymap", []))
    tracts, patches = translated.pop("tract", []), translated.pop("patch", None)
    bands: Sequence[int | str | None] = translated.pop("band", [None])
    if translated:
        raise DataIdError(
            f"a patch has no {' and no '.join(translated)}.",
            cure="Use tract, patch, filter and skymap; frames are chosen by --selectId.",
        )
    if not tracts or (banded and bands == [None]):
        raise DataIdError(f"a {'coadd' if banded else 'patch'} needs its {'filter' if tracts else 'tract'}.",
                          cure="Write --id tract=0 patch=1,2 filter=r.")  # fmt: skip
    for number in tracts:
        for patch in _patch_numbers(sky_map, number, patches):
            for band in bands:
                data_id = {"skymap": sky_map.name, "tract": number, "patch": patch}
                yield _patch(within, data_id | ({} if band is None else {"band": band}))


def _patch(within: DataIdsOf, data_id: dict[str, Any]) -> ButlerDataRef:
    try:
        expanded = within.butler.registry.expandDataId(data_id)
    except DataIdValueError as error:
        raise DataIdError(
            f"the repository has no patch {data_id['patch']} of tract {data_id['tract']}.",
            cure="Add it with 'skyloom skymap register'.",
        ) from error
    return ButlerDataRef(butler=within.butler, dataId=expanded, kind="sky_map", names=within.names)


def _patch_numbers(sky_map: SkyMap, tract: int | str, wanted: Sequence[int | str] | None) -> list[int]:
    try:
        one = sky_map.tract(int(tract))
        if wanted is None:
            return [patch.id for patch in one.patches()]
        return [one.patch(_index(value)).id for value in wanted]
    except (IndexError, ValueError) as error:
        raise DataIdError(str(error), cure="List them with 'skyloom skymap show'.") from error


def _index(value: int | str) -> int | tuple[int, int]:
    if isinstance(value, int):
        return value
    x, y = map(int, value.split(","))
    return x, y


def _sky_map(butler: Butler, names: Sequence[int | str]) -> SkyMap:
    """The sky map of a name, or the only one."""
    known = sorted(str(one.name) for one in butler.query_dimension_records("skymap", explain=False))
    wanted = [str(name) for name in names] or known
    found = read_sky_map(butler, wanted[0]) if len(wanted) == 1 else None
    if found is None:
        raise DataIdError(
            f"the repository has the sky maps {', '.join(known) or '(none)'}.", cure="Choose one with skymap=NAME."
        )
    return found


def _with_filter(within: DataIdsOf, values: DataIdValues, bands_only: bool = False) -> DataIdValues:
    """The values with ``filter``, which is a band or a filter of the camera, under its name in the butler."""
    known = {*within.butler.dimensions.dimensions.names, "filter"}
    for key in values:
        if key not in known:
            raise DataIdError(f"there is no {key!r} in data ids.", cure="Use visit, ccd, filter, tract, patch, ...")
    records = within.butler.query_dimension_records("physical_filter", instrument=within.instrument, explain=False)
    band_of = {str(record.name): str(record.band) for record in records}
    translated = dict(values)
    wanted = [str(value) for value in translated.pop("filter", [])]
    for name in wanted:
        if name not in band_of and name not in band_of.values():
            raise DataIdError(f"{within.instrument} has no filter {name}.", cure=f"It has {', '.join(band_of)}.")
    if wanted and (bands_only or all(name in band_of.values() for name in wanted)):
        translated["band"] = list(dict.fromkeys(band_of.get(name, name) for name in wanted))
    elif wanted:
        chosen = [one for one, band in band_of.items() if one in wanted or band in wanted]
        translated["physical_filter"] = list(chosen)
    return translated


def _query(within: DataIdsOf, dataset_type: str, values: DataIdValues) -> list[DatasetRef]:
    terms = dict(values) | {"instrument": [within.instrument]}
    try:
        return within.butler.query_datasets(
            dataset_type, where=where_of(terms), with_dimension_records=True, limit=None, explain=False
        )
    except MissingDatasetTypeError:
        return []


def _with_exposures(within: DataIdsOf, dataset_type: str, values: DataIdValues) -> DataIdValues:
    """The values with the exposures of visits, for raw frames; a visit that is not defined is its exposure."""
    try:
        dimensions = within.butler.get_dataset_type(dataset_type).dimensions.names
    except MissingDatasetTypeError:
        return values
    if "visit" not in values or "visit" in dimensions or "exposure" in values:
        return values
    visits = values["visit"]
    records = within.butler.query_dimension_records(
        "visit_definition", where=where_of({"instrument": [within.instrument], "visit": visits}), explain=False
    )
    exposures: dict[int, list[int]] = {}
    for record in records:
        exposures.setdefault(int(record.visit), []).append(int(record.exposure))
    members = [one for visit in visits for one in exposures.get(int(visit), [int(visit)])]
    return {key: some for key, some in values.items() if key != "visit"} | {"exposure": [*dict.fromkeys(members)]}


def _reference(within: DataIdsOf, ref: DatasetRef, kind: str, known: dict[Any, Any]) -> ButlerDataRef:
    known[ref.datasetType.name, ref.dataId] = ref
    return ButlerDataRef(butler=within.butler, dataId=ref.dataId, kind=kind, names=within.names, known=known)
