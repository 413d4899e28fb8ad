from __future__ import annotations

import numpy as np
import pytest

from skyloom.images.mask_planes import bitmask
from skyloom.isr.saturation_trails import widen_trails

SAT, BAD = bitmask("SAT"), bitmask("BAD")


def row_with(*runs: tuple[int, int], width: int = 40) -> np.ndarray:
    """Mask bits of one row with SAT from the first to before the second number of each run."""
    bits = np.zeros((1, width), np.int32)
    for start, stop in runs:
        bits[0, start:stop] = SAT
    return bits


@pytest.mark.parametrize(
    ("length", "growth"), [(1, 0), (5, 0), (6, 1), (7, 1), (8, 3), (9, 3), (10, 4), (11, 4), (20, 4)]
)
def test_wide_runs_grow(length: int, growth: int) -> None:
    bits = row_with((10, 10 + length))
    assert widen_trails(bits, SAT) == 2 * growth
    np.testing.assert_array_equal(bits, row_with((10 - growth, 10 + length + growth)))


def test_growth_ends_at_the_image() -> None:
    bits = row_with((1, 11), (31, 40))
    assert widen_trails(bits, SAT) == 1 + 4 + 3
    np.testing.assert_array_equal(bits, row_with((0, 15), (28, 40)))


def test_the_runs_of_a_row_are_apart() -> None:
    bits = row_with((2, 5), (6, 9), (10, 16), (20, 28))
    # The third run grows by one to either side, and to the fourth, which grows by three, remains no gap.
    assert widen_trails(bits, SAT) == 1 + 4 + 3
    np.testing.assert_array_equal(bits, row_with((2, 5), (6, 9), (9, 31)))


def test_each_row_for_itself() -> None:
    bits = np.zeros((4, 40), np.int32)
    bits[1, 10:20] = SAT
    bits[2, 10:14] = SAT
    bits[3, 30:40] = SAT
    widen_trails(bits, SAT)
    assert [np.flatnonzero(row).tolist() for row in bits] == [
        [],
        list(range(6, 24)),
        list(range(10, 14)),
        list(range(26, 40)),
    ]


def test_other_planes_stay() -> None:
    bits = row_with((10, 20))
    bits |= BAD
    bits[0, 11] |= bitmask("CR")
    before = bits.copy()
    assert widen_trails(bits, SAT) == 8
    np.testing.assert_array_equal(bits & ~SAT, before & ~SAT)


def test_nothing_to_widen() -> None:
    bits = np.zeros((5, 5), np.int32)
    assert widen_trails(bits, SAT) == 0
    assert not bits.any()
