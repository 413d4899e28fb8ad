"""Read calibrations that are numbers and no images: crosstalk, linearity, brighter-fatter kernels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from skyloom.errors import BadFrameError
from skyloom.instruments import Camera
from skyloom.isr import (
    BrighterFatterSettings,
    crosstalk_from_data,
    kernel_from_data,
    linearities_from_data,
)
from skyloom.isr.brighter_fatter import correct_brighter_fatter

from .calibration_kinds import Calibration, ImportOptions, Item
from .frame_files import SUFFIXES, read_pixels

__all__ = ["read_data"]


def read_data(path: Path, camera: Camera, kind: str, options: ImportOptions) -> Iterator[Item]:
    """The calibrations of a file of plain data.

    ``detectors`` maps detectors (ids, names or serial numbers) to their data; else the file is one detector's, which
    ``detector`` or the options tell.  A kernel may be an array of NumPy's, or the first image of a FITS file.

    Parameters
    ----------
    path
        YAML or JSON; for kernels .npy or FITS too.
    camera
        The camera.
    kind
        ``crosstalk``, ``linearizer`` or ``brighter_fatter``.
    options
        Id of the detector, where the file does not tell it.

    Raises
    ------
    BadFrameError
        If the file cannot be read; data that do not fit the detector are handed over as error.
    """
    content = _read(path, kind)
    parts = content.pop("detectors", None)
    if parts is not None and (content or not isinstance(parts, Mapping)):
        raise BadFrameError(
            "`detectors` is no mapping, or not all that it holds.", file=str(path), cure="Put the data below it."
        )
    for told, data in parts.items() if parts is not None else [(content.pop("detector", None), content)]:
        try:
            number = _detector(camera, told, path, options.detector)
            _CHECKS[kind](data, {amplifier.name for amplifier in camera.description_of(number).amplifiers})
            yield Calibration(data_id={"detector": number}, dataset=dict(data))
        except BadFrameError as error:
            error.file = str(path)
            yield error


def _read(path: Path, kind: str) -> dict[str, Any]:
    name = path.name.lower()
    if kind == "brighter_fatter" and name.endswith((".npy", *SUFFIXES)):
        return {"kernel": _read_array(path).tolist()}
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise BadFrameError(
            f"neither YAML nor JSON ({str(error).splitlines()[0]}).", file=str(path), cure="Correct it."
        ) from error
    if not isinstance(content, dict):
        raise BadFrameError("it holds no mapping.", file=str(path), cure="See docs/repository.md for its form.")
    return content


def _read_array(path: Path) -> np.ndarray:
    if not path.name.lower().endswith(".npy"):
        return np.asarray(read_pixels(path)[0], np.float64)
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.float64)
    except (ValueError, EOFError) as error:
        raise BadFrameError(f"no array that can be read ({error}).", file=str(path), cure="Save it anew.") from error


def _detector(camera: Camera, told: Any, path: Path, given: int | None) -> int:
    if given is not None:
        return camera.lookup_detector(given, str(path))
    if told is not None:
        return camera.lookup_detector(told, str(path))
    if len(camera.detector_ids) == 1:
        return camera.detector_ids[0]
    raise BadFrameError("it does not tell its detector.", file=str(path), keyword="detector", cure="Give --detector.")


def _check_crosstalk(data: Mapping[str, Any], amplifiers: set[str]) -> None:
    matrix = crosstalk_from_data(data).within_detector()
    _check_names("crosstalk matrix", set(matrix.targets), amplifiers)


def _check_linearizer(data: Mapping[str, Any], amplifiers: set[str]) -> None:
    _check_names("linearity correction", set(linearities_from_data(data)), amplifiers)


def _check_kernel(data: Mapping[str, Any], _: set[str]) -> None:
    # No pass of the correction: what is left of it is its check of the kernel.
    settings = BrighterFatterSettings(max_iterations=0)
    correct_brighter_fatter(np.zeros((1, 1), np.float32), kernel_from_data(data), settings)


def _check_names(what: str, found: set[str], amplifiers: set[str]) -> None:
    if found != amplifiers:
        raise BadFrameError(
            f"the {what} is for amplifiers {sorted(found)}, the detector has {sorted(amplifiers)}.",
            cure="Import that of this detector.",
        )


_CHECKS: dict[str, Callable[[Mapping[str, Any], set[str]], None]] = {
    "crosstalk": _check_crosstalk,
    "linearizer": _check_linearizer,
    "brighter_fatter": _check_kernel,
}
