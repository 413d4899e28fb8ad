"""What a file says of itself: which dataset it is, and from which datasets it was made.

The butler writes this when it writes a dataset, and `skyloom export` hands it on: cards ``LSST BUTLER ...`` of the
primary header of FITS files, the metadata of the table of Parquet files, ``butler_info`` of JSON files.  It stays with
a file wherever that is copied to.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astropy.io import fits
from astropy.table.meta import get_header_from_yaml
from lsst.resources import ResourcePath

from skyloom.errors import BadFrameError

__all__ = ["FileRecord", "RecordedInput", "read_file_record", "record_cards"]

_FITS, _PARQUET = "LSST BUTLER ", "LSST.BUTLER."


@dataclass(frozen=True)
class RecordedInput:
    """One dataset that a file was made from."""

    id: uuid.UUID
    run: str = ""
    dataset_type: str = ""


@dataclass(frozen=True)
class FileRecord:
    """What a file says of itself."""

    id: uuid.UUID
    run: str
    dataset_type: str
    data_id: Mapping[str, Any]
    """Required dimensions and their values."""
    quantum: uuid.UUID | None = None
    """What made it; None where a program put it into the repository by itself."""
    inputs: tuple[RecordedInput, ...] = ()
    n_inputs: int = 0
    """Number of its inputs; not all of them are listed where there are very many."""


def read_file_record(place: ResourcePath) -> FileRecord | None:
    """What a file says of itself; None if it says nothing.

    Parameters
    ----------
    place
        A file of a repository, an exported one, or a copy of either.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    BadFrameError
        If it cannot be read.
    """
    if not place.exists():
        raise FileNotFoundError(f"no file {place}")
    with place.replace(fragment="").as_local() as local:
        try:
            match place.getExtension():
                case ".fits" | ".fits.fz" | ".fits.gz":
                    return _of_flat(dict(fits.getheader(local.ospath)), _FITS)
                case ".parq" | ".parquet":
                    return _of_flat(_parquet_meta(local.ospath), _PARQUET)
                case ".json":
                    return _of_json(json.loads(local.read()))
        except (OSError, ValueError, KeyError) as error:
            raise BadFrameError(
                f"the file cannot be read: {error}.", file=str(place), cure="Fetch it again."
            ) from error
    return None


def record_cards(record: FileRecord) -> fits.Header:
    """What a file says of itself, as FITS cards."""
    told: dict[str, Any] = {"ID": str(record.id), "RUN": record.run, "DATASETTYPE": record.dataset_type}
    told |= {f"DATAID {key.upper()}": value for key, value in record.data_id.items()}
    told |= {"QUANTUM": str(record.quantum)} if record.quantum is not None else {}
    told["N_INPUTS"] = record.n_inputs
    for number, one in enumerate(record.inputs):
        told |= {f"INPUT {number} ID": str(one.id), f"INPUT {number} RUN": one.run}
        told[f"INPUT {number} DATASETTYPE"] = one.dataset_type
    return fits.Header([fits.Card(f"HIERARCH {_FITS}{key}", value) for key, value in told.items()])


def _parquet_meta(path: str) -> dict[str, Any]:
    from pyarrow import parquet

    told = (parquet.read_schema(path).metadata or {}).get(b"table_meta_yaml")
    return {} if told is None else dict(get_header_from_yaml(told.decode().splitlines()).get("meta", {}))


def _of_flat(cards: Mapping[str, Any], prefix: str) -> FileRecord | None:
    """The record of keys that begin with a prefix, whose last character parts their words."""
    own = {key.removeprefix(prefix): value for key, value in cards.items() if key.startswith(prefix)}
    if "ID" not in own:
        return None
    mark = prefix[-1]
    data_id = {
        key.removeprefix(f"DATAID{mark}").lower(): value for key, value in own.items() if key.startswith("DATAID")
    }
    count = int(own.get("N_INPUTS", 0))
    words = ("ID", "RUN", "DATASETTYPE")
    told = [{word: own.get(f"INPUT{mark}{number}{mark}{word}") for word in words} for number in range(count)]
    return FileRecord(
        uuid.UUID(str(own["ID"])),
        str(own.get("RUN", "")),
        str(own.get("DATASETTYPE", "")),
        data_id,
        uuid.UUID(str(own["QUANTUM"])) if "QUANTUM" in own else None,
        tuple(
            RecordedInput(uuid.UUID(str(one["ID"])), str(one["RUN"] or ""), str(one["DATASETTYPE"] or ""))
            for one in told
            if one["ID"]
        ),
        count,
    )


def _of_json(tree: Any) -> FileRecord | None:
    """The record of a file of `lsst.images`."""
    info = tree.get("butler_info") if isinstance(tree, dict) else None
    if not info:
        return None
    dataset, provenance = info["dataset"], info.get("provenance", {})
    kind = dataset["datasetType"]
    inputs = provenance.get("inputs", [])
    quantum = provenance.get("quantum_id")
    values = dataset["dataId"]["dataId"]
    return FileRecord(
        uuid.UUID(dataset["id"]),
        str(dataset["run"]),
        str(kind["name"]),
        {key: value for key, value in values.items() if key in kind["dimensions"]},
        uuid.UUID(quantum) if quantum else None,
        tuple(
            RecordedInput(
                uuid.UUID(one["id"]), str(one.get("run", "")), str((one.get("datasetType") or {}).get("name", ""))
            )
            for one in inputs
        ),
        len(inputs),
    )
