from __future__ import annotations

import numpy as np
import pytest

from skyloom.images import bitmask
from skyloom.isr.illumination import divide_by_illumination
from skyloom.isr.masters import MasterPlanes


def planes(image: np.ndarray, variance: float = 0.0) -> MasterPlanes:
    """An illumination frame without masked pixels."""
    return MasterPlanes(
        image=image, variance=np.full(image.shape, variance), mask=np.zeros(image.shape, np.int32), unusable=0
    )


@pytest.mark.parametrize("scale", [10.0, 0.1, 3.7])
@pytest.mark.parametrize("inverse", [False, True])
def test_scale(scale: float, inverse: bool) -> None:
    level = 1.0 / scale if inverse else 1.0
    image, variance = np.full((4, 5), 10.0, np.float32), np.full((4, 5), 2.0, np.float32)
    bits = np.zeros((4, 5), np.int32)
    assert divide_by_illumination(image, variance, bits, planes(np.full((4, 5), level)), scale=scale) == 0
    np.testing.assert_allclose(image, 10.0 * scale / level, rtol=1e-6)
    np.testing.assert_allclose(variance, 2.0 * (scale / level) ** 2, rtol=1e-6)
    assert not bits.any()


def test_its_own_noise_adds() -> None:
    random = np.random.default_rng(1)
    shape = (400, 400)
    image = random.normal(1000.0, 20.0, shape).astype(np.float32)
    frame = random.normal(1.5, 0.03, shape)
    variance = np.full(shape, 400.0, np.float32)
    divide_by_illumination(image, variance, np.zeros(shape, np.int32), planes(frame, 0.03**2), scale=1.5)
    assert image.std() ** 2 == pytest.approx(variance.mean(dtype=float), rel=0.02)
    assert 790 < variance.mean() < 810  # 20^2 + (1000 * 0.02)^2


def test_unlit_pixels_stay() -> None:
    image, variance = np.full((1, 4), 8.0, np.float32), np.ones((1, 4), np.float32)
    bits = np.zeros((1, 4), np.int32)
    assert divide_by_illumination(image, variance, bits, planes(np.array([[2.0, 0.0, -1.0, np.nan]]))) == 3
    np.testing.assert_array_equal(image, [[4, 8, 8, 8]])
    np.testing.assert_array_equal(bits, [[0, *3 * [bitmask("BAD")]]])


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_a_scale_is_positive(scale: float) -> None:
    one = np.ones((1, 1))
    with pytest.raises(ValueError, match="positive"):
        divide_by_illumination(one, one, np.zeros((1, 1), np.int32), planes(one), scale=scale)
