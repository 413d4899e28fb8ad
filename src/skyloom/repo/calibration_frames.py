"""Read master frames and tables of defects from files that other programs wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table
from lsst.images import MaskedImage

from skyloom.calibs import master_image
from skyloom.errors import BadFrameError, CameraError
from skyloom.instruments import Camera
from skyloom.instruments.header import find_filter

from .frame_files import check_whole, find_image, image_shape, merged_header, open_frame

__all__ = ["DEFECT_COLUMNS", "read_defects", "read_master"]

DEFECT_COLUMNS = ("x0", "y0", "width", "height")
"""Columns of a table of defects: the first pixel, and the numbers of columns and rows, on the trimmed detector."""

_VARIANCE_NAMES = ("VARIANCE", "VAR")
_SIGMA_NAMES = ("UNCERT", "ERR", "SIGMA")
_DEFAULT_UNITS = {"bias": u.adu, "flat": u.dimensionless_unscaled}
_SPELLINGS = {"adus": "adu", "counts": "adu", "count": "adu", "dn": "adu", "e-": "electron", "e": "electron"}


def read_master(
    path: Path,
    camera: Camera,
    kind: str,
    *,
    detector: int | None = None,
    physical_filter: str | None = None,
    unit: str | None = None,
) -> tuple[MaskedImage, dict[str, Any]]:
    """A master bias, dark or flat of a trimmed detector.

    Pixels that are not numbers become BAD.  An extension named VARIANCE or VAR, or one with standard deviations named
    UNCERT, ERR or SIGMA, gives the variance; without one the master counts as exact.  A dark that is not per
    second is divided by the dark time of its header.

    Parameters
    ----------
    path
        FITS file.
    camera
        The camera.
    kind
        ``bias``, ``dark`` or ``flat``.
    detector, physical_filter, unit
        What the header does not tell: id of the detector, filter, unit of the pixels.

    Returns
    -------
    master, data_id
        The image, and ``detector`` (and ``physical_filter`` for a flat).

    Raises
    ------
    BadFrameError
        If the file cannot be read, has the wrong shape, or lacks what is needed.
    """
    with open_frame(path) as hdus:
        image = find_image(hdus, path)
        check_whole(image, path)
        header = merged_header(hdus, image)
        pixels = np.asarray(image.data, np.float32).reshape(image_shape(image))
        variance = _variance(hdus, pixels.shape)
    number = _detector(camera, header, path, detector)
    _check_shape(camera, number, pixels, path)
    data_id: dict[str, Any] = {"detector": number}
    if kind == "flat":
        data_id["physical_filter"] = _filter(camera, header, path, physical_filter)
    given = _unit(kind, header, unit, path)
    if kind == "dark":
        seconds, given = _rate(camera, header, given, path)
        pixels, variance = pixels / np.float32(seconds), variance / np.float32(seconds**2)
    return master_image(pixels, variance, given), data_id


def _variance(hdus: fits.HDUList, shape: tuple[int, ...]) -> np.ndarray:
    """Variance of the pixels; zero where the file does not tell it."""
    for names, power in ((_VARIANCE_NAMES, 1), (_SIGMA_NAMES, 2)):
        for name in names:
            if name in hdus and tuple(hdus[name].shape) == shape:
                return np.asarray(hdus[name].data, np.float32) ** power
    return np.zeros(shape, np.float32)


def _detector(camera: Camera, header: fits.Header, path: Path, given: int | None) -> int:
    if given is None:
        return camera.detector_id(header, str(path))
    return camera.lookup_detector(given, str(path))


def _check_shape(camera: Camera, number: int, pixels: np.ndarray, path: Path) -> None:
    columns, rows = camera.description_of(number).size
    if pixels.shape != (rows, columns):
        raise BadFrameError(
            f"it has {pixels.shape} pixels (rows, columns), the trimmed detector {number} has {(rows, columns)}.",
            file=str(path),
            cure="Give a master without overscan, of this detector.",
        )


def _filter(camera: Camera, header: fits.Header, path: Path, given: str | None) -> str:
    if given is None:
        name = camera.reader(header, str(path)).filter_name()
        assert name is not None  # flats need a filter, and the reader says so
        return name
    found = find_filter(camera.filters, given)
    if found is None:
        raise BadFrameError(
            f"{given!r} is none of the camera's filters {', '.join(camera.filters)}.",
            file=str(path),
            keyword="--filter",
            cure="Give one of them.",
        )
    return found


def _unit(kind: str, header: fits.Header, given: str | None, path: Path) -> u.UnitBase:
    """Unit of the pixels: as given, as the header says, or what is usual for the kind."""
    text = given if given is not None else str(header.get("BUNIT", "")).strip()
    if not text:
        if kind in _DEFAULT_UNITS:
            return _DEFAULT_UNITS[kind]
        raise BadFrameError(
            f"the header does not tell the unit of the {kind}.",
            file=str(path),
            keyword="BUNIT",
            cure="Give --unit adu, adu/s, electron or electron/s.",
        )
    try:
        unit = u.Unit("/".join(_SPELLINGS.get(part.strip().lower(), part.strip()) for part in text.split("/")))
    except ValueError as error:
        raise BadFrameError(
            f"unknown unit {text!r}.", file=str(path), keyword="BUNIT", cure="Give another with --unit."
        ) from error
    if kind == "bias" and unit != u.adu:
        raise BadFrameError(
            f"the bias is in {text}, not in ADU.", file=str(path), keyword="BUNIT", cure="Give a bias in ADU."
        )
    return unit


def _rate(camera: Camera, header: fits.Header, unit: u.UnitBase, path: Path) -> tuple[float, u.UnitBase]:
    """What to divide a dark by so that it is per second, and its unit then."""
    for counted in (u.electron, u.adu):
        if unit == counted / u.s:
            return 1.0, unit
        if unit == counted:
            seconds = camera.reader(header, str(path)).dark_time()
            if seconds <= 0:
                raise BadFrameError(
                    "its dark time is zero.", file=str(path), cure="Divide it by its dark time, and give --unit."
                )
            return seconds, counted / u.s
    raise BadFrameError(
        f"the dark is in {unit}.", file=str(path), keyword="BUNIT", cure="Give one in ADU or electrons (a second)."
    )


def read_defects(path: Path, camera: Camera, detector: int | None = None) -> tuple[Table, dict[str, Any]]:
    """A table of defects: boxes ``x0``, ``y0``, ``width``, ``height`` on the trimmed detector.

    Parameters
    ----------
    path
        CSV, ECSV, FITS or Parquet.
    camera
        The camera.
    detector
        Id of the detector; None where a column or the metadata ``detector`` tells it, or there is one only.

    Raises
    ------
    BadFrameError
        If the table cannot be read, lacks columns, or a box leaves the detector.
    """
    table = _read_table(path)
    missing = [name for name in DEFECT_COLUMNS if name not in table.colnames]
    if missing:
        raise BadFrameError(
            f"it lacks the columns {', '.join(missing)}.", file=str(path), cure=f"Columns: {', '.join(DEFECT_COLUMNS)}."
        )
    number = _defects_detector(table, camera, path, detector)
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
    return boxes, {"detector": number}


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


def _defects_detector(table: Table, camera: Camera, path: Path, given: int | None) -> int:
    meta = {str(key).lower(): value for key, value in table.meta.items()}
    if given is None and "detector" in table.colnames and len(set(table["detector"])) == 1:
        given = int(table["detector"][0])
    elif given is None and "detector" in meta:
        given = int(meta["detector"])
    elif given is None and len(camera.detector_ids) == 1:
        given = camera.detector_ids[0]
    if given is None:
        raise BadFrameError("it does not tell its detector.", file=str(path), cure="Give --detector.")
    try:
        camera.description_of(given)
    except CameraError as error:
        raise BadFrameError(error.cause, file=str(path), cure=error.cure) from error
    return given
