"""Masks that a survey published beside its frames: lists of spans, one table a mask plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skyloom.errors import BadFrameError, CameraError
from skyloom.images.mask_planes import bitmask
from skyloom.instruments import Camera

from .frame_files import open_frame

__all__ = ["mask_file", "read_survey_mask"]


def mask_file(camera: Camera, folder: Path, frame: Path) -> Path:
    """Path of the mask of a frame.

    Raises
    ------
    CameraError
        If the camera's description has no `masks`.
    BadFrameError
        If there is no such file.
    """
    masks = camera.description.masks
    if masks is None:
        raise CameraError(
            f"the description of {camera.name} does not say how to read masks.",
            cure="Leave --masks out, or add `masks`.",
        )
    path = folder / masks.name_of(frame.name)
    if not path.exists():
        raise BadFrameError(
            f"its mask {path} does not exist.", file=str(frame), cure="Fetch it, or ingest without --masks."
        )
    return path


def read_survey_mask(path: Path, camera: Camera, shape: tuple[int, ...]) -> np.ndarray:
    """Mask bits ``[y, x]`` of a file of spans.

    The last table lists planes by name and number; plane n is the table n + 1, whose rows are objects with the offsets
    ``row0``, ``col0`` and their spans ``s``: triples (y, first x, last x) of big-endian 16-bit integers, counted from
    0, the last x included.  (The SDSS data model, file fpM.)

    Raises
    ------
    BadFrameError
        If the file has another form.
    """
    bits = np.zeros(shape, np.int32)
    masks = camera.description.masks
    assert masks is not None  # mask_file has looked
    with open_frame(path) as hdus:
        legend = {str(row["attributeName"]).strip(): int(row["Value"]) for row in hdus[-1].data}
        for theirs, ours in masks.planes.items():
            if theirs not in legend:
                raise BadFrameError(f"it has no plane {theirs}.", file=str(path), cure=f"It has {', '.join(legend)}.")
            table = hdus[legend[theirs] + 1].data
            for row in table if table is not None else []:
                spans = np.frombuffer(np.asarray(row["s"], np.uint8).tobytes(), ">i2").reshape(-1, 3)[: row["nspan"]]
                _paint(bits, spans + np.array([row["row0"], row["col0"], row["col0"]]), bitmask(ours))
    return bits


def _paint(bits: np.ndarray, spans: np.ndarray, bit: int) -> None:
    rows, columns = bits.shape
    for y, first, last in spans:
        if 0 <= y < rows:
            bits[y, max(first, 0) : min(last + 1, columns)] |= bit
