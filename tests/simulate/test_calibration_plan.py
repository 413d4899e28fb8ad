"""Which calibration frames a survey takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skyloom.instruments import Camera
from skyloom.simulate import CalibrationSettings, Mosaic, SurveySettings
from skyloom.simulate.calibration_plan import calibration_frames

MOSAIC = Mosaic.of(Camera.read("simulated"))
PLAIN = SurveySettings(bands=("r", "i"))
RAMP = CalibrationSettings(pair_levels=6, pair_electrons=(400.0, 90000.0), pair_drift=0.02)


def test_pairs_of_flats_go_up_and_down_by_a_drifting_lamp() -> None:
    frames = calibration_frames(replace(PLAIN, calibrations=RAMP), MOSAIC)
    before = calibration_frames(PLAIN, MOSAIC)
    assert frames[: len(before)] == before
    pairs = frames[len(before) :]
    assert [frame.number for frame in pairs] == list(range(before[-1].number + 1, before[-1].number + 13))
    assert {(frame.kind, frame.band) for frame in pairs} == {("flat", "r")}
    seconds = np.array([frame.seconds for frame in pairs])
    np.testing.assert_allclose(seconds, seconds[::-1])
    assert (np.diff(seconds[:6]) > 0).all()
    rate = np.array([frame.electrons for frame in pairs]) / seconds
    assert rate[-1] / rate[0] - 1 == pytest.approx(0.02, abs=5e-4)
    np.testing.assert_allclose(np.diff(rate), np.diff(rate)[0], rtol=0.01)
    # Lamp and exposure times are those of the other flats: 30000 electrons in 5 seconds.
    assert rate.mean() == pytest.approx(6000.0)
    assert pairs[5].seconds == pytest.approx(90000.0 / 6000.0)
    assert [frame.begin for frame in frames] == sorted(frame.begin for frame in frames)
