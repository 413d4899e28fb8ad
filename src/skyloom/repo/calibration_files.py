"""The files of calibrations, of whatever kind: which there are below a folder, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from skyloom.errors import RepositoryError
from skyloom.instruments import Camera

from .calibration_data import read_data
from .calibration_defects import read_defects
from .calibration_frames import read_masters
from .calibration_kinds import ImportOptions, Item
from .calibration_transmission import read_transmission
from .frame_files import SUFFIXES

__all__ = ["calibration_files", "read_calibrations"]

_TABLES = (".csv", ".ecsv", ".parq", ".parquet")
_TEXTS = (".yaml", ".yml", ".json")
_FRAMES = ("bias", "dark", "flat", "fringe", "illum", "photometric_flat")
_DATA = ("crosstalk", "linearizer", "brighter_fatter")


def calibration_files(kind: str, paths: Iterable[str | Path]) -> list[Path]:
    """Absolute paths of the files named, and of those of the kind below the folders named, sorted, each once.

    Raises
    ------
    RepositoryError
        If a path does not exist, or there is no file at all.
    """
    endings = _endings(kind)
    found: set[Path] = set()
    for path in map(Path, paths):
        if path.is_dir():
            found.update(
                entry.absolute()
                for entry in path.rglob("*")
                if entry.is_file() and entry.name.lower().endswith(endings) and not entry.name.startswith(".")
            )
        elif path.exists():
            found.add(path.absolute())
        else:
            raise RepositoryError("no such file or folder.", file=str(path), cure="Check the path.")
    if not found:
        names = " ".join(str(path) for path in paths)
        raise RepositoryError(f"no file of {kind} in {names}.", cure=f"Their names end in {', '.join(endings)}.")
    return sorted(found)


def _endings(kind: str) -> tuple[str, ...]:
    if kind in _FRAMES:
        return SUFFIXES
    if kind in _DATA:
        return (*_TEXTS, ".npy", *SUFFIXES) if kind == "brighter_fatter" else _TEXTS
    return (*SUFFIXES, *_TABLES) if kind == "defects" else (*SUFFIXES, *_TABLES, *_TEXTS)


def read_calibrations(path: Path, camera: Camera, kind: str, options: ImportOptions) -> Iterator[Item]:
    """The calibrations of a file, read as they are asked for, and what is wrong with its other parts.

    Raises
    ------
    BadFrameError
        If the file cannot be read at all.
    """
    if kind in _FRAMES:
        return read_masters(path, camera, kind, options)
    if kind in _DATA:
        return read_data(path, camera, kind, options)
    if kind == "defects":
        return read_defects(path, camera, options)
    return read_transmission(path, camera, kind, options)
