"""Where the pixels of an amplifier lie, in the raw image and on the trimmed detector, as array slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import BadFrameError

if TYPE_CHECKING:
    from lsst.images import Box
    from lsst.images.cameras import Amplifier, AmplifierRawGeometry, Detector

__all__ = ["AmplifierLayout", "Region", "layout_of", "overscan_region"]

Region = tuple[slice, slice]
"""Rows, columns."""


@dataclass(frozen=True, kw_only=True)
class AmplifierLayout:
    """One amplifier: its pixels and its nominal calibration."""

    name: str
    trimmed: Region
    """Its pixels on the trimmed detector."""
    data: Region
    """The same pixels in the raw image, before they are mirrored."""
    serial: Region | None
    """Serial overscan in the raw image; None where there is none."""
    parallel: Region | None
    """Parallel overscan in the raw image; None where there is none."""
    flip_x: bool
    flip_y: bool
    """Whether columns, rows are mirrored on the way to the trimmed detector."""
    gain: float
    """Electrons an ADU."""
    read_noise: float
    """Electrons."""
    saturation_adu: float
    """Level of the raw image from which on pixels are saturated; +inf for never."""
    suspect_adu: float
    """Level of the raw image from which on the response is not trusted; +inf for never."""


def layout_of(detector: Detector, raw_shape: tuple[int, ...], file: str) -> list[AmplifierLayout]:
    """Layouts of all amplifiers of a detector.

    Raises
    ------
    BadFrameError
        If the raw image does not hold an amplifier's pixels, or an amplifier lacks a usable gain or read noise.
    """
    if not detector.amplifiers:
        raise BadFrameError(
            f"detector {detector.name} has no amplifiers.", file=file, cure="Describe them in the camera's file."
        )
    return [_layout(amplifier, detector, raw_shape, file) for amplifier in detector.amplifiers]


def _layout(amplifier: Amplifier, detector: Detector, raw_shape: tuple[int, ...], file: str) -> AmplifierLayout:
    geometry = amplifier.assembled_raw_geometry or amplifier.unassembled_raw_geometry
    data = amplifier.bbox if geometry is None else geometry.data_bbox
    extent = data if geometry is None else geometry.bbox
    if len(raw_shape) != 2 or extent.y.stop > raw_shape[0] or extent.x.stop > raw_shape[1] or min(extent.start) < 0:
        raise BadFrameError(
            f"the raw image is {_size(raw_shape)} pixels (rows x columns), but amplifier {amplifier.name} of detector "
            f"{detector.name} needs {extent.y.stop} x {extent.x.stop}.",
            file=file,
            cure="Check that the file is whole and that the camera's description fits this read-out mode.",
        )
    nominal = amplifier.nominal_calibrations
    gain, noise = (np.nan, np.nan) if nominal is None else (nominal.gain, nominal.read_noise)
    if not (np.isfinite(gain) and gain > 0 and np.isfinite(noise) and noise >= 0):
        raise BadFrameError(
            f"amplifier {amplifier.name} of detector {detector.name} has gain {gain} and read noise {noise}.",
            file=file,
            cure="State both, in electrons, in the camera's description.",
        )
    assert nominal is not None
    return AmplifierLayout(
        name=amplifier.name,
        trimmed=_region(amplifier.bbox, detector.bbox),
        data=_region(data),
        serial=overscan_region(geometry, "serial_overscan_bbox"),
        parallel=overscan_region(geometry, "parallel_overscan_bbox"),
        flip_x=geometry is not None and geometry.flip_x,
        flip_y=geometry is not None and geometry.flip_y,
        gain=gain,
        read_noise=noise,
        saturation_adu=_level(nominal.saturation),
        suspect_adu=_level(nominal.suspect_level),
    )


def overscan_region(geometry: AmplifierRawGeometry | None, name: str) -> Region | None:
    """An overscan region; boxes cannot be empty, so one outside the amplifier or on its data says "none"."""
    if geometry is None:
        return None
    box: Box = getattr(geometry, name)
    if not geometry.bbox.contains(box) or _overlap(box, geometry.data_bbox):
        return None
    return _region(box)


def _overlap(one: Box, other: Box) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in ((one.x, other.x), (one.y, other.y)))


def _level(adu: float) -> float:
    return adu if np.isfinite(adu) else np.inf


def _region(box: Box, within: Box | None = None) -> Region:
    """Slices of an array that starts at the first pixel of ``within``, or at (0, 0)."""
    y0, x0 = (0, 0) if within is None else within.start
    return slice(box.y.start - y0, box.y.stop - y0), slice(box.x.start - x0, box.x.stop - x0)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)
