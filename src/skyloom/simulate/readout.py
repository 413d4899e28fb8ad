"""From light on a detector to the counts of a raw frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .charge import add_cosmic_rays, bleed_columns, brighter_fatter_kernel, repel_charge

if TYPE_CHECKING:
    from .mosaic import Ccd, SimulatedAmplifier
    from .settings import DetectorSettings
    from .signature import Signature

__all__ = ["RawFrame", "expose"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RawFrame:
    """A raw frame, and what disturbed it."""

    raw: np.ndarray
    """ADU ``[y, x]`` over the raw frame: uint16, or float32 where the settings do not quantise."""
    cosmic_rays: np.ndarray
    """Bool over the trimmed detector."""
    full: np.ndarray
    """Bool over the trimmed detector: wells that are full."""


def expose(
    light: np.ndarray,
    ccd: Ccd,
    signature: Signature,
    settings: DetectorSettings,
    rng: np.random.Generator,
    *,
    seconds: float,
) -> RawFrame:
    """Turn the light on a detector into a raw frame.

    Parameters
    ----------
    light
        Expected electrons ``[y, x]`` over the trimmed pixels, where the flat field is one.
    ccd, signature, settings
        The detector.
    rng
        Source of the overscan levels and of the noise.
    seconds
        Time over which dark current gathers and cosmic rays hit.
    """
    levels = 1.0 * rng.standard_normal(len(ccd.amplifiers))
    electrons = light * signature.flat + signature.dark * seconds
    if settings.noise:
        electrons = rng.poisson(electrons).astype(np.float64)
    if settings.brighter_fatter > 0:
        electrons = repel_charge(electrons, brighter_fatter_kernel(settings.brighter_fatter))
    hit = np.zeros(ccd.shape, dtype=bool)
    if settings.cosmic_rays > 0 and seconds > 0:
        hit = add_cosmic_rays(electrons, settings.cosmic_rays, seconds, rng)
    full = np.zeros(ccd.shape, dtype=bool)
    if settings.bleed_level > 0:
        full = bleed_columns(electrons, _full_well(ccd, settings))
    counts = _signals(electrons, ccd, settings)
    raw = np.zeros(ccd.raw_shape)
    for amplifier, signal, level in zip(ccd.amplifiers, counts, levels, strict=True):
        _read_out(raw, ccd, amplifier, signal, level, signature, settings, rng)
    if settings.quantise:
        raw = np.clip(np.rint(raw), 0, _converter_maximum(ccd))
    return RawFrame(raw=raw.astype(np.uint16 if settings.quantise else np.float32), cosmic_rays=hit, full=full)


def _full_well(ccd: Ccd, settings: DetectorSettings) -> np.ndarray:
    """Electrons at which charge runs over, so that raw counts of full wells are above the saturation level."""
    wells = np.empty(ccd.shape)
    for amplifier in ccd.amplifiers:
        part = amplifier.layout.trimmed
        above_bias = amplifier.layout.saturation_adu - _level(amplifier, settings)
        wells[part] = settings.bleed_level * above_bias * amplifier.layout.gain
    return wells


def _signals(electrons: np.ndarray, ccd: Ccd, settings: DetectorSettings) -> list[np.ndarray]:
    """Counts of each amplifier above its bias, on the trimmed detector: gain, non-linearity, crosstalk."""
    signals = []
    for amplifier in ccd.amplifiers:
        signal = electrons[amplifier.layout.trimmed] / amplifier.layout.gain
        if settings.nonlinearity > 0:
            signal = signal * (1.0 - settings.nonlinearity * signal / amplifier.layout.saturation_adu)
        signals.append(signal)
    if settings.crosstalk == 0 or len(signals) == 1:
        return signals
    in_read_order = [_mirror(signal, one) for signal, one in zip(signals, ccd.amplifiers, strict=True)]
    total = sum(in_read_order)
    return [
        signal + settings.crosstalk * _mirror(total - own, amplifier)
        for signal, own, amplifier in zip(signals, in_read_order, ccd.amplifiers, strict=True)
    ]


def _mirror(signal: np.ndarray, amplifier: SimulatedAmplifier) -> np.ndarray:
    """From the trimmed detector to the order in which pixels are read, and back: the same mirrors."""
    flips = (amplifier.mirrored[0] ^ amplifier.layout.flip_y, amplifier.mirrored[1] ^ amplifier.layout.flip_x)
    return signal[:: -1 if flips[0] else 1, :: -1 if flips[1] else 1]


def _level(amplifier: SimulatedAmplifier, settings: DetectorSettings) -> float:
    """Mean level of an amplifier without light."""
    if amplifier.layout.serial is None and amplifier.bias_level_adu > 0:
        return amplifier.bias_level_adu
    return settings.overscan_level_adu


def _read_out(
    raw: np.ndarray,
    ccd: Ccd,
    amplifier: SimulatedAmplifier,
    signal: np.ndarray,
    deviation: float,
    signature: Signature,
    settings: DetectorSettings,
    rng: np.random.Generator,
) -> None:
    """Write an amplifier's part of the raw frame, with its level, slope and noise, in place."""
    layout = amplifier.layout
    part = raw[amplifier.raw]
    part += _level(amplifier, settings)
    if layout.serial is not None:
        rows = np.linspace(0.0, settings.overscan_slope_adu, ccd.raw_shape[0])
        part += settings.overscan_scatter_adu * deviation + rows[amplifier.raw[0], None]
    if settings.noise:
        part += rng.standard_normal(part.shape) * (layout.read_noise / layout.gain)
    data = signal + signature.bias[layout.trimmed]
    raw[layout.data] += data[:: -1 if layout.flip_y else 1, :: -1 if layout.flip_x else 1]


def _converter_maximum(ccd: Ccd) -> int:
    """Largest count: the lowest of 255, 511, ... 65535 that is not below the saturation levels."""
    saturation = max(amplifier.layout.saturation_adu for amplifier in ccd.amplifiers)
    return next((2**bits - 1 for bits in range(8, 16) if 2**bits - 1 >= saturation), 65535)
