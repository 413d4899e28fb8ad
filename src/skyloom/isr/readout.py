"""From the raw image to one trimmed image in ADU: saturation, overscan and assembly, amplifier by amplifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask

from .assembly import as_assembled
from .overscan import OverscanLevel, fit_overscan, trimmed_overscan
from .saturation import mark_above

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skyloom.images.raw import RawExposure

    from .amplifiers import AmplifierLayout, Region
    from .settings import IsrSettings, OverscanSettings

__all__ = ["Readout", "check_not_empty", "read_out"]


@dataclass(kw_only=True, eq=False)
class Readout:
    """The trimmed detector in ADU above the overscan, ``[y, x]``."""

    image: np.ndarray
    """float32; NaN where no amplifier reads."""
    bits: np.ndarray
    """int32 mask bits: SAT, SUSPECT, NO_DATA."""
    noise_adu: dict[str, float] = field(default_factory=dict)
    """Read noise measured in the overscan, for the amplifiers that have one."""


def check_not_empty(raw: RawExposure, layouts: list[AmplifierLayout]) -> None:
    """See that the data of some amplifier hold more than one value.

    Raises
    ------
    BadFrameError
        If every amplifier is constant or not a number.
    """
    for layout in layouts:
        counts = raw.image[layout.data]
        finite = counts[np.isfinite(counts)]
        if finite.size and finite.min() < finite.max():
            return
    raise BadFrameError(
        "every amplifier is constant or not a number: the frame is empty.",
        file=raw.file,
        cure="Leave it out, or fetch it again.",
    )


def read_out(
    raw: RawExposure,
    layouts: list[AmplifierLayout],
    shape: tuple[int, int],
    settings: IsrSettings,
    *,
    pedestals_adu: Mapping[str, float] | None,
    metadata: dict[str, Any],
) -> Readout:
    """Mask saturation, take off the overscan and assemble; what was found goes into ``metadata``.

    Parameters
    ----------
    raw
        Raw counts.
    layouts
        The amplifiers.
    shape
        Rows and columns of the trimmed detector.
    settings
        Methods.
    pedestals_adu
        By amplifier name, what to take off amplifiers without overscan (0 where not named); None where a bias frame
        follows, which then holds it.
    metadata
        Receives what was found.
    """
    result = Readout(image=np.full(shape, np.nan, np.float32), bits=np.full(shape, bitmask("NO_DATA"), np.int32))
    for layout in layouts:
        counts = raw.image[layout.data]
        bits = np.zeros(counts.shape, np.int32)
        metadata[f"LSST ISR MASK SAT {layout.name}"] = mark_above(counts, layout.saturation_adu, bits, bitmask("SAT"))
        mark_above(counts, layout.suspect_adu, bits, bitmask("SUSPECT"))
        serial = _serial_level(raw.image, layout, settings.serial_overscan)
        pedestal = 0.0 if pedestals_adu is None else pedestals_adu.get(layout.name, 0.0)
        if serial is None:
            signal = counts.astype(np.float64) - pedestal
            metadata[f"LSST ISR PEDESTAL SOURCE {layout.name}"] = (
                "camera" if pedestals_adu is not None else "bias frame"
            )
            metadata[f"LSST ISR OVERSCAN SERIAL MEDIAN {layout.name}"] = pedestal
        else:
            signal = counts - _serial_levels_at(layout.data, serial)
            metadata[f"LSST ISR PEDESTAL SOURCE {layout.name}"] = "serial overscan"
            metadata[f"LSST ISR OVERSCAN SERIAL MEDIAN {layout.name}"] = serial[0].median_adu
            metadata[f"LSST ISR OVERSCAN SERIAL STDEV {layout.name}"] = serial[0].scatter_adu
            metadata[f"LSST ISR OVERSCAN RESIDUAL SERIAL STDEV {layout.name}"] = serial[0].noise_adu
            result.noise_adu[layout.name] = serial[0].noise_adu
        parallel = _parallel_level(raw.image, layout, serial, pedestal, settings.parallel_overscan)
        if parallel is not None:
            signal -= parallel.levels_adu[None, :]
            metadata[f"LSST ISR OVERSCAN PARALLEL MEDIAN {layout.name}"] = parallel.median_adu
        result.image[layout.trimmed] = as_assembled(signal, flip_x=layout.flip_x, flip_y=layout.flip_y)
        result.bits[layout.trimmed] = as_assembled(bits, flip_x=layout.flip_x, flip_y=layout.flip_y)
    return result


_Serial = tuple[OverscanLevel, int]
"""A level, and the raw row at which its region starts."""


def _serial_level(image: np.ndarray, layout: AmplifierLayout, settings: OverscanSettings) -> _Serial | None:
    if layout.serial is None:
        return None
    rows, columns = layout.serial
    data_first = layout.data[1].start < columns.start
    level = fit_overscan(trimmed_overscan(image[layout.serial], settings, data_first=data_first), settings)
    return None if level is None else (level, rows.start)


def _serial_levels_at(region: Region, serial: _Serial) -> np.ndarray:
    """Levels of the rows of a region of the raw image, as a column."""
    level, first = serial
    return level.at(np.arange(region[0].start, region[0].stop), first)[:, None]


def _parallel_level(
    image: np.ndarray, layout: AmplifierLayout, serial: _Serial | None, pedestal: float, settings: OverscanSettings
) -> OverscanLevel | None:
    """What the serial overscan, or without one the pedestal, leaves in the parallel one, column by column."""
    if layout.parallel is None or settings.method == "NONE":
        return None
    region = (layout.parallel[0], layout.data[1])
    counts = image[region] - (pedestal if serial is None else _serial_levels_at(region, serial))
    data_first = layout.data[0].start < region[0].start
    return fit_overscan(trimmed_overscan(counts.T, settings, data_first=data_first), settings)
