from __future__ import annotations

import numpy as np
import pytest
from bare_amplifiers import bare_amplifier

from skyloom.images import bitmask
from skyloom.isr.gains import apply_gains, level_amplifiers

LEFT, RIGHT = (slice(0, 8), slice(0, 5)), (slice(0, 8), slice(5, 10))


def test_electrons_and_their_variance() -> None:
    image, variance = np.full((8, 10), 100.0, np.float32), np.full((8, 10), 2.0, np.float32)
    image[0, 0], image[7, 9] = -30.0, -1.0
    bits = np.zeros((8, 10), np.int32)
    layouts = [bare_amplifier("A", LEFT, 1.5), bare_amplifier("B", RIGHT, 2.0)]
    assert apply_gains(image, variance, bits, layouts, {"A": 4.0, "B": 6.0}, negative_plane="BAD") == 1
    np.testing.assert_allclose(image[1], [150.0] * 5 + [200.0] * 5)
    np.testing.assert_allclose(variance[1], [2 * 1.5**2 + 150 + 16] * 5 + [2 * 2.0**2 + 200 + 36] * 5)
    assert variance[0, 0] == pytest.approx(2 * 1.5**2 + 16)  # fewer electrons than none count as none
    assert bits[0, 0] == bitmask("BAD")
    assert bits[7, 9] == 0


def test_amplifiers_are_brought_to_one_level() -> None:
    image = np.full((8, 10), 90.0, np.float32)
    image[RIGHT] = 110.0
    image[3, 3] = 5000.0
    variance, bits = image.copy(), np.zeros((8, 10), np.int32)
    factors = level_amplifiers(image, variance, bits, [bare_amplifier("A", LEFT), bare_amplifier("B", RIGHT)])
    assert factors == {"A": pytest.approx(100 / 90), "B": pytest.approx(100 / 110)}
    np.testing.assert_allclose(image[0], 100.0, rtol=1e-6)
    np.testing.assert_allclose(variance[0, [0, 9]], [90 * (100 / 90) ** 2, 110 * (100 / 110) ** 2], rtol=1e-6)


def test_an_amplifier_without_light_stays() -> None:
    image = np.full((8, 10), 90.0, np.float32)
    image[RIGHT] = -1.0
    layouts = [bare_amplifier("A", LEFT), bare_amplifier("B", RIGHT)]
    factors = level_amplifiers(image, image.copy(), np.zeros((8, 10), np.int32), layouts)
    assert factors == {"A": 1.0, "B": 1.0}
    np.testing.assert_array_equal(image[RIGHT], -1.0)
