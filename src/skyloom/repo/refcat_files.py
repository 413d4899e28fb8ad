"""Catalogue files (CSV, FITS, Parquet; gzip too), read in chunks of rows."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from astropy.io import fits
from numpy.typing import NDArray

from skyloom.errors import RefcatError

from .frame_files import one_line

__all__ = ["column_names", "column_units", "read_chunks"]

type Chunk = dict[str, NDArray[Any]]

CHUNK_ROWS = 500_000
_CSV_BLOCK_BYTES = 1 << 25


def _kind(path: Path) -> str:
    """``csv``, ``fits`` or ``parquet``, by the name."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".fz")]
    last = suffixes[-1] if suffixes else ""
    kinds = {
        ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".fits": "fits", ".fit": "fits", ".fts": "fits",
        ".parquet": "parquet", ".parq": "parquet", ".pq": "parquet",
    }  # fmt: skip
    if last not in kinds:
        raise RefcatError(
            "the file is of no kind that can be read.", cure="Give .csv, .fits or .parquet (also .gz).", file=str(path)
        )
    return kinds[last]


def column_names(path: Path) -> list[str]:
    """Names of the columns of a file.

    Raises
    ------
    RefcatError
        If the file cannot be read.
    """
    try:
        match _kind(path):
            case "csv":
                return _csv_layout(path)[2]
            case "fits":
                with fits.open(path) as hdus:
                    return [str(name) for name in _table_hdu(hdus, path).columns.names]
            case _:
                return [str(name) for name in pyarrow.parquet.ParquetFile(path).schema_arrow.names]
    except RefcatError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error


def column_units(path: Path) -> dict[str, str]:
    """Units that a FITS file states for its columns; other kinds state none."""
    if _kind(path) != "fits":
        return {}
    with fits.open(path) as hdus:
        columns = _table_hdu(hdus, path).columns
        return {str(column.name): str(column.unit) for column in columns if column.unit}


def read_chunks(path: Path, columns: list[str], *, text: str | None = None) -> Iterator[Chunk]:
    """Yield the columns of a file, some rows at a time; empty cells of numbers are NaN.

    Parameters
    ----------
    columns
        Those to be read.
    text
        The one column that is read as text (an identifier); all others are numbers.

    Raises
    ------
    RefcatError
        If the file cannot be read, or a cell is no number.
    """
    readers = {"csv": _read_csv, "fits": _read_fits, "parquet": _read_parquet}
    try:
        yield from readers[_kind(path)](path, columns, text)
    except RefcatError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> RefcatError:
    return RefcatError(
        f"the file cannot be read: {one_line(error)}.",
        cure="Check that it is whole, and which columns are numbers.",
        file=str(path),
    )


def _open(path: Path) -> IO[bytes]:
    """A file opened for reading, unpacked on the way."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _csv_layout(path: Path) -> tuple[int, str, list[str]]:
    """Number of comment lines before the header, the separator, and the column names."""
    with _open(path) as file:
        skipped, line = 0, file.readline().decode("utf-8-sig")
        while line.startswith("#"):
            skipped, line = skipped + 1, file.readline().decode()
    separator = next((mark for mark in (",", "\t", ";", "|") if mark in line), ",")
    return skipped, separator, [name.strip().strip('"') for name in line.rstrip("\r\n").split(separator)]


def _read_csv(path: Path, columns: list[str], text: str | None) -> Iterator[Chunk]:
    skipped, separator, names = _csv_layout(path)
    with _open(path) as file:
        reader = pyarrow.csv.open_csv(
            file,
            read_options=pyarrow.csv.ReadOptions(
                skip_rows=skipped + 1, column_names=names, block_size=_CSV_BLOCK_BYTES, use_threads=False
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=separator),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=columns,
                column_types={name: pa.string() if name == text else pa.float64() for name in columns},
                null_values=["", "NULL", "null", "NaN", "nan", "N/A", "None", "--", "\\N"],
            ),
        )
        for batch in reader:
            yield {name: _to_numpy(batch.column(name), name == text) for name in columns}


def _read_parquet(path: Path, columns: list[str], text: str | None) -> Iterator[Chunk]:
    for batch in pyarrow.parquet.ParquetFile(path).iter_batches(CHUNK_ROWS, columns=columns):
        yield {name: _to_numpy(batch.column(name), name == text) for name in columns}


def _to_numpy(array: Any, is_text: bool) -> NDArray[Any]:
    """A column as text or as float64 with NaN for nulls."""
    if is_text:
        return np.array([str(value) for value in array.to_pylist()])
    return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _table_hdu(hdus: Any, path: Path) -> Any:
    """The first table of a FITS file."""
    for hdu in hdus:
        if isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
            return hdu
    raise RefcatError("the FITS file holds no table.", cure="Give the catalogue itself.", file=str(path))


def _read_fits(path: Path, columns: list[str], text: str | None) -> Iterator[Chunk]:
    with fits.open(path, memmap=path.suffix.lower() != ".gz") as hdus:
        hdu = _table_hdu(hdus, path)
        for start in range(0, int(hdu.header["NAXIS2"]), CHUNK_ROWS):
            rows = hdu.data[start : start + CHUNK_ROWS]
            yield {name: _fits_column(rows[name], name == text) for name in columns}


def _fits_column(values: Any, is_text: bool) -> NDArray[Any]:
    array = np.ma.filled(np.ma.asarray(values), 0) if np.ma.isMaskedArray(values) else np.asarray(values)
    return array.astype(np.str_) if is_text else array.astype(np.float64)
