"""Two of the frames of ``bench/accuracy_hard_frames.py``: bright trails, and clouds, leave the WCS right."""

from __future__ import annotations

import numpy as np
import pytest
from accuracy_cases import HARD_CASES
from simulated_frame import SETTINGS, simulated_frame

from skyloom.calibrate import calibrate_frame
from skyloom.images.projection import pixel_to_radec


@pytest.mark.parametrize(("case", "seed"), [("trails", 1003), ("clouds", 1001)])
def test_the_wcs_of_a_hard_frame_is_right(case: str, seed: int) -> None:
    simulated = simulated_frame(seed=seed, **HARD_CASES[case])
    frame = calibrate_frame(simulated.exposure, simulated.loader, SETTINGS)
    ccd = simulated.mosaic.ccds[simulated.detector]
    y, x = np.mgrid[0 : ccd.shape[0] - 1 : 9j, 0 : ccd.shape[1] - 1 : 9j]
    assert frame.exposure.projection is not None
    ra, dec = pixel_to_radec(frame.exposure.projection, x.ravel(), y.ravel())
    x_there, y_there = simulated.projection.sky_to_pixel(ccd, ra, dec)
    assert np.hypot(x_there - x.ravel(), y_there - y.ravel()).max() < 0.5
