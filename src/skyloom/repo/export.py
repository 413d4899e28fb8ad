"""Export datasets of a repository as plain files."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from astropy.io import fits
from astropy.table import Table
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, MissingDatasetTypeError
from lsst.images import Image, MaskedImage

from skyloom.errors import RepositoryError
from skyloom.files import write_beside
from skyloom.images import WcsForm

from .file_record import FileRecord, read_file_record, record_cards
from .head_files import HAS_HEAD_CARDS, PixelUnit, frame_head, why_no_head, write_head
from .plain_fits import data_id_cards, image_hdus, masked_image_hdus, set_card, table_hdus
from .votable import write_votable

__all__ = ["Format", "export_datasets", "export_heads", "find_exportable", "write_plain"]

type Format = Literal["fits", "csv", "votable"]

_LOG = logging.getLogger(__name__)
_SUFFIX = {"votable": "vot"}
"""Of formats whose files are not named as they are."""


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
    butler: Butler, refs: list[DatasetRef], folder: Path, file_format: Format | None = None, wcs: WcsForm = "sip"
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
        ``fits`` or, for catalogues, ``csv`` or ``votable``; FITS by default.
    wcs
        How the distorted sky projection of an image is written.

    Yields
    ------
    path
        Each file as it is written.

    Raises
    ------
    RepositoryError
        If a dataset is neither an image nor a catalogue, or an image is to be anything but FITS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for ref in refs:
        stem = folder / _stem(ref.datasetType.name, *_key(ref))
        dataset, origin = butler.get(ref), read_file_record(butler.getURI(ref))
        yield write_plain(dataset, stem, dict(ref.dataId.mapping), file_format or "fits", wcs, origin)


def export_heads(
    butler: Butler,
    refs: Sequence[DatasetRef],
    folder: Path,
    *,
    wcs: WcsForm = "tpv",
    pixels: PixelUnit = "electron",
    image: str | None = None,
) -> Iterator[Path]:
    """Write a header file for each detector of the visits that tables tell of; files there are replaced.

    Parameters
    ----------
    butler
        The repository.
    refs
        Tables of visits with WCSs (``joint_wcs``), flux scales (``joint_photo_calib``) or both: the header of a
        detector holds what all tables of its visit tell.  One that a table lacks or refuses gets none.
    folder
        Where to write; it is made if need be.
    wcs
        How distortions are written.
    pixels
        What the images are in.
    image
        Dataset type of the images, so that files lie beside these under the same name; None names them by the first
        dataset type and all of its data id.

    Yields
    ------
    path
        Each file as it is written.

    Raises
    ------
    RepositoryError
        If a dataset is no such table, or tables of two tracts tell of one image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    visits: dict[tuple[Any, ...], dict[str, DatasetRef]] = defaultdict(dict)
    for ref in refs:
        visits[_key(ref)][ref.datasetType.name] = ref
    kinds = list(dict.fromkeys(ref.datasetType.name for ref in refs))
    written: set[str] = set()
    for key, mine in visits.items():
        if lacking := [kind for kind in kinds if kind not in mine]:
            _LOG.warning("%s has no %s and is left out", " ".join(map(str, key)), " and no ".join(lacking))
            continue
        data_id = mine[kinds[0]].dataId
        tables = {kind: _head_table(butler, mine[kind]) for kind in kinds}
        for detector in sorted({int(one) for table in tables.values() for one in table["detector"]}):
            if reason := why_no_head(tables, detector):
                _LOG.warning("visit %s, detector %d gets no header: %s", data_id["visit"], detector, reason)
                continue
            names = (image, data_id["instrument"], data_id["visit"]) if image else (kinds[0], *key)
            stem = _stem(*map(str, names), detector)
            if stem in written:
                raise RepositoryError(
                    f"two tables tell of {stem}.", cure="Choose a tract, e.g. -d \"skymap = 'field' AND tract = 0\"."
                )
            written.add(stem)
            header = _visit_cards(butler, data_id, detector)
            header.update(frame_head(tables, detector, wcs, pixels))
            yield write_head(header, folder / f"{stem}.head")


def write_plain(
    dataset: Any,
    stem: Path,
    data_id: dict[str, Any],
    file_format: Format,
    wcs: WcsForm = "sip",
    origin: FileRecord | None = None,
) -> Path:
    """Write one dataset to ``stem`` with the suffix of its format; see `export_datasets`.

    A FITS file says by ``origin`` which dataset it is and what that was made from.
    """
    path = stem.with_name(f"{stem.name}.{_SUFFIX.get(file_format, file_format)}")
    match dataset, file_format:
        case Table(), "votable":
            return write_beside(path, lambda part: write_votable(dataset, part))
        case Table(), "csv":
            return write_beside(path, lambda part: _write_csv(dataset, part))
        case Table(), "fits":
            hdus = table_hdus(dataset)
        case MaskedImage(), "fits":
            hdus = masked_image_hdus(dataset, data_id, wcs)
        case Image(), "fits":
            hdus = image_hdus(dataset, data_id, wcs)
        case _:
            raise RepositoryError(
                f"a {type(dataset).__name__} cannot be exported as {file_format}.",
                cure="Images are exported as FITS, catalogues as FITS, CSV or VOTable.",
            )
    if origin is not None:
        hdus[0].header.extend(record_cards(origin))
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


def _stem(dataset_type: str, *values: Any) -> str:
    """File name without suffix: a dataset type and the values of a data id."""
    return "_".join(re.sub(r"[^A-Za-z0-9_.+-]+", "-", part) for part in (dataset_type, *map(str, values)))


def _head_table(butler: Butler, ref: DatasetRef) -> Table:
    """A table of a visit that headers can be made from."""
    table = butler.get(ref) if "visit" in ref.dataId and "detector" not in ref.dataId else None
    if not isinstance(table, Table) or not set(HAS_HEAD_CARDS).intersection(table.colnames):
        raise RepositoryError(
            f"{ref.datasetType.name} cannot be exported as head.",
            cure="Header files are made from joint_wcs and joint_photo_calib.",
        )
    return table


def _visit_cards(butler: Butler, data_id: DataCoordinate, detector: int) -> fits.Header:
    """Instrument, filter, date and ids of a frame."""
    header = data_id_cards({"instrument": data_id["instrument"], "visit": data_id["visit"], "detector": detector})
    (record,) = butler.query_dimension_records("visit", instrument=data_id["instrument"], visit=data_id["visit"])
    set_card(header, "FILTER", record.physical_filter)
    set_card(header, "EXPTIME", record.exposure_time)
    set_card(header, "DATE-OBS", None if record.timespan is None else record.timespan.begin.utc.isot)
    return header
