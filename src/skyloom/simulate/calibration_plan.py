"""Which calibration frames a survey takes, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.time import TimeDelta

from .visits import FIRST_NIGHT

if TYPE_CHECKING:
    from .mosaic import Mosaic
    from .settings import SurveySettings

__all__ = ["AFTERNOON", "CalibrationFrame", "calibration_frames"]

AFTERNOON = FIRST_NIGHT - TimeDelta(0.5, format="jd")
_EVENING = FIRST_NIGHT - TimeDelta(0.25, format="jd")
_STREAM = 403
_FIRST_NUMBERS = {"bias": 100001, "dark": 200001, "flat": 300001}
_FLAT_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class CalibrationFrame:
    """One exposure of the afternoon."""

    number: int
    kind: str
    band: str | None
    seconds: float
    begin: str
    electrons: float = 0.0
    """Level of the lamp."""


def calibration_frames(settings: SurveySettings, mosaic: Mosaic) -> list[CalibrationFrame]:
    """The calibration exposures of a survey: biases, darks, flats band by band, and pairs of flats of many levels.

    None for a camera whose headers do not tell them from frames of the sky.
    """
    if mosaic.camera.description.header.observation_type.value is not None:
        return []
    options, frames = settings.calibrations, []
    rng = np.random.default_rng([settings.seed, _STREAM])
    plan: list[tuple[str, str | None, float]] = [("bias", None, 0.0)] * options.biases
    plan += [("dark", None, options.dark_time_s)] * options.darks
    plan += [("flat", band, _FLAT_SECONDS) for band in settings.bands for _ in range(options.flats)]
    counts = dict(_FIRST_NUMBERS)
    for index, (kind, band, seconds) in enumerate(plan):
        level = options.flat_electrons * (1.0 + options.lamp_scatter * rng.standard_normal())
        begin = AFTERNOON + TimeDelta(index * (60.0 + options.dark_time_s), format="sec")
        frames.append(
            CalibrationFrame(
                number=counts[kind],
                kind=kind,
                band=band,
                seconds=seconds,
                begin=begin.isot,
                electrons=level if kind == "flat" else 0.0,
            )
        )
        counts[kind] += 1
    return frames + _flat_pairs(settings, counts["flat"], rng)


def _flat_pairs(settings: SurveySettings, first: int, rng: np.random.Generator) -> list[CalibrationFrame]:
    """Flats of many exposure times, up and down again, with a lamp that may drift and flicker."""
    options, number = settings.calibrations, 2 * settings.calibrations.pair_levels
    faintest, brightest = np.sqrt(options.pair_electrons)
    upwards = np.linspace(faintest, brightest, options.pair_levels) ** 2
    levels = np.concatenate([upwards, upwards[::-1]])
    lamp = 1.0 + options.pair_scatter * rng.standard_normal(number)
    lamp *= 1.0 + options.pair_drift * np.linspace(-0.5, 0.5, number)
    return [
        CalibrationFrame(
            number=first + index,
            kind="flat",
            band=settings.bands[0],
            seconds=round(float(level / options.flat_electrons * _FLAT_SECONDS), 6),
            begin=(_EVENING + TimeDelta(index * 60.0, format="sec")).isot,
            electrons=float(level * lamp[index]),
        )
        for index, level in enumerate(levels)
    ]
