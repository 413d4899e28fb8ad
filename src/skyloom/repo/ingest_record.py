"""The record of what ingest left out: a line of JSON each, in the folder of the repository."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits
from lsst.daf.butler import Butler
from lsst.resources import ResourcePath

from skyloom.errors import BadFrameError
from skyloom.instruments import Camera

from .frame_files import find_image, merged_header, open_frame
from .frames import Rejection

__all__ = ["LeftOut", "read_left_out", "record_left_out"]

_NAME = "skyloom_ingest.jsonl"


@dataclass(frozen=True)
class LeftOut:
    """A file, or a frame in it, that ingest left out."""

    file: str
    keyword: str
    cause: str
    cure: str
    exposure: int | None = None
    """None where its header does not tell it."""
    detector: int | None = None
    """None where its header does not tell it, and of a file of several detectors."""
    time: float = 0.0
    """When, Unix time."""


def record_left_out(butler: Butler, camera: Camera, rejected: Iterable[Rejection]) -> None:
    """Add what was left out to the record; nothing where nothing was, or where the repository keeps no files."""
    now = round(time.time(), 3)
    lines = "".join(json.dumps(asdict(_left_out(camera, one, now))) + "\n" for one in rejected)
    place = _place(butler)
    if not lines or place is None:
        return
    if place.isLocal:
        with Path(place.ospath).open("a", encoding="utf-8") as file:
            file.write(lines)
    else:
        place.write((place.read() if place.exists() else b"") + lines.encode())


def read_left_out(butler: Butler) -> list[LeftOut]:
    """All that was ever left out, the last first."""
    place = _place(butler)
    if place is None or not place.exists():
        return []
    found = []
    for line in place.read().decode().splitlines():
        try:
            found.append(LeftOut(**json.loads(line)))
        except (json.JSONDecodeError, TypeError):
            continue  # cut off by a kill, or of another version
    return found[::-1]


def _left_out(camera: Camera, one: Rejection, now: float) -> LeftOut:
    error = one.error
    return LeftOut(
        str(one.path), error.keyword or "", error.cause, error.cure, *_identity(camera, one.path), round(now, 3)
    )


def _identity(camera: Camera, path: Path) -> tuple[int | None, int | None]:
    """Exposure and detector of a frame that cannot be used, as far as its header tells them."""
    header = _header(path)
    reader = None if header is None else camera.reader(header, str(path))
    if reader is None:
        return None, None
    try:
        exposure = reader.exposure_id()
    except BadFrameError:
        return None, None
    try:
        return exposure, camera.detector_id(header or {}, str(path))
    except BadFrameError:
        return exposure, None


def _header(path: Path) -> Any:
    """Header of the first image of a file, or what can be read of it; None where nothing can."""
    try:
        with open_frame(path) as hdus:
            return merged_header(hdus, find_image(hdus, path, None))
    except BadFrameError:
        pass
    try:
        return fits.getheader(path)
    except (OSError, ValueError, TypeError):
        return None


def _place(butler: Butler) -> ResourcePath | None:
    root = next(iter(butler.get_datastore_roots().values()), None)
    return None if root is None else root.join(_NAME)
