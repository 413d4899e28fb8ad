"""The level of an even sky of 2000 electrons with a star, to a tenth of an electron."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest

from skyloom.background import BackgroundSettings, subtract_background
from skyloom.images.exposure import Exposure

SKY, SIDE = 2000.0, 1024


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    y, x = np.mgrid[-5:6, -5:6]
    electrons = np.full((SIDE, SIDE), SKY)
    electrons[5:16, 5:16] += np.exp(-(x**2 + y**2) / 8.0) / (8.0 * np.pi)
    return [np.random.default_rng(seed).poisson(electrons).astype(np.float32) for seed in range(4)]


# The mean of a frame is known to 0.044; a polynomial of order 6 that eight cells a side hold adds 0.05 to that, and
# a single frame may lie beyond the tenth.
@pytest.mark.parametrize("model", ["spline", "chebyshev"])
def test_level_of_the_sky(frames: list[np.ndarray], model: str) -> None:
    settings = BackgroundSettings(model=model)  # type: ignore[arg-type]
    found, left, again = [], [], []
    for electrons in frames:
        exposure = Exposure.from_arrays(electrons.copy(), unit=u.electron)
        found.append(subtract_background(exposure, settings).render().mean(dtype=np.float64))
        left.append(exposure.image.array.mean(dtype=np.float64))
        again.append(subtract_background(exposure, settings).render().mean(dtype=np.float64))
    assert np.mean(found) == pytest.approx(SKY, abs=0.1)
    assert np.mean(left) == pytest.approx(0.0, abs=0.1)
    np.testing.assert_allclose(again, 0.0, atol=0.1)
    if model == "spline":
        np.testing.assert_allclose(left, 0.0, atol=0.1)
