"""Reference catalogues in a repository: import into shards, and reading."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table, vstack
from lsst.daf.butler import (  # type: ignore[attr-defined]
    Butler,
    CollectionType,
    DatasetRef,
    DatasetType,
    MissingCollectionError,
    MissingDatasetTypeError,
)
from numpy.typing import NDArray

from skyloom.catalog.htm import shard_ids
from skyloom.catalog.magnitudes import ab_offset, magnitudes_to_njy
from skyloom.catalog.refcat import ShardedCatalogue, filter_names, reference_table
from skyloom.errors import RefcatError

from .collections import REFCATS
from .refcat_columns import RefcatColumns, flux_unit_factor
from .refcat_files import column_names, column_units, read_chunks

__all__ = ["RefcatImport", "RefcatReport", "import_refcat", "read_refcat", "reference_catalogue"]

_DATASET_TYPE = "refcat"
_SHARDS_PER_BUCKET = 64
_SHARD = "htm7"
_WITH_METADATA = {"strip_astropy_meta_yaml": False}
_MJD_ABOVE = 3000.0
"""A larger epoch is a modified Julian date, not a year."""

type Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RefcatImport:
    """What a user says about a catalogue."""

    name: str
    system: str
    """Magnitude system: AB or Vega."""
    stated: Mapping[str, str] = field(default_factory=dict)
    """Quantity (`ra`, `dec`, `id`, `pm_ra`, ...): its column, where it is not to be guessed."""
    epoch_year: float | None = None
    """Epoch of the positions, where no column holds it."""
    pm_ra_is_coordinate: bool = False
    """Whether the proper motion in right ascension lacks the factor cos(dec)."""
    magnitudes: Mapping[str, str] = field(default_factory=dict)
    magnitude_errors: Mapping[str, str] = field(default_factory=dict)
    fluxes: Mapping[str, str] = field(default_factory=dict)
    flux_errors: Mapping[str, str] = field(default_factory=dict)
    """Filter: column."""
    flux_unit: str = "nJy"
    vega_offsets: Mapping[str, float] = field(default_factory=dict)
    """Filter: AB magnitude less catalogue magnitude, where it is not the well-known one."""


@dataclass
class RefcatReport:
    """What an import did."""

    run: str
    columns: RefcatColumns
    n_rows: int = 0
    """Rows written."""
    n_dropped: int = 0
    """Rows without a usable position."""
    n_shards: int = 0
    offsets: dict[str, float] = field(default_factory=dict)
    """Filter: what was added to its magnitudes to make them AB."""
    unmeasured: dict[str, int] = field(default_factory=dict)
    """Filter: rows without a flux in it."""


def import_refcat(butler: Butler, files: Sequence[Path], spec: RefcatImport, *, replace: bool = False) -> RefcatReport:
    """Bring catalogue files into a repository, as shards of the RUN ``refcats/NAME``.

    All files are read and converted before anything is written to the repository; memory holds one chunk of rows, or
    one group of neighbouring shards, at a time.

    Parameters
    ----------
    butler
        A writeable repository.
    files
        CSV, FITS or Parquet files with the same columns.
    spec
        What the user says about them.
    replace
        Whether a catalogue of the same name gives way.

    Raises
    ------
    RefcatError
        If a file cannot be understood, holds no usable row, or the name is taken.
    """
    run = f"{REFCATS}/{spec.name}"
    old = _existing(butler, run)
    if old and not replace:
        raise RefcatError(
            f"the catalogue {spec.name!r} is in the repository already.", cure="Use another --name, or --replace."
        )
    report = _begun(run, files, spec)
    with tempfile.TemporaryDirectory(prefix="skyloom-refcat-") as folder:
        for number, table in enumerate(_tables(files, report.columns, spec, report)):
            _scatter(table, Path(folder), number)
        _check_rows(report, files)
        _register(butler, run)
        with butler.transaction():
            _write(butler, run, old, Path(folder), _metadata(spec, report), report)
    butler.collections.prepend_chain(REFCATS, run)
    return report


def read_refcat(files: Sequence[Path], spec: RefcatImport) -> Table:
    """The rows of catalogue files as one reference table in memory; files, specification and errors as above."""
    report = _begun("", files, spec)
    tables = list(_tables(files, report.columns, spec, report))
    _check_rows(report, files)
    table = vstack(tables, metadata_conflicts="silent")
    table.meta.update(_metadata(spec, report))
    return table


def _begun(run: str, files: Sequence[Path], spec: RefcatImport) -> RefcatReport:
    """The report of an import, with the columns that will be read."""
    columns = RefcatColumns.choose(
        column_names(files[0]),
        stated=spec.stated,
        magnitudes=spec.magnitudes,
        magnitude_errors=spec.magnitude_errors,
        fluxes=spec.fluxes,
        flux_errors=spec.flux_errors,
        file=str(files[0]),
    )
    report = RefcatReport(run, columns)
    report.offsets = {name: ab_offset(name, spec.system, spec.vega_offsets) for name in columns.magnitudes}
    return report


def _check_rows(report: RefcatReport, files: Sequence[Path]) -> None:
    if report.n_rows == 0:
        raise RefcatError(
            "no row has a usable position.", cure="Check the columns of the positions.", file=str(files[0])
        )


def _write(
    butler: Butler, run: str, old: Sequence[DatasetRef], folder: Path, meta: Mapping[str, Any], report: RefcatReport
) -> None:
    """Store the shards; of those that are there already the equal ones stay, and what was made with them with them."""
    there = {int(ref.dataId["htm7"]): ref for ref in old}
    for shard, table in _gather(folder):
        table.meta.update(meta)
        report.n_shards += 1
        ref = there.pop(shard, None)
        if ref is not None:
            if _equal(butler.get(ref, parameters=_WITH_METADATA), table):
                continue
            butler.pruneDatasets([ref], disassociate=True, unstore=True, purge=True)
        butler.put(table, _DATASET_TYPE, htm7=shard, run=run)
    butler.pruneDatasets(there.values(), disassociate=True, unstore=True, purge=True)


def _equal(one: Table, other: Table) -> bool:
    """Whether a stored shard holds the rows and the metadata of a new one."""
    told = {key: one.meta.get(key) for key in other.meta}
    same = one.colnames == other.colnames and len(one) == len(other) and told == dict(other.meta)
    return same and all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f") for name in one.colnames
    )


def reference_catalogue(butler: Butler, collections: str | Sequence[str] = REFCATS) -> ShardedCatalogue:
    """The reference catalogue of a repository; shards are read when they are needed.

    Of chained catalogues that share a shard the first is read: name one (``refcats/NAME``) to be sure.
    """
    refs = butler.query_datasets(_DATASET_TYPE, collections=collections, limit=None, explain=False)
    shards: dict[int, Callable[[], Table]] = {int(ref.dataId["htm7"]): partial(butler.get, ref) for ref in refs}
    return ShardedCatalogue(shards)


def _existing(butler: Butler, run: str) -> list[DatasetRef]:
    """The shards that a run holds."""
    try:
        return list(butler.query_datasets(_DATASET_TYPE, collections=run, find_first=False, limit=None, explain=False))
    except (MissingCollectionError, MissingDatasetTypeError):
        return []


def _register(butler: Butler, run: str) -> None:
    """Make the dataset type and the collections, where they are not there yet."""
    kind = DatasetType(_DATASET_TYPE, ("htm7",), "ArrowAstropy", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    butler.collections.register(run, CollectionType.RUN)
    butler.collections.register(REFCATS, CollectionType.CHAINED)


def _metadata(spec: RefcatImport, report: RefcatReport) -> dict[str, Any]:
    """What a shard says about its origin."""
    return {
        "catalogue": spec.name,
        "magnitude_system": spec.system,
        "ab_offsets": dict(report.offsets),
        "flux_unit": "nJy",
    }


def _tables(files: Sequence[Path], columns: RefcatColumns, spec: RefcatImport, report: RefcatReport) -> Iterator[Table]:
    """Yield the rows of all files in our columns, counting what is dropped."""
    row = 0
    for file in files:
        units = column_units(file)
        missing = [name for name in columns.needed if name not in column_names(file)]
        if missing:
            raise RefcatError(
                f"the file lacks {', '.join(missing)}, which the first file has.",
                cure="Import files with the same columns together.",
                file=str(file),
            )
        for chunk in read_chunks(file, columns.needed, text=columns.id):
            table = _convert(chunk, columns, spec, units, row, str(file))
            good = np.isfinite(table["ra"]) & np.isfinite(table["dec"]) & (np.abs(table["dec"]) <= 90.0)
            row += len(table)
            report.n_dropped += int((~good).sum())
            report.n_rows += int(good.sum())
            for name in columns.filters:
                empty = int((~np.isfinite(table[f"flux_{name}"][good])).sum())
                report.unmeasured[name] = report.unmeasured.get(name, 0) + empty
            yield table[good]


def _convert(
    chunk: dict[str, NDArray[Any]],
    columns: RefcatColumns,
    spec: RefcatImport,
    units: Mapping[str, str],
    first_row: int,
    file: str,
) -> Table:
    """One chunk in our columns and units."""
    n = len(chunk[columns.ra])
    ra, dec = (_degrees(chunk[name], units.get(name)) for name in (columns.ra, columns.dec))
    ra = np.where((ra >= -360.0) & (ra <= 720.0), ra % 360.0, np.nan)
    values: dict[str, NDArray[Any]] = {"ra": ra, "dec": dec, "epoch": _epochs(chunk, columns, spec, n, file)}
    values["id"] = (
        np.arange(first_row + 1, first_row + n + 1) if columns.id is None else _identifiers(chunk[columns.id])
    )
    for quantity in ("pm_ra", "pm_dec", "pm_ra_err", "pm_dec_err", "parallax", "ra_err", "dec_err"):
        column = getattr(columns, quantity)
        if column is not None:
            values[quantity] = _plausible(chunk[column])
    if spec.pm_ra_is_coordinate and "pm_ra" in values:
        values["pm_ra"] = values["pm_ra"] * np.cos(np.radians(dec))
    for name, column in columns.magnitudes.items():
        error = chunk.get(columns.magnitude_errors.get(name, ""))
        offset = ab_offset(name, spec.system, spec.vega_offsets)
        values[f"flux_{name}"], values[f"flux_{name}_err"] = magnitudes_to_njy(chunk[column], error, offset)
    factor = flux_unit_factor(spec.flux_unit)
    for name, column in columns.fluxes.items():
        values[f"flux_{name}"] = _plausible(chunk[column]) * factor
        if name in columns.flux_errors:
            values[f"flux_{name}_err"] = _plausible(chunk[columns.flux_errors[name]]) * factor
    return reference_table(values, filters=columns.filters)


def _degrees(values: Floats, unit: str | None) -> Floats:
    """Angles in degree; a file that states radians is converted."""
    return np.degrees(values) if unit is not None and unit.lower().startswith("rad") else values


def _plausible(values: Floats) -> Floats:
    """The values, with NaN for -999 and below, which stand for "not measured"."""
    return np.where(values > -999.0, values, np.nan)


def _epochs(chunk: dict[str, NDArray[Any]], columns: RefcatColumns, spec: RefcatImport, n: int, file: str) -> Floats:
    """Julian years: what the user says, else a column (of years, or of modified Julian dates), else J2000.

    Raises
    ------
    RefcatError
        If there are proper motions, and no epoch to count them from.
    """
    if spec.epoch_year is not None:
        return np.full(n, spec.epoch_year)
    if columns.epoch is not None:
        epoch = chunk[columns.epoch]
        return np.where(epoch > _MJD_ABOVE, 2000.0 + (epoch - 51544.5) / 365.25, epoch)
    if columns.pm_ra is not None:
        raise RefcatError(
            "the catalogue has proper motions, and nothing says at which epoch its positions hold.",
            cure="State it: --epoch 2016.0, or --epoch COLUMN.",
            file=file,
            keyword="--epoch",
        )
    return np.full(n, 2000.0)


def _identifiers(values: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers as they are; other names as a hash of 63 bits."""
    try:
        return values.astype(np.int64)
    except (ValueError, OverflowError):
        return np.array([_identifier(str(value)) for value in values], np.int64)


