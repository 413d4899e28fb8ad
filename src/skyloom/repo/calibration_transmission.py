"""Read transmission curves from tables of wavelength and throughput, or from plain data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import yaml
from astropy.table import Table

from skyloom.errors import BadFrameError
from skyloom.instruments import Camera
from skyloom.isr.transmission_data import transmission_from_data

from .calibration_frames import lookup_filter
from .calibration_kinds import Calibration, ImportOptions, Item

__all__ = ["read_transmission"]

_WAVELENGTHS = ("wavelength", "wavelengths", "wave", "lambda", "lam")
_THROUGHPUTS = ("throughput", "transmission", "response", "efficiency")
_FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv", ".parq": "parquet", ".parquet": "parquet"}
_LIGHT_ANGSTROM = (1000.0, 30000.0)
"""Wavelengths that a detector of this kind may see: what is outside has another unit."""


def read_transmission(path: Path, camera: Camera, kind: str, options: ImportOptions) -> Iterator[Item]:
    """The curve of a file.

    A table has the columns ``wavelength`` and ``throughput``; with ``radius``, or ``x`` and ``y``, it is one row a
    node of a grid.  Wavelengths without a unit are in Angstrom, throughputs may be in per cent if their unit says so.

    Parameters
    ----------
    path
        CSV, ECSV, FITS or Parquet; YAML in the form of `skyloom.isr.transmission_data`.
    camera
        The camera.
    kind
        ``transmission_optics``, ``transmission_atmosphere``, ``transmission_filter`` or ``transmission_sensor``.
    options
        Detector of a sensor, filter of a filter, and unit of the wavelengths, where the file does not tell them.

    Raises
    ------
    BadFrameError
        If the file cannot be read, or holds no curve.
    """
    data, meta = _read(path, options.unit)
    try:
        transmission_from_data(data)
        _check_wavelengths(data)
    except BadFrameError as error:
        error.file = str(path)
        raise
    yield Calibration(data_id=_data_id(camera, kind, meta, path, options), dataset=data)


def _read(path: Path, unit: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Plain data of the curve, and what else the file tells."""
    if path.suffix.lower() in (".yaml", ".yml", ".json"):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError) as error:
            raise BadFrameError(f"neither YAML nor JSON ({error}).", file=str(path), cure="Correct it.") from error
        if not isinstance(content, dict):
            raise BadFrameError("it holds no mapping.", file=str(path), cure="See docs/repository.md for its form.")
        meta = {key: content.pop(key) for key in ("detector", "filter") if key in content}
        return content, meta
    try:
        table = Table.read(path, format=_FORMATS.get(path.suffix.lower()))
    except Exception as error:  # every reader of astropy has errors of its own
        raise BadFrameError(
            f"no table that can be read ({str(error).splitlines()[0]}).", file=str(path), cure="Give CSV, ECSV or FITS."
        ) from error
    table.rename_columns(list(table.colnames), [name.lower() for name in table.colnames])
    return _from_table(table, path, unit), {str(key).lower(): value for key, value in table.meta.items()}


def _from_table(table: Table, path: Path, unit: str | None) -> dict[str, Any]:
    wavelength = _column(table, _WAVELENGTHS, path)
    throughput = _column(table, _THROUGHPUTS, path)
    try:
        scale = float(u.Unit(unit or table[wavelength].unit or "Angstrom").to("Angstrom"))
        part = float(u.Unit(table[throughput].unit or "").to(""))
    except (ValueError, TypeError) as error:
        raise BadFrameError(f"its units: {error}.", file=str(path), cure="Give another with --unit.") from error
    axes = [name for name in ("radius", "y", "x") if name in table.colnames]
    nodes = [np.unique(np.asarray(table[name], np.float64)) for name in axes]
    light = np.unique(np.asarray(table[wavelength], np.float64))
    shape = [len(values) for values in (*nodes, light)]
    if len(table) != np.prod(shape):
        raise BadFrameError(
            f"{len(table)} rows are no grid of {' x '.join(map(str, shape))} nodes.",
            file=str(path),
            cure="Give one row a node.",
        )
    order = np.lexsort([np.asarray(table[name], np.float64) for name in (wavelength, *reversed(axes))])
    values = part * np.asarray(table[throughput], np.float64)[order].reshape(shape)
    names = {"radius": "radii"}
    told = {names.get(name, name): values.tolist() for name, values in zip(axes, nodes, strict=True)}
    return {"wavelengths": (scale * light).tolist(), "throughput": values.tolist(), **told}


def _column(table: Table, names: tuple[str, ...], path: Path) -> str:
    found = [name for name in names if name in table.colnames]
    if not found:
        raise BadFrameError(
            f"it has the columns {', '.join(table.colnames)}, and no {names[0]}.",
            file=str(path),
            keyword=names[0],
            cure=f"Name it {' or '.join(names[:2])}.",
        )
    return found[0]


def _check_wavelengths(data: dict[str, Any]) -> None:
    first, last = data["wavelengths"][0], data["wavelengths"][-1]
    if last < _LIGHT_ANGSTROM[0] or first > _LIGHT_ANGSTROM[1]:
        raise BadFrameError(
            f"wavelengths of {first:g} to {last:g} Angstrom are no light of a camera.",
            keyword="wavelength",
            cure="Give their unit with --unit, such as nm.",
        )


def _data_id(camera: Camera, kind: str, meta: dict[str, Any], path: Path, options: ImportOptions) -> dict[str, Any]:
    """Filter or detector of a curve, where its kind has one."""
    if kind == "transmission_filter":
        name = options.physical_filter or meta.get("filter")
        if name is None:
            raise BadFrameError("it does not tell its filter.", file=str(path), keyword="filter", cure="Give --filter.")
        return {"physical_filter": lookup_filter(camera, str(name), path)}
    if kind == "transmission_sensor":
        told = options.detector if options.detector is not None else meta.get("detector")
        if told is None and len(camera.detector_ids) > 1:
            raise BadFrameError(
                "it does not tell its detector.", file=str(path), keyword="detector", cure="Give --detector."
            )
        return {"detector": camera.detector_ids[0] if told is None else camera.lookup_detector(told, str(path))}
    return {}
