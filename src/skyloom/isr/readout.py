"""From the raw image to one trimmed image in ADU: saturation, overscan and assembly, amplifier by amplifier."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.signature import take_off_levels

from .assembly import as_assembled
from .overscan import OverscanLevel, fit_overscan, trimmed_overscan
from .saturation import mark_above

if TYPE_CHECKING:
    from skyloom.images.raw import RawExposure

    from .amplifiers import AmplifierLayout
    from .settings import IsrSettings, OverscanSettings

__all__ = ["Readout", "check_not_empty", "read_out"]


@dataclass(kw_only=True, eq=False)
class Readout:
    """The trimmed detector in ADU above the overscan, ``[y, x]``."""

    image: np.ndarray
    """float32; NaN where no amplifier reads."""
    bits: np.ndarray
    """int32 mask bits: SAT, SUSPECT, BAD (whole amplifiers), NO_DATA."""
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
        first = counts[:1]  # nearly always enough
        for part in (first, counts):
            finite = part[np.isfinite(part)]
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
    bad_amplifiers: Collection[str] = (),
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
    bad_amplifiers
        Names of amplifiers that are BAD as a whole; those all of whose pixels are SAT or SUSPECT are so, too.

    Raises
    ------
    BadFrameError
        If every amplifier is bad.
    """
    result = Readout(image=np.full(shape, np.nan, np.float32), bits=np.full(shape, bitmask("NO_DATA"), np.int32))
    bad = {layout.name for layout in layouts if layout.name in bad_amplifiers}
    for layout in layouts:
        counts = _native(raw.image[layout.data])
        image, bits = result.image[layout.trimmed], result.bits[layout.trimmed]
        bits[...] = 0
        if layout.name not in bad and _mark(counts, layout, bits, settings, metadata):
            bad.add(layout.name)
        if layout.name in bad:
            bits |= bitmask("BAD")
        result.noise_adu |= _take_off_overscan(raw.image, layout, counts, image, settings, pedestals_adu, metadata)
    if bad:
        metadata["LSST ISR BAD AMPLIFIERS"] = sorted(bad)
    if len(bad) == len(layouts):
        raise BadFrameError(
            "every amplifier is defective, or saturated as a whole.",
            file=raw.file,
            cure="Leave the frame out, or correct the table of defects or the level of saturation.",
        )
    return result


def _native(counts: np.ndarray) -> np.ndarray:
    """The same numbers in the byte order of the machine."""
    return np.asarray(counts, counts.dtype.newbyteorder("="))


def _mark(
    counts: np.ndarray, layout: AmplifierLayout, bits: np.ndarray, settings: IsrSettings, metadata: dict[str, Any]
) -> bool:
    """Mark saturated and suspect pixels, and tell whether no others are left."""
    level = layout.saturation_adu if settings.saturation_adu is None else settings.saturation_adu
    ordered = as_assembled(counts, flip_x=layout.flip_x, flip_y=layout.flip_y)
    saturated = mark_above(ordered, level, bits, bitmask("SAT")) if settings.mark_saturated else 0
    suspect = mark_above(ordered, layout.suspect_adu, bits, bitmask("SUSPECT")) if settings.mark_suspect else 0
    metadata[f"LSST ISR MASK SAT {layout.name}"] = saturated
    return saturated + suspect >= counts.size and bool((bits & bitmask("SAT", "SUSPECT")).all())


def _take_off_overscan(
    raw_image: np.ndarray,
    layout: AmplifierLayout,
    counts: np.ndarray,
    image: np.ndarray,
    settings: IsrSettings,
    pedestals_adu: Mapping[str, float] | None,
    metadata: dict[str, Any],
) -> dict[str, float]:
    """Fill an amplifier's part of the trimmed image; return the read noise by its name, where there is an overscan."""
    name = layout.name
    serial = _serial_level(raw_image, layout, settings.serial_overscan)
    pedestal = 0.0 if pedestals_adu is None else pedestals_adu.get(name, 0.0)
    noise = {}
    if serial is None:
        rows = np.full(len(counts), float(pedestal))
        metadata[f"LSST ISR PEDESTAL SOURCE {name}"] = "camera" if pedestals_adu is not None else "bias frame"
        metadata[f"LSST ISR OVERSCAN SERIAL MEDIAN {name}"] = pedestal
    else:
        rows = _serial_levels_at(layout.data, serial)
        metadata[f"LSST ISR PEDESTAL SOURCE {name}"] = "serial overscan"
        _record(metadata, "SERIAL", name, serial[0])
        noise[name] = serial[0].noise_adu
    parallel = _parallel_level(raw_image, layout, serial, pedestal, settings.parallel_overscan)
    columns = np.zeros(counts.shape[1])
    if parallel is not None:
        columns = parallel.levels_adu
        _record(metadata, "PARALLEL", name, parallel)
    flipped = as_assembled(counts, flip_x=layout.flip_x, flip_y=layout.flip_y)
    take_off_levels(flipped, rows[:: -1 if layout.flip_y else 1], columns[:: -1 if layout.flip_x else 1], image)
    return noise


def _record(metadata: dict[str, Any], which: str, name: str, level: OverscanLevel) -> None:
    metadata["OVERSCAN"] = "Overscan corrected"
    metadata[f"LSST ISR OVERSCAN {which} MEAN {name}"] = level.mean_adu
    metadata[f"LSST ISR OVERSCAN {which} MEDIAN {name}"] = level.median_adu
    metadata[f"LSST ISR OVERSCAN {which} STDEV {name}"] = level.scatter_adu
    metadata[f"LSST ISR OVERSCAN RESIDUAL {which} MEAN {name}"] = level.residual_mean_adu
    metadata[f"LSST ISR OVERSCAN RESIDUAL {which} MEDIAN {name}"] = level.residual_median_adu
    metadata[f"LSST ISR OVERSCAN RESIDUAL {which} STDEV {name}"] = level.noise_adu


_Serial = tuple[OverscanLevel, int]
"""A level, and the raw row at which its region starts."""


def _serial_level(image: np.ndarray, layout: AmplifierLayout, settings: OverscanSettings) -> _Serial | None:
    if layout.serial is None:
        return None
    rows, columns = layout.serial
    data_first = layout.data[1].start < columns.start
    level = fit_overscan(trimmed_overscan(image[layout.serial], settings, data_first=data_first), settings)
    return None if level is None else (level, rows.start)


def _serial_levels_at(region: tuple[slice, slice], serial: _Serial) -> np.ndarray:
    """Levels of the rows of a region of the raw image."""
    level, first = serial
    return level.at(np.arange(region[0].start, region[0].stop), first)


def _parallel_level(
    image: np.ndarray, layout: AmplifierLayout, serial: _Serial | None, pedestal: float, settings: OverscanSettings
) -> OverscanLevel | None:
    """What the serial overscan, or without one the pedestal, leaves in the parallel one, column by column."""
    if layout.parallel is None or settings.method == "NONE":
        return None
    region = (layout.parallel[0], layout.data[1])
    counts = image[region] - (pedestal if serial is None else _serial_levels_at(region, serial)[:, None])
    data_first = layout.data[0].start < region[0].start
    return fit_overscan(trimmed_overscan(counts.T, settings, data_first=data_first), settings)
