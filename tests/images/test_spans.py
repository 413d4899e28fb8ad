"""Span sets against masks drawn by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.images import Box

from skyloom.images import SpanSet


def blob(seed: int, shape: tuple[int, int] = (23, 31)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < 0.4


@pytest.mark.parametrize(("x0", "y0"), [(0, 0), (-17, -5), (100, 2000)])
def test_mask_there_and_back(x0, y0):
    mask = blob(1)
    spans = SpanSet.from_mask(mask, x0, y0)
    box = Box.from_shape(mask.shape, start=(y0, x0))
    assert np.array_equal(spans.to_mask(box), mask)
    assert spans.area == mask.sum()
    assert spans.bbox == box
    order = np.lexsort((spans.x0, spans.y))
    assert np.array_equal(order, np.arange(len(spans)))


def test_mask_of_another_box_is_cut():
    mask = blob(2)
    spans = SpanSet.from_mask(mask)
    assert np.array_equal(spans.to_mask(Box.factory[3:9, 4:20]), mask[3:9, 4:20])
    assert not spans.to_mask(Box.factory[100:104, 0:3]).any()


def test_contains_rounds_half_up():
    spans = SpanSet([2], [5], [7])
    assert list(spans.contains([4.49, 4.5, 6.49, 6.5], 2.0)) == [False, True, True, False]
    assert list(spans.contains(5.0, [1.49, 1.5, 2.49, 2.5])) == [False, True, True, False]
    assert not SpanSet.empty().contains([1.0, 2.0], [1.0, 2.0]).any()


@pytest.mark.parametrize("origin", [0, -40])
def test_contains_agrees_with_mask(origin):
    mask = blob(3)
    spans = SpanSet.from_mask(mask, origin, origin)
    y, x = np.mgrid[-2:25, -2:33]
    inside = np.zeros(x.shape, bool)
    inside[2 : 2 + mask.shape[0], 2 : 2 + mask.shape[1]] = mask
    assert np.array_equal(spans.contains(x + origin, y + origin), inside)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-9, 9), st.integers(-9, 9)), max_size=12))
def test_runs_are_merged(runs):
    box = Box.factory[-5:6, -10:11]
    mask = np.zeros(box.shape, bool)
    for y, x0, x1 in runs:
        mask[y + 5, x0 + 10 : max(x1, x0) + 10] = True
    spans = SpanSet.from_runs(*(np.array([run[i] for run in runs], int) for i in range(3)))
    assert spans == SpanSet.from_mask(mask, -10, -5)


@pytest.mark.parametrize("radius", [0.0, 1.0, 2.5])
def test_dilation_is_a_disc_about_each_pixel(radius):
    mask = np.zeros((21, 25), bool)
    mask[8:10, 6:12] = mask[11, 15] = True
    y, x = np.nonzero(mask)
    gy, gx = np.mgrid[0:21, 0:25]
    distance2 = ((gy[..., None] - y) ** 2 + (gx[..., None] - x) ** 2).min(axis=-1)
    assert np.array_equal(
        SpanSet.from_mask(mask).dilated(radius).to_mask(Box.factory[0:21, 0:25]), distance2 <= radius**2
    )


def test_box_union_and_shift():
    box = Box.factory[2:5, 3:9]
    spans = SpanSet.from_box(box)
    assert spans.bbox == box
    assert spans.area == 18
    assert spans.union(spans.shifted(6, 0)) == SpanSet.from_box(Box.factory[2:5, 3:15])


def test_arrays_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="one length"):
        SpanSet([1, 2], [1], [2])
