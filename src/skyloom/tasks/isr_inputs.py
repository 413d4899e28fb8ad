"""From what a repository holds to what `IsrTask.run` takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skyloom.errors import BadFrameError
from skyloom.images import Exposure, RawExposure
from skyloom.isr import (
    crosstalk_from_data,
    kernel_from_data,
    linearities_from_data,
    transmission_from_data,
    with_nominal,
)

if TYPE_CHECKING:
    from lsst.daf.butler import DatasetRef

    from skyloom.instruments import Camera

__all__ = ["as_arguments", "as_raw", "provenance_of", "with_photon_transfer"]

_FRAMES = ("bias", "dark", "flat", "fringes", "illumMaskedImage")
_PLAIN: dict[str, Callable[[Any], Any]] = {
    "crosstalk": crosstalk_from_data,
    "linearizer": linearities_from_data,
    "newBFKernel": kernel_from_data,
    **dict.fromkeys(
        ("opticsTransmission", "filterTransmission", "sensorTransmission", "atmosphereTransmission"),
        transmission_from_data,
    ),
}


def as_arguments(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a repository gives, as the algorithms take it, by the names of `IsrTask.run`: plain data as objects, handles
    of frames as functions that read them.
    """
    found = dict(inputs)
    for name in _FRAMES:
        if found.get(name) is not None:
            found[name] = found[name].get
    for name, convert in _PLAIN.items():
        if found.get(name) is not None:
            found[name] = convert(found[name])
    if "newBFKernel" in found:
        found["bfKernel"] = found.pop("newBFKernel")
    return found


def as_raw(frame: Any, camera: Camera | None, detector_id: int | None) -> RawExposure:
    """A raw frame of what the user gives: one, or an untrimmed exposure; with its detector where that can be told.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if isinstance(frame, Exposure):
        raw = RawExposure(
            image=frame.image.array,
            header=_header(frame.metadata),
            file="(exposure)",
            detector=frame.detector,
            obs_info=frame.obs_info,
            projection=frame.projection,
        )
    elif isinstance(frame, RawExposure):
        raw = frame
    else:
        raise TypeError(f"A raw frame is a RawExposure or an untrimmed Exposure, not a {type(frame).__name__}.")
    if raw.detector is not None or camera is None or detector_id is None:
        return raw
    return replace(raw, detector=camera.detector(detector_id))


def with_photon_transfer(raw: RawExposure, ptc: Mapping[str, Any] | None, *, gains: bool, noises: bool) -> RawExposure:
    """The frame with gains (electrons an ADU) and read noises (electrons) of a photon-transfer curve.

    Raises
    ------
    BadFrameError
        If there is no curve, or it has no positive number for an amplifier.
    """
    if not (gains or noises):
        return raw
    if ptc is None or raw.detector is None:
        raise BadFrameError(
            "the settings require a photon-transfer curve, and there is none.",
            file=raw.file,
            cure="Run 'skyloom calibs build --kind ptc', or switch usePtcGains and usePtcReadNoise off.",
        )
    changes: dict[str, dict[str, float]] = {}
    for amplifier in raw.detector.amplifiers:
        known = ptc["amplifiers"].get(amplifier.name, {})
        wanted = [name for name, use in (("gain", gains), ("read_noise", noises)) if use]
        changes[amplifier.name] = {name: float(known.get(name, math.nan)) for name in wanted}
        for name, value in changes[amplifier.name].items():
            if not (math.isfinite(value) and value > 0):
                raise BadFrameError(
                    f"the photon-transfer curve has {name} {value} for amplifier {amplifier.name}.",
                    file=raw.file,
                    cure="Build it from more flats, or switch it off.",
                )
    return replace(raw, detector=with_nominal(raw.detector, changes))


def provenance_of(references: Mapping[str, DatasetRef]) -> dict[str, str]:
    """Metadata that name the calibrations by run and id."""
    found = {}
    for name, reference in references.items():
        found[f"LSST CALIB RUN {name.upper()}"] = reference.run
        found[f"LSST CALIB UUID {name.upper()}"] = str(reference.id)
    return found


def _header(metadata: Mapping[str, Any]) -> Any:
    from astropy.io.fits import Header

    header = Header()
    for key, value in metadata.items():
        if isinstance(value, (bool, int, float, str)) and not (isinstance(value, float) and not math.isfinite(value)):
            header[key if len(key) <= 8 else f"HIERARCH {key}"] = value
    return header
