"""Read defects that other programs wrote: tables of boxes, and images that mark the good pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from skyloom.calibs.boxes import boxes_from_map
from skyloom.errors import BadFrameError, CameraError
from skyloom.instruments import Camera

from .calibration_kinds import Calibration, ImportOptions, Item
from .detector_hdus import DetectorImage, find_detectors, one_error_a_cause
from .frame_files import SUFFIXES, check_whole, find_image, image_shape, open_frame, open_unpacked
from .trim import trimmed

__all__ = ["DEFECT_COLUMNS", "read_defects"]

DEFECT_COLUMNS = ("x0", "y0", "width", "height")
"""Columns of a table of defects: the first pixel, and the numbers of columns and rows, on the trimmed detector."""

_MOST = 0.9
"""A mask of which more is bad, though not all, has good and bad exchanged."""


def read_defects(path: Path, camera: Camera, options: ImportOptions) -> Iterator[Item]:
    """The defects of a file: boxes ``x0``, ``y0``, ``width``, ``height`` on the trimmed detector.

    A table is of one detector, which a column or a card ``detector``, a card SERIAL, the name of the file, or the
    options tell.  An image is 0 where a pixel is bad, of the trimmed detector or as large as a raw frame; a file may
    hold those of several detectors.

    Parameters
    ----------
    path
        Table (CSV, ECSV, FITS or Parquet), or FITS images.
    camera
        The camera.
    options
        Id of the detector, where the file does not tell it.

    Raises
    ------
    BadFrameError
        If the file cannot be read, the table lacks columns, a box leaves the detector, or the serial number is that of
        another detector.
    """
    if _holds_images(path):
        yield from _from_images(path, camera, options)
    else:
        yield _from_table(path, camera, options)


def _holds_images(path: Path) -> bool:
    if not path.name.lower().endswith(SUFFIXES):
        return False
    with open_frame(path) as hdus:
        return any(entry.is_image and len(entry.shape) >= 2 for entry in hdus)


def _from_images(path: Path, camera: Camera, options: ImportOptions) -> Iterator[Item]:
    """Boxes of the masks of all detectors of a file."""
    with open_unpacked(path) as hdus:
        if options.detector is None:
            found = find_detectors(camera, hdus, path, of_camera=False)
            images, errors = found.images, list(found.errors)
        else:
            images, errors = [DetectorImage(_known(camera, options.detector, path), None)], []
        for number, place in enumerate(images):
            try:
                yield _from_image(hdus, place, path, camera)
            except BadFrameError as error:
                errors.append((place.hdu if isinstance(place.hdu, int) else number, error))
        yield from one_error_a_cause(errors, len(images) + len(errors))


def _from_image(hdus: fits.HDUList, place: DetectorImage, path: Path, camera: Camera) -> Calibration:
    image = find_image(hdus, path, place.hdu[0] if isinstance(place.hdu, tuple) else place.hdu)
    shape, (columns, rows) = image_shape(image), camera.description_of(place.detector).size
    if shape not in ((rows, columns), camera.raw_shape(place.detector)):
        raise BadFrameError(
            f"the mask has {shape} pixels (rows, columns), the trimmed detector has {(rows, columns)}.",
            file=str(path),
            cure="Give a mask of the trimmed detector, or of its raw frame.",
        )
    check_whole(image, path)
    marks = np.asarray(image.data).reshape(shape)
    bad = ~np.isfinite(marks) if marks.dtype.kind == "f" else np.zeros(shape, bool)
    bad = trimmed(bad | (marks == 0), camera.detector(place.detector), str(path))
    if _MOST < bad.mean() < 1.0:
        raise BadFrameError(
            f"{100 * bad.mean():.0f} % of the pixels of the mask are 0, which stands for bad ones.",
            file=str(path),
            cure="Exchange 0 and 1.",
        )
    return Calibration(data_id={"detector": place.detector}, dataset=boxes_from_map(bad))


def _from_table(path: Path, camera: Camera, options: ImportOptions) -> Calibration:
    table = _read_table(path)
    missing = [name for name in DEFECT_COLUMNS if name not in table.colnames]
    if missing:
        raise BadFrameError(
            f"it lacks the columns {', '.join(missing)}.", file=str(path), cure=f"Columns: {', '.join(DEFECT_COLUMNS)}."
        )
    number = _detector(table, camera, path, options.detector)
    columns, rows = camera.description_of(number).size
    boxes = Table({name: np.asarray(table[name], np.int64) for name in DEFECT_COLUMNS})
    outside = (
        (boxes["x0"] < 0)
        | (boxes["y0"] < 0)
        | (boxes["width"] < 1)
        | (boxes["height"] < 1)
        | (boxes["x0"] + boxes["width"] > columns)
        | (boxes["y0"] + boxes["height"] > rows)
    )
    if np.any(outside):
        first = boxes[int(np.flatnonzero(outside)[0])]
        raise BadFrameError(
            f"the box {tuple(first)} (x0, y0, width, height) leaves the {columns}x{rows} pixels of detector {number}.",
            file=str(path),
            cure="Count from 0, on the trimmed detector.",
        )
    return Calibration(data_id={"detector": number}, dataset=boxes)


def _read_table(path: Path) -> Table:
    styles = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv", ".parq": "parquet", ".parquet": "parquet"}
    try:
        table = Table.read(path, format=styles.get(path.suffix.lower()))
    except Exception as error:  # every reader of astropy has errors of its own
        raise BadFrameError(
            f"no table that can be read ({str(error).splitlines()[0]}).", file=str(path), cure="Give CSV, ECSV or FITS."
        ) from error
    table.rename_columns(list(table.colnames), [name.lower() for name in table.colnames])
    return table


def _detector(table: Table, camera: Camera, path: Path, given: int | None) -> int:
    """Id of the detector of a table, which a serial number has to confirm."""
    meta = {str(key).lower(): value for key, value in table.meta.items()}
    by_serial = _of_serial(camera, str(meta["serial"]), path) if "serial" in meta else None
    stem = path.name.split(".")[0]
    told: Any = given
    if told is None and "detector" in table.colnames and len(set(table["detector"])) == 1:
        told = int(table["detector"][0])
    if told is None and "detector" in meta:
        told = int(meta["detector"])
    if told is None:
        told = next((one.id for one in camera.description.detectors if one.name == stem), by_serial)
    if told is None and len(camera.detector_ids) == 1:
        told = camera.detector_ids[0]
    if told is None:
        raise BadFrameError("it does not tell its detector.", file=str(path), cure="Give --detector.")
    if by_serial is not None and by_serial != _known(camera, told, path):
        raise BadFrameError(
            f"{meta['serial']!r} is the serial number of detector {by_serial}, not of {told}.",
            file=str(path),
            keyword="SERIAL",
            cure="Import the table of that detector, or correct the card.",
        )
    return _known(camera, told, path)


def _of_serial(camera: Camera, serial: str, path: Path) -> int:
    """Id of the detector of a serial number, whichever way it is divided by dashes."""
    for detector in camera.description.detectors:
        if detector.serial and detector.serial.replace("-", "") == serial.strip().replace("-", ""):
            return detector.id
    raise BadFrameError(
        f"{serial!r} is the serial number of no detector of {camera.name}.",
        file=str(path),
        keyword="SERIAL",
        cure="Leave the table out, or correct the camera's description.",
    )


def _known(camera: Camera, detector: int, path: Path) -> int:
    """The detector, if the camera has it."""
    try:
        return camera.description_of(detector).id
    except CameraError as error:
        raise BadFrameError(error.cause, file=str(path), cure=error.cure) from error
