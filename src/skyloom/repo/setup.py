"""Make a repository, and add cameras to it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from lsst.daf.butler import Butler, Config, DatasetType
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.resources import ResourcePath

from skyloom.errors import RepositoryError
from skyloom.instruments import Camera

from .collections import camera_run, register_collections
from .instrument import register_camera

__all__ = [
    "CAMERA_TYPE",
    "DATASET_TYPES",
    "Places",
    "add_camera",
    "initialise",
    "instruments",
    "read_camera",
    "register_dataset_types",
]

CAMERA_TYPE = "camera"
_MAKING = ".making-"
"""How the names of folders begin in which a repository is made."""
_ABANDONED_SECONDS = 600.0
"""After which such a folder is taken for one whose maker was killed."""

DATASET_TYPES: dict[str, tuple[tuple[str, ...], str, bool]] = {
    CAMERA_TYPE: (("instrument",), "SkyloomCamera", False),
    "raw": (("instrument", "exposure", "detector"), "RawExposure", False),
    "post_isr": (("instrument", "exposure", "detector"), "PostIsrImage", False),
    "bias": (("instrument", "detector"), "MaskedImageV2", True),
    "dark": (("instrument", "detector"), "MaskedImageV2", True),
    "flat": (("instrument", "detector", "physical_filter"), "MaskedImageV2", True),
    "defects": (("instrument", "detector"), "ArrowAstropy", True),
    "crosstalk": (("instrument", "detector"), "StructuredDataDict", True),
    "linearizer": (("instrument", "detector"), "StructuredDataDict", True),
    "brighterFatterKernel": (("instrument", "detector"), "StructuredDataDict", True),
    "ptc": (("instrument", "detector"), "StructuredDataDict", True),
    "fringe": (("instrument", "detector", "physical_filter"), "MaskedImageV2", True),
    "illum": (("instrument", "detector", "physical_filter"), "MaskedImageV2", True),
    "photometric_flat": (("instrument", "detector", "physical_filter"), "MaskedImageV2", True),
    "sky_frame": (("instrument", "detector", "physical_filter"), "BackgroundMap", True),
    "transmission_optics": (("instrument",), "StructuredDataDict", True),
    "transmission_filter": (("instrument", "physical_filter"), "StructuredDataDict", True),
    "transmission_sensor": (("instrument", "detector"), "StructuredDataDict", True),
    "transmission_atmosphere": (("instrument",), "StructuredDataDict", True),
}
"""Inputs of the pipelines: dimensions, storage class, and whether they are calibrations with a validity range."""


@dataclass(frozen=True)
class Places:
    """Where a new repository keeps what; None is in the repository's own folder.

    Parameters
    ----------
    registry_db
        URL of the registry's database; None: SQLite.
    registry_schema
        Schema of that database, where several repositories share it.
    datastore
        Folder or URI of the files.
    """

    registry_db: str | None = None
    registry_schema: str | None = None
    datastore: str | None = None


def initialise(root: str, camera: Camera, *, places: Places | None = None, update: bool = False) -> tuple[bool, bool]:
    """Make a repository for a camera, or add the camera to one that is there.

    Parameters
    ----------
    root
        Folder or URI of the repository.
    camera
        The camera.
    places
        Where a repository that has to be made keeps what.
    update
        Whether a camera of that name that is there already takes the new description.

    Returns
    -------
    made, changed
        Whether the repository was made, and whether the camera was added or changed.

    Raises
    ------
    RepositoryError
        If the folder holds something else, or a different camera of that name and ``update`` is False.
    """
    made = _make_repository(root, places or Places())
    with Butler.from_config(root, writeable=True) as butler:
        changed = add_camera(butler, camera, update=update)
    return made, changed


def _make_repository(root: str, places: Places) -> bool:
    """Make the repository if there is none."""
    folder = ResourcePath(root, forceDirectory=True)
    if folder.join("butler.yaml").exists():
        return False
    if folder.isLocal and folder.exists() and _holds_files(Path(folder.ospath)):
        raise RepositoryError(
            "the folder is not empty, and holds no repository.", file=root, cure="Give an empty or a new folder."
        )
    if not folder.isLocal and places.registry_db is None:
        raise RepositoryError(
            "SQLite needs a file system.", file=root, cure="Give a database by --registry-db postgresql://HOST/NAME."
        )
    config = Config(str(files(__package__) / "seed.yaml"))
    if places == Places():
        return _make_here(Path(folder.ospath), config)
    config["registry", "db"] = places.registry_db or "sqlite:///<butlerRoot>/gen3.sqlite3"
    if places.registry_schema is not None:
        config["registry", "namespace"] = places.registry_schema
    config["datastore", "root"] = _absolute(places.datastore) if places.datastore is not None else "<butlerRoot>"
    Butler.makeRepo(root, config=config, forceConfigRoot=False)
    return True


def _holds_files(folder: Path) -> bool:
    """Whether a folder holds files; what was left of a repository whose making was killed does not count."""
    return any(
        names and not Path(parent).relative_to(folder).as_posix().startswith(_MAKING)
        for parent, _, names in os.walk(folder)
    )


def _make_here(folder: Path, config: Config) -> bool:
    """Make a repository beside its place, and put it there as a whole: what is stopped earlier leaves none.

    Returns False if another process was first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_MAKING, dir=folder) as part:
        new = Path(part, "repo")  # a dot in the name of the folder itself would be taken for the ending of a file
        Butler.makeRepo(str(new), config=config, forceConfigRoot=True)
        for name in ("gen3.sqlite3", "butler.yaml"):  # the second one makes it a repository
            if (folder / name).exists():
                return False
            (new / name).rename(folder / name)
    for rest in folder.glob(f"{_MAKING}*"):
        if rest.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
            shutil.rmtree(rest, ignore_errors=True)
    return True


