"""Corrections of the linearity against the response that the frames were drawn with."""

from __future__ import annotations

import numpy as np
import pytest
from flat_ramp import GAINS, PLAIN, RATE, flat, ramp, ready

from skyloom.calibs import LinearizerSettings, Measured, make_linearizer
from skyloom.errors import BadFrameError
from skyloom.images.raw import RawExposure
from skyloom.isr import linearities_from_data
from skyloom.simulate import DetectorSettings

LEVELS = np.linspace(25, 300, 16) ** 2
LOSS, SATURATION = 0.03, 60000.0
BENT = DetectorSettings(bias_structure_adu=0.0, hot_pixels=5, nonlinearity=LOSS)


def settings(**changes: object) -> LinearizerSettings:
    return LinearizerSettings(lags=0, **changes)  # type: ignore[arg-type]


def errors(measured: Measured, name: str, highest_adu: float) -> np.ndarray:
    """Relative errors of corrected counts, and of uncorrected ones, from 1 % of a level up to it."""
    true = np.linspace(0.01, 1.0, 50) * highest_adu
    seen = (true * (1 - LOSS * true / SATURATION)).astype(np.float32)[None, :]
    linearities_from_data(measured.data)[name].apply(seen)
    return np.asarray(seen[0] / true - 1.0)


@pytest.fixture(scope="module")
def drifting() -> list[RawExposure]:
    return ramp(LEVELS, detector=BENT, drift=0.01)


@pytest.mark.parametrize("kind", ["POLYNOMIAL", "SPLINE"])
def test_counts_become_proportional_whatever_the_lamp_does(drifting: list[RawExposure], kind: str) -> None:
    measured = make_linearizer(ready(drifting), settings=settings(kind=kind))
    for name, gain in GAINS.items():
        highest = 0.9 * LEVELS[-1] / gain
        assert LOSS * highest / SATURATION > 0.02
        assert np.abs(errors(measured, name, highest)).max() < 1e-3
        assert measured.figures[f"residual_rms_{name}"] < 3e-4
        assert measured.figures[f"nonlinearity_{name}"] == pytest.approx(LOSS * LEVELS[-2] / gain / SATURATION, rel=0.2)
    assert measured.figures["lamp_drift"] == pytest.approx(0.01, abs=5 * measured.figures["lamp_drift_error"])
    assert measured.figures["lamp_drift_error"] < 3e-4
    assert measured.figures["lamp_flicker"] < 3e-4


def test_a_steady_lamp_has_no_drift_and_a_slow_shutter_is_found() -> None:
    both = [*LEVELS, *LEVELS[::-1]]
    frames = [
        flat(number, level + 0.02 * RATE, seconds=level / RATE, detector=BENT) for number, level in enumerate(both)
    ]
    measured = make_linearizer(ready(frames), settings=settings())
    assert measured.figures["lamp_drift"] == 0.0
    assert measured.figures["shutter_offset_s"] == pytest.approx(0.02, abs=1e-3)
    assert np.abs(errors(measured, "A", 50000.0)).max() < 1e-3


def test_a_monitor_tells_what_the_exposure_time_does_not(drifting: list[RawExposure]) -> None:
    rng = np.random.default_rng(4)
    levels = np.repeat(LEVELS, 2) * np.repeat(rng.uniform(0.9, 1.1, len(LEVELS)), 2)
    seconds = np.repeat(LEVELS, 2) / RATE
    frames = [
        flat(number, level, seconds=seconds[number], detector=BENT, DIODE=float(3.0 * level))
        for number, level in enumerate(levels)
    ]
    measured = make_linearizer(ready(frames), settings=settings(monitor="DIODE"))
    assert np.abs(errors(measured, "A", 50000.0)).max() < 1e-3
    by_time = make_linearizer(ready(frames), settings=settings())
    assert np.abs(errors(by_time, "A", 50000.0)).max() > 5e-3
    with pytest.raises(BadFrameError, match="its header has no number in NONE"):
        make_linearizer(ready(frames), settings=settings(monitor="NONE"))


def test_flats_of_another_lamp_are_left_out(drifting: list[RawExposure]) -> None:
    odd = [flat(number, 30000.0, seconds=2.0, detector=BENT) for number in (80, 81)]
    measured = make_linearizer(ready([*drifting, *odd]), settings=settings())
    assert list(measured.left_out) == ["flat_80.fits", "flat_81.fits"]
    assert "light a second" in measured.left_out["flat_80.fits"]
    assert np.abs(errors(measured, "A", 50000.0)).max() < 1e-3


def test_one_exposure_time_and_a_dead_amplifier() -> None:
    levels = np.repeat([1000.0, 5000.0, 1e4, 2e4, 4e4, 6e4, 8e4], 2)
    same = [flat(number, level, seconds=5.0) for number, level in enumerate(levels)]
    with pytest.raises(BadFrameError, match="the same exposure time"):
        make_linearizer(ready(same), settings=settings(rate_tolerance=100.0))
    lit = np.arange(300) < 150
    half = [flat(number, lit * level, seconds=level / RATE, detector=BENT) for number, level in enumerate(levels)]
    measured = make_linearizer(ready(half), settings=settings())
    assert measured.data["amplifiers"]["B"] == {"kind": "None"}
    assert np.abs(errors(measured, "A", 50000.0)).max() < 1e-3
    with pytest.raises(BadFrameError, match="of 9 levels below its full well"):
        make_linearizer(ready(half), settings=settings(order=6))
    assert PLAIN.nonlinearity == 0.0
