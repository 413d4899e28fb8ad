from __future__ import annotations

import numpy as np
import pytest

from skyloom.images.mask_planes import bitmask
from skyloom.isr.edges import mark_edges

SUSPECT = bitmask("SUSPECT")
AMPLIFIERS = [
    (slice(51 * row, 51 * (row + 1)), slice(100 * column, 100 * (column + 1)))
    for row in range(4)
    for column in range(2)
]


def test_detector() -> None:
    bits = np.full((204, 200), 1, np.int32)
    mark_edges(bits, SUSPECT, 5)
    assert np.count_nonzero(bits & SUSPECT) == 3940
    assert (bits[5:-5, 5:-5] == 1).all()
    assert (bits[:5] == 1 + SUSPECT).all()


def test_amplifiers() -> None:
    bits = np.zeros((204, 200), np.int32)
    mark_edges(bits, SUSPECT, 5, AMPLIFIERS)
    assert np.count_nonzero(bits) == 11280
    assert bits[50, 50] == SUSPECT
    assert bits[25, 50] == 0


@pytest.mark.parametrize(("width", "count"), [(0, 0), (-1, 0), (3, 42), (4, 42), (99, 42)])
def test_any_width(width: int, count: int) -> None:
    bits = np.zeros((6, 7), np.int32)
    mark_edges(bits, SUSPECT, width)
    assert np.count_nonzero(bits) == count
