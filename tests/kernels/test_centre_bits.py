from __future__ import annotations

import numpy as np

from skyloom.kernels.centre_bits import centre_bits


def test_bits_of_any_and_of_all_nine() -> None:
    bits = np.zeros((10, 12), np.int32)
    bits[3:6, 3:6] = 4
    bits[5, 5] |= 1
    bits[0:2, 0:2] |= 8
    x, y = np.array([4, 5, 0, 12, 20]), np.array([4, 4, 0, 4, 4])
    some, every = centre_bits(bits, x, y)
    assert some.tolist() == [5, 5, 8, 0, 0]
    assert every.tolist() == [4, 0, 8, 0, 0]
