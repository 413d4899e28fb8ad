"""Compare two files of one dataset by what they hold: arrays, columns, trees; provenance is passed over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from astropy.io import fits
from lsst.resources import ResourcePath

__all__ = ["differences_of_files"]

_PROVENANCE = "LSST BUTLER", "LSST.BUTLER", "LSST CALIB UUID"
"""Beginnings of keywords that tell ids of datasets: of this one, of what it was made from."""
_LAYOUT = frozenset(
    {"CHECKSUM", "DATASUM", "INDXADDR", "INDXSIZE", "JSONADDR", "JSONSIZE", "DATE", "COMMENT", "HISTORY", ""}
)
"""Keywords that tell where things lie in the file, and when it was written."""
_INDEX = "INDEX"
_TREE = "JSON"


def differences_of_files(one: ResourcePath, other: ResourcePath) -> Iterator[str]:
    """What differs between two files, a line each; nothing where they hold the same.

    FITS files are compared HDU by HDU, Parquet files column by column, JSON files as trees, others byte by byte.
    NaN equals NaN.

    Parameters
    ----------
    one, other
        The files.
    """
    kind = one.getExtension()
    if kind != other.getExtension():
        yield f"{kind} against {other.getExtension()}"
        return
    with one.as_local() as first, other.as_local() as second:
        match kind:
            case ".fits":
                yield from _fits(first.ospath, second.ospath)
            case ".parq" | ".parquet":
                yield from _parquet(first.ospath, second.ospath)
            case ".json":
                yield from _trees(json.loads(first.read()), json.loads(second.read()))
            case _:
                if first.read() != second.read():
                    yield "other bytes"


def _fits(one: str, other: str) -> Iterator[str]:
    with fits.open(one) as first, fits.open(other) as second:
        names, others = ([(hdu.name, hdu.ver) for hdu in hdus] for hdus in (first, second))
        if names != others:
            yield f"HDUs {names} against {others}"
            return
        for left, right in zip(first, second, strict=True):
            if left.name == _INDEX:
                continue
            if left.name == _TREE:
                yield from _trees(_tree(left), _tree(right))
                continue
            yield from _headers(left, right)
            yield from _data(left, right)


def _tree(hdu: Any) -> Any:
    return json.loads(bytes(hdu.data["JSON"][0]))


def _headers(one: Any, other: Any) -> Iterator[str]:
    first, second = (
        {key: value for key, value in hdu.header.items() if key not in _LAYOUT and not key.startswith(_PROVENANCE)}
        for hdu in (one, other)
    )
    for key in sorted(first.keys() | second.keys()):
        if first.get(key) != second.get(key):
            yield f"{one.name or 'header'}: {key} {first.get(key)!r} against {second.get(key)!r}"


def _data(one: Any, other: Any) -> Iterator[str]:
    if one.data is None or other.data is None:
        if one.data is not other.data:
            yield f"{one.name}: no data on one side"
        return
    if one.data.dtype.names is None:
        yield from _arrays(one.name, one.data, other.data)
        return
    if one.columns.names != other.columns.names:
        yield f"{one.name}: columns {one.columns.names} against {other.columns.names}"
        return
    for name in one.columns.names:
        yield from _arrays(f"{one.name} {name}", one.data[name], other.data[name])


def _arrays(name: str, one: Any, other: Any) -> Iterator[str]:
    """What differs between two arrays: how many values, and by how much at most."""
    first, second = np.asarray(one), np.asarray(other)
    if first.dtype.kind != second.dtype.kind or first.shape != second.shape:
        yield f"{name}: {first.dtype} {first.shape} against {second.dtype} {second.shape}"
        return
    if first.dtype.kind == "O":
        if [np.asarray(value).tolist() for value in first] != [np.asarray(value).tolist() for value in second]:
            yield f"{name}: other values"
        return
    differ = first != second
    if first.dtype.kind in "fc":
        differ &= ~(np.isnan(first) & np.isnan(second))
    count = int(np.count_nonzero(differ))
    if not count:
        return
    text = f"{name}: {count} of {first.size} values differ"
    if first.dtype.kind in "iufb":
        apart = np.abs(first[differ].astype(np.float64) - second[differ].astype(np.float64))
        finite = apart[np.isfinite(apart)]
        text += f", by {finite.max():.3g} at most" if finite.size else ", finite on one side only"
    yield text


def _parquet(one: str, other: str) -> Iterator[str]:
    from pyarrow import parquet

    first, second = parquet.read_table(one), parquet.read_table(other)
    lonely = sorted(set(first.column_names) ^ set(second.column_names))
    if lonely:
        yield f"columns on one side only: {', '.join(lonely)}"
    if first.num_rows != second.num_rows:
        yield f"{first.num_rows} rows against {second.num_rows}"
        return
    for name in (name for name in first.column_names if name not in lonely):
        yield from _arrays(name, first[name].to_numpy(), second[name].to_numpy())
    yield from _trees(_units(first.schema), _units(second.schema))


def _units(schema: Any) -> list[str]:
    """Units, descriptions and metadata of a table, line by line, without provenance."""
    lines = (schema.metadata or {}).get(b"table_meta_yaml", b"").decode().splitlines()
    return [line for line in lines if not any(mark in line for mark in _PROVENANCE)]


def _trees(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two trees of JSON differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key == "butler_info" or key.startswith(_PROVENANCE):
                continue
            if key not in one or key not in other:
                yield f"{path}/{key}: on one side only"
            else:
                yield from _trees(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _trees(left, right, f"{path}[{number}]")
    elif one != other and not (one != one and other != other):  # NaN is not itself
        yield f"{path}: {_short(one)} against {_short(other)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."