def _absolute(place: str) -> str:
    """A folder as others find it, wherever they are called; a URI as it is."""
    uri = ResourcePath(place, forceAbsolute=True, forceDirectory=True)
    return uri.ospath if uri.isLocal else str(uri)


def add_camera(butler: Butler, camera: Camera, *, update: bool = False) -> bool:
    """Register a camera with its collections and dataset types, and store its description.

    The description is kept twice: as the dataset ``camera``, which is what the pipelines read, and as
    ``cameras/<name>.yaml`` in the repository, for people.

    Returns
    -------
    changed
        Whether anything was new or changed.

    Raises
    ------
    RepositoryError
        If another description of that name is there and ``update`` is False.
    """
    register_dataset_types(butler)
    register_collections(butler, camera.name)
    try:
        changed = register_camera(butler.registry, camera, update=update)
    except ConflictingDefinitionError as error:
        raise _differs(camera.name) from error
    changed |= _store_camera(butler, camera, update)
    _write_description(butler, camera)
    return changed


def register_dataset_types(butler: Butler) -> None:
    """Register the dataset types of `DATASET_TYPES`; those that are there stay."""
    for name, (dimensions, storage_class, calibration) in DATASET_TYPES.items():
        butler.registry.registerDatasetType(
            DatasetType(name, dimensions, storage_class, universe=butler.dimensions, isCalibration=calibration)
        )


def _store_camera(butler: Butler, camera: Camera, update: bool) -> bool:
    run = camera_run(camera.name)
    existing = butler.find_dataset(CAMERA_TYPE, instrument=camera.name, collections=run)
    if existing is not None:
        if butler.get(existing) == camera:
            return False
        if not update:
            raise _differs(camera.name)
        butler.pruneDatasets([existing], disassociate=True, unstore=True, purge=True)
    butler.put(camera, CAMERA_TYPE, instrument=camera.name, run=run)
    return True


def _write_description(butler: Butler, camera: Camera) -> None:
    roots = butler.get_datastore_roots()
    root = next(iter(roots.values()))
    if root is not None:
        root.join("cameras/").join(f"{camera.name}.yaml").write(camera.to_yaml().encode(), overwrite=True)


def _differs(name: str) -> RepositoryError:
    return RepositoryError(
        f"the repository has another camera {name!r}.",
        cure="Give this one another name, begin another repository, or replace that one: 'skyloom init REPO --camera "
        "FILE --update'.",
    )


def instruments(butler: Butler) -> list[str]:
    """Names of the instruments of a repository."""
    records = butler.query_dimension_records("instrument", explain=False)
    return sorted(str(record.name) for record in records)


def read_camera(butler: Butler, instrument: str | None = None) -> Camera:
    """The camera of a repository.

    Parameters
    ----------
    butler
        The repository.
    instrument
        Its name; None where the repository has one only.

    Raises
    ------
    RepositoryError
        If there is none of that name, or several and none is named.
    """
    known = instruments(butler)
    if instrument is None and len(known) == 1:
        instrument = known[0]
    if instrument is None or instrument not in known:
        what = "no camera is named and the repository has" if instrument is None else f"no camera {instrument!r} among"
        raise RepositoryError(
            f"{what} {', '.join(known) or 'none'}.",
            cure="Name one with --instrument." if known else "Add one with 'skyloom init REPO --camera ...'.",
        )
    camera: Camera = butler.get(CAMERA_TYPE, instrument=instrument, collections=camera_run(instrument))
    return camera
