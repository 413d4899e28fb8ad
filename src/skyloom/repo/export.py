"""Export datasets of a repository as plain files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from astropy.io import fits
from astropy.table import Table
from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError
from lsst.images import Image, MaskedImage

from skyloom.errors import RepositoryError
from skyloom.files import write_beside

from .plain_fits import image_hdus, masked_image_hdus, table_hdus

__all__ = ["Format", "export_datasets", "find_exportable", "write_plain"]

type Format = Literal["fits", "csv"]


def find_exportable(
    butler: Butler, collections: str | list[str], dataset_type: str, where: str = ""
) -> list[DatasetRef]:
    """The datasets of a type that an expression picks, in the order of their data ids.

    Raises
    ------
    RepositoryError
        If the repository has no such dataset type, or none of its datasets is picked.
    """
    try:
        refs = butler.query_datasets(dataset_type, collections, where=where, limit=None, explain=False)
    except MissingDatasetTypeError as error:
        raise RepositoryError(
            f"there is no dataset type {dataset_type!r}.", cure="List them with 'butler query-dataset-types REPO'."
        ) from error
    if not refs:
        raise RepositoryError(
            f"no {dataset_type} in {collections} where {where or 'anything'}.",
            cure='Check the collection and the expression, e.g. -d "visit = 42 AND detector IN (0..3)".',
        )
    return sorted(refs, key=_key)


def export_datasets(
    butler: Butler, refs: list[DatasetRef], folder: Path, file_format: Format | None = None
) -> Iterator[Path]:
    """Write each dataset to a file of its own, named by its type and data id; files there are replaced.

    A file appears under its name when it is whole.

    Parameters
    ----------
    butler
        The repository.
    refs
        The datasets.
    folder
        Where to write; it is made if need be.
    file_format
        ``fits`` or, for catalogues, ``csv``; FITS by default.

    Yields
    ------
    path
        Each file as it is written.

    Raises
    ------
    RepositoryError
        If a dataset is neither an image nor a catalogue, or an image is to be CSV.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for ref in refs:
        yield write_plain(butler.get(ref), folder / _stem(ref), dict(ref.dataId.mapping), file_format or "fits")


def write_plain(dataset: Any, stem: Path, data_id: dict[str, Any], file_format: Format) -> Path:
    """Write one dataset to ``stem`` with the suffix of its format; see `export_datasets`."""
    path = stem.with_name(f"{stem.name}.{file_format}")
    match dataset, file_format:
        case Table(), "csv":
            return write_beside(path, lambda part: _write_csv(dataset, part))
        case Table(), "fits":
            hdus = table_hdus(dataset)
        case MaskedImage(), "fits":
            hdus = masked_image_hdus(dataset, data_id)
        case Image(), "fits":
            hdus = image_hdus(dataset, data_id)
        case _:
            raise RepositoryError(
                f"a {type(dataset).__name__} cannot be exported as {file_format}.",
                cure="Images are exported as FITS, catalogues as FITS or CSV.",
            )
    return _write_hdus(path, hdus)


def _write_hdus(path: Path, hdus: fits.HDUList) -> Path:
    return write_beside(path, lambda part: hdus.writeto(part, overwrite=True, checksum=True))


def _write_csv(table: Table, path: Path) -> None:
    """CSV whose leading comments hold units, types and descriptions (ECSV)."""
    plain = table.copy()
    plain.meta = {}
    plain.write(path, format="ascii.ecsv", delimiter=",", overwrite=True)


def _key(ref: DatasetRef) -> tuple[Any, ...]:
    """Values of the data id, the detector's last."""
    items = sorted(ref.dataId.required.items(), key=lambda item: item[0] == "detector")
    return tuple(value for _, value in items)


def _stem(ref: DatasetRef) -> str:
    """File name of a dataset without suffix: its type and the values of its data id."""
    parts = [ref.datasetType.name, *map(str, _key(ref))]
    return "_".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", part) for part in parts)