def _identifier(text: str) -> int:
    """One identifier as a number."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if 0 <= number < 1 << 63:
        return number
    return int.from_bytes(hashlib.blake2b(text.strip().encode(), digest_size=8).digest(), "big") >> 1


def _scatter(table: Table, folder: Path, number: int) -> None:
    """Write the rows of one chunk into files, one a group of neighbouring shards."""
    if not len(table):
        return
    table[_SHARD] = shard_ids(table["ra"], table["dec"])
    table = table[np.argsort(table[_SHARD], kind="stable")]
    bucket = np.asarray(table[_SHARD]) // _SHARDS_PER_BUCKET
    values, starts = np.unique(bucket, return_index=True)
    for value, start, stop in zip(values, starts, [*starts[1:], len(bucket)], strict=True):
        rows = table[start:stop]
        place = folder / str(value)
        place.mkdir(exist_ok=True)
        np.save(place / f"{number:08d}.npy", rows.as_array(), allow_pickle=False)


def _gather(folder: Path) -> Iterator[tuple[int, Table]]:
    """Yield the shards, each with its rows in the order of their ids."""
    for place in sorted(folder.iterdir(), key=lambda path: int(path.name)):
        pieces = [Table(np.load(path)) for path in sorted(place.iterdir())]
        table = vstack(pieces) if len(pieces) > 1 else pieces[0]
        filters = filter_names(table)
        shard = np.asarray(table[_SHARD])
        for value in np.unique(shard):
            rows = table[shard == value]
            rows = rows[np.unique(np.asarray(rows["id"]), return_index=True)[1]]
            columns = {name: np.asarray(rows[name]) for name in rows.colnames}
            yield int(value), reference_table(columns, filters=filters)
