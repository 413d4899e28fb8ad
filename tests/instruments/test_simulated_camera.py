"""The description of the simulated camera says what the simulator does."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.images import pixel_to_radec
from skyloom.instruments import Camera
from skyloom.simulate import camera as truth
from skyloom.simulate.projection import TrueProjection

CAMERA = Camera.read("simulated")


@pytest.mark.parametrize("detector", CAMERA.detector_ids)
@pytest.mark.parametrize("rotation", [0.0, 37.0, -120.0])
def test_projection(detector: int, rotation: float) -> None:
    x, y = np.meshgrid([0.0, 300.0, 1023.0], [0.0, 700.0, 1023.0])
    expected = TrueProjection(150.3, -33.0, rotation).pixel_to_sky(detector, x, y)
    guess = CAMERA.projection(detector, ra=150.3, dec=-33.0, rotation_deg=rotation)
    np.testing.assert_allclose(pixel_to_radec(guess, x, y), expected, rtol=0, atol=1e-9)


def test_amplifiers() -> None:
    assert CAMERA.raw_shape(0) == truth.RAW_SHAPE
    for amplifier, true in zip(CAMERA.detector(0).amplifiers, truth.AMPLIFIERS, strict=True):
        assert amplifier.nominal_calibrations is not None
        assert amplifier.nominal_calibrations.gain == true.gain
        assert amplifier.nominal_calibrations.read_noise == truth.READ_NOISE
        assert amplifier.nominal_calibrations.saturation == truth.SATURATION_ADU
