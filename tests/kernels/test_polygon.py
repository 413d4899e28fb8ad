from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Polygon

from skyloom.kernels.polygon import inside_polygon

SHAPE = (40, 50)


def inside(polygon: Polygon, x0: int = 0, y0: int = 0) -> np.ndarray:
    return inside_polygon(polygon.x_vertices, polygon.y_vertices, SHAPE, x0, y0)


@pytest.mark.parametrize("seed", range(8))
def test_any_polygon_matches_a_test_of_every_pixel(seed: int) -> None:
    random = np.random.default_rng(seed)
    angle = np.sort(random.uniform(0, 2 * np.pi, 12))
    radius = random.uniform(3, 35, 12)  # a star with bays, partly outside the array
    polygon = Polygon(x_vertices=125 + radius * np.cos(angle), y_vertices=-30 + radius * np.sin(angle))
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    expected = polygon.contains(x=x + 100, y=y - 50)
    np.testing.assert_array_equal(inside(polygon, 100, -50), expected)
    assert 0 < expected.sum() < expected.size


@pytest.mark.parametrize("closed", [False, True])
def test_edges_between_pixels(closed: bool) -> None:
    x, y = [2.5, 7.5, 7.5, 2.5], [10.5, 10.5, 12.5, 12.5]
    polygon = inside_polygon(np.array(x + x[:1] * closed), np.array(y + y[:1] * closed), SHAPE, 0, 0)
    expected = np.zeros(SHAPE, bool)
    expected[11:13, 3:8] = True
    np.testing.assert_array_equal(polygon, expected)


def test_outside_the_array() -> None:
    square = Polygon(x_vertices=[60.0, 70.0, 70.0, 60.0], y_vertices=[0.0, 0.0, 30.0, 30.0])
    assert not inside(square).any()
    assert not inside(square, 200, 0).any()
    assert not inside(square, 0, 100).any()
