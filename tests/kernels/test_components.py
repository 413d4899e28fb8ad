from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, label, maximum_filter

from skyloom.kernels.components import (
    component_spans,
    dilate_disk,
    or_spans,
    paint_spans,
    peak_prominences,
    span_maxima,
)

EIGHT = np.ones((3, 3), int)


@pytest.mark.parametrize("density", [0.02, 0.3, 0.41, 0.6])
def test_components_are_those_of_scipy(density: float) -> None:
    mask = np.random.default_rng(int(100 * density)).random((80, 120)) < density
    y, x0, x1, own, count = component_spans(mask)
    painted = np.full(mask.shape, -1, np.int32)
    paint_spans(painted, y, x0, x1, own)
    expected, expected_count = label(mask, EIGHT)
    assert count == expected_count
    assert np.array_equal(painted >= 0, mask)
    pairs = np.unique(np.column_stack([painted[mask], expected[mask]]), axis=0)
    assert len(pairs) == count  # one to one
    assert np.array_equal(np.unique(own, return_index=True)[1], np.sort(np.unique(own, return_index=True)[1]))


def test_shapes_that_join_late() -> None:
    mask = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 1]], bool)
    assert component_spans(mask)[4] == 3


def test_highest_value_and_area_of_each_component() -> None:
    value = np.array([[1.0, 3.0, 0.0, 2.0], [0.0, 0.0, 0.0, 5.0]])
    y, x0, x1, own, count = component_spans(value > 0)
    best, area = span_maxima(value, y, x0, x1, own, count)
    assert best.tolist() == [3.0, 5.0]
    assert area.tolist() == [2, 2]


def test_no_pixel_no_component() -> None:
    y, _, _, _, count = component_spans(np.zeros((4, 5), bool))
    assert count == 0
    assert y.size == 0


@pytest.mark.parametrize("radius", [0, 1, 3, 6])
def test_dilation_is_by_euclidean_distance_and_stays_inside(radius: int) -> None:
    mask = np.zeros((40, 50), bool)
    mask[0, 0] = mask[20, 25] = mask[39, 30:40] = mask[10:13, 48] = True
    assert np.array_equal(dilate_disk(mask, radius), distance_transform_edt(~mask) <= radius)


def flood(value: np.ndarray, threshold: float) -> tuple[np.ndarray, ...]:
    y, x = np.nonzero(value >= threshold)
    heights = value[y, x]
    order = np.argsort(-heights, kind="stable")
    return x, y, peak_prominences(heights, order, x, y, value.shape)


def test_peaks_are_the_local_maxima() -> None:
    value = np.random.default_rng(4).normal(size=(50, 60))
    x, y, prominence = flood(value, -10.0)
    found = np.zeros(value.shape, bool)
    found[y, x] = np.isfinite(prominence) | (prominence == np.inf)
    assert np.array_equal(found, value == maximum_filter(value, 3))
    assert (prominence == np.inf).sum() == 1


def test_prominence_is_the_height_above_the_pass() -> None:
    ridge = np.array([[0, 9, 4, 7, 2, 8, 3, 0, 5, 1.0]])
    x, _, prominence = flood(ridge, 0.5)
    heights = dict(zip(x.tolist(), prominence, strict=True))
    assert heights[1] == np.inf
    assert heights[3] == 7 - 4
    assert heights[5] == 8 - 2
    assert heights[8] == np.inf  # a component of its own


def test_a_plateau_has_one_peak() -> None:
    value = np.zeros((7, 9))
    value[2:5, 2:7] = 3.0
    value[3, 4] = 2.0
    _, _, prominence = flood(value, 1.0)
    assert (prominence > 0).sum() == 1


def test_bits_of_spans() -> None:
    bits = np.zeros((10, 12), np.int32)
    bits[2, 3], bits[2, 5], bits[7, 7] = 1, 2, 4
    start = np.array([0, 2, 3])
    y, x0, x1 = np.array([2, 3, 7]), np.array([1, 1, 5]), np.array([5, 9, 8])
    anywhere, area = or_spans(bits, start, y, x0, x1)
    assert anywhere.tolist() == [1, 4]
    assert area.tolist() == [12, 3]
