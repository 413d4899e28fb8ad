from __future__ import annotations

import numpy as np
import pytest

from skyloom.isr.illumination import divide_by_illumination


@pytest.mark.parametrize("scale", [10.0, 0.1, 3.7])
@pytest.mark.parametrize("inverse", [False, True])
def test_scale(scale: float, inverse: bool) -> None:
    level = 1.0 / scale if inverse else 1.0
    image, variance = np.full((4, 5), 10.0, np.float32), np.full((4, 5), 2.0, np.float32)
    bad = divide_by_illumination(image, variance, np.full((4, 5), level), np.zeros((4, 5)), scale=scale)
    np.testing.assert_allclose(image, 10.0 * scale / level, rtol=1e-6)
    np.testing.assert_allclose(variance, 2.0 * (scale / level) ** 2, rtol=1e-6)
    assert not bad.any()


def test_its_own_noise_adds() -> None:
    random = np.random.default_rng(1)
    shape = (400, 400)
    image = random.normal(1000.0, 20.0, shape).astype(np.float32)
    frame = random.normal(1.5, 0.03, shape)
    variance = np.full(shape, 400.0, np.float32)
    divide_by_illumination(image, variance, frame, np.full(shape, 0.03**2), scale=1.5)
    assert image.std() ** 2 == pytest.approx(variance.mean(dtype=float), rel=0.02)
    assert 790 < variance.mean() < 810  # 20^2 + (1000 * 0.02)^2


def test_unlit_pixels_stay() -> None:
    image, variance = np.full((1, 4), 8.0, np.float32), np.ones((1, 4), np.float32)
    bad = divide_by_illumination(image, variance, np.array([[2.0, 0.0, -1.0, np.nan]]), np.zeros((1, 4)))
    np.testing.assert_array_equal(image, [[4, 8, 8, 8]])
    np.testing.assert_array_equal(bad, [[False, True, True, True]])


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_a_scale_is_positive(scale: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        divide_by_illumination(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)), scale=scale)
