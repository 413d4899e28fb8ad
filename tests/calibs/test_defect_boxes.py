from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skyloom.calibs import boxes_from_map, map_from_boxes


def test_neighbouring_columns_share_a_box() -> None:
    defective = np.zeros((20, 30), bool)
    defective[3:8, 10:14] = defective[3:8, 20] = defective[19, 29] = True
    boxes = boxes_from_map(defective)
    assert [tuple(row) for row in boxes] == [(10, 3, 4, 5), (20, 3, 1, 5), (29, 19, 1, 1)]


@settings(deadline=None, max_examples=50)
@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_boxes_cover_the_map_once(defective: np.ndarray) -> None:
    boxes = boxes_from_map(defective)
    np.testing.assert_array_equal(map_from_boxes(boxes, defective.shape), defective)
    assert np.sum(boxes["width"] * boxes["height"]) == defective.sum()


def test_boxes_are_clipped() -> None:
    boxes = boxes_from_map(np.ones((4, 5), bool))
    boxes["x0"], boxes["y0"] = -2, 1
    expected = np.zeros((4, 5), bool)
    expected[1:, :3] = True
    np.testing.assert_array_equal(map_from_boxes(boxes, (4, 5)), expected)
