"""The light of flats: exposure times, the drift of the lamp, and how it flickers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyloom.errors import BadFrameError

from .pair_measurements import PairMeasurements
from .pair_settings import LinearizerSettings

__all__ = ["Lamp", "lamp_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lamp:
    """The light of all frames of all pairs, ``[frame]``: two of a pair follow each other."""

    light: np.ndarray
    """Exposure time (s), or what the header's monitor says, without the lamp's drift."""
    epoch: np.ndarray
    """When, from -1 for the first frame to 1 for the last."""
    group: np.ndarray
    """Number of the filter."""
    groups: list[str]
    """Their names."""
    usable: np.ndarray
    """Bool: frames whose light a second is like that of the others."""
    flicker: float
    """Relative scatter of the lamp from frame to frame, as the pairs tell it."""


def lamp_of(measured: PairMeasurements, settings: LinearizerSettings) -> Lamp:
    """What is known of the light before the linearity is.

    The two frames of a pair have the same light but for the lamp's flicker, whatever the linearity.

    Raises
    ------
    BadFrameError
        If all exposures are of one length, and nothing else tells the light.
    """
    flats = [flat for pair in measured.flats for flat in pair]
    light = np.array([flat.monitor if settings.monitor else flat.seconds for flat in flats])
    groups = sorted({flat.physical_filter for flat in flats})
    group = np.array([groups.index(flat.physical_filter) for flat in flats])
    rates = np.array([flat.level_adu for flat in flats]) / light
    typical = np.array([np.median(rates[group == number]) for number in range(len(groups))])[group]
    usable = np.abs(rates / typical - 1.0) <= settings.rate_tolerance
    if not np.ptp(light[usable]) > 0:
        raise BadFrameError(
            "all flats have the same exposure time, which cannot tell how the counts grow with the light.",
            cure="Take flats of many exposure times, or name the header keyword of a light monitor.",
        )
    epoch = _epochs([flat.begin_s for flat in flats])
    return Lamp(
        light=light,
        epoch=epoch,
        group=group,
        groups=groups,
        usable=usable,
        flicker=_flicker(measured, light, epoch, usable),
    )


def _epochs(begins_s: Sequence[float]) -> np.ndarray:
    times = np.array(begins_s)
    if not np.isfinite(times).all():
        times = np.arange(len(times), dtype=np.float64)
    middle, half = 0.5 * (times.max() + times.min()), 0.5 * float(np.ptp(times))
    return np.asarray((times - middle) / (half or 1.0))


def _flicker(measured: PairMeasurements, light: np.ndarray, epoch: np.ndarray, usable: np.ndarray) -> float:
    """Relative scatter of a frame's light, from the ratios of the two levels of each pair, a drift taken off."""
    both = usable.reshape(-1, 2).all(axis=1)
    ratios = []
    for amplifier in measured.amplifiers.values():
        levels = amplifier.frame_levels_adu * light.reshape(-1, 2)[:, ::-1]
        ratios.append(np.where(amplifier.usable(1.0) & both, levels[:, 0] / levels[:, 1] - 1.0, np.nan))
    known = np.isfinite(ratios).any(axis=0)
    if not known.any():
        return 0.0
    deviations = np.nanmean(np.array(ratios)[:, known], axis=0)
    apart = np.diff(epoch.reshape(-1, 2)[known], axis=1)[:, 0]
    if apart.any():
        deviations = deviations - (deviations @ apart) / (apart @ apart) * apart
    return float(1.4826 * np.median(np.abs(deviations)) / np.sqrt(2.0))
