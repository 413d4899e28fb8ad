from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box, Polygon, Region
from lsst.images.cameras import Detector
from shapely import MultiPolygon, box

from skyloom.images.mask_planes import bitmask
from skyloom.instruments import Camera
from skyloom.isr.vignette import VignetteSettings, mark_outside, unvignetted_field, valid_polygon

BIT = bitmask("VIGNETTED")
POINTS = 64
POLYGON_OF_CIRCLE = POINTS / 2 * np.sin(2 * np.pi / POINTS)  # area of the polygon over the radius squared


@pytest.fixture(scope="module")
def detector(camera: Camera) -> Detector:
    return camera.detector(0)


def circle(detector: Detector, x: float, y: float, radius: float) -> Polygon:
    """The field whose circle is at pixel (x, y) of a detector, radius in pixels."""
    centre = detector.to_focal_plane.apply_forward(x=x, y=y)
    settings = VignetteSettings(
        x_centre_mm=centre.x, y_centre_mm=centre.y, radius_mm=radius * detector.pixel_size, polygon_points=POINTS
    )
    return unvignetted_field(settings)


def middle(detector: Detector) -> tuple[float, float]:
    return (detector.bbox.x.size - 1) / 2, (detector.bbox.y.size - 1) / 2


def test_field() -> None:
    field = unvignetted_field(VignetteSettings(x_centre_mm=3.0, y_centre_mm=-4.0, radius_mm=50.0))
    assert field.n_vertices == 100
    np.testing.assert_allclose(np.hypot(field.x_vertices - 3, field.y_vertices + 4), 50.0)
    x, y = field.x_vertices, field.y_vertices
    assert np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) < 0  # clockwise


def test_circle_inside_the_detector(detector: Detector) -> None:
    polygon = valid_polygon(detector, circle(detector, *middle(detector), 300.0))
    assert polygon is not None
    assert polygon.area == pytest.approx(POLYGON_OF_CIRCLE * 300.0**2, rel=1e-9)
    assert (polygon.centroid.x, polygon.centroid.y) == pytest.approx(middle(detector))


def test_circle_about_a_corner(detector: Detector) -> None:
    polygon = valid_polygon(detector, circle(detector, -0.5, -0.5, 300.0))
    assert polygon is not None
    assert polygon.area == pytest.approx(POLYGON_OF_CIRCLE * 300.0**2 / 4, rel=1e-9)
    assert polygon.x_vertices.min() == pytest.approx(-0.5)
    assert polygon.y_vertices.min() == pytest.approx(-0.5)


def test_circle_about_the_whole_detector(detector: Detector) -> None:
    polygon = valid_polygon(detector, circle(detector, *middle(detector), 3000.0))
    assert polygon is not None
    assert polygon.area == pytest.approx(detector.bbox.x.size * detector.bbox.y.size, rel=1e-9)
    image, bits = np.ones(detector.bbox.shape, np.float32), np.zeros(detector.bbox.shape, np.int32)
    assert mark_outside(image, bits, polygon, BIT, box=detector.bbox, value=0.0) == 0
    assert not bits.any()
    assert image.all()


def test_circle_outside_the_detector(detector: Detector) -> None:
    assert valid_polygon(detector, circle(detector, -5000.0, 0.0, 300.0)) is None
    image, bits = np.ones((4, 5), np.float32), np.full((4, 5), 1, np.int32)
    assert mark_outside(image, bits, None, BIT, box=Box.from_shape((4, 5)), value=-1.0) == 20
    assert (bits == BIT + 1).all()
    assert (image == -1).all()


def test_an_overlap_in_parts_is_refused(detector: Detector) -> None:
    corners = detector.to_focal_plane.apply_forward(x=[10.0, 100.0, 10.0, 100.0], y=[10.0, 100.0, 200.0, 300.0])
    first, second = ([*np.array(corners).T[pair].ravel()] for pair in (slice(0, 2), slice(2, 4)))
    squares = [box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)) for x0, y0, x1, y1 in (first, second)]
    with pytest.raises(ValueError, match="not one polygon"):
        valid_polygon(detector, Region(MultiPolygon(squares)))


@pytest.mark.parametrize("corner", [(-0.5, -0.5), (1000.2, 400.1), (500.3, 900.7)])
def test_pixels_agree_with_the_polygon(detector: Detector, corner: tuple[float, float]) -> None:
    polygon = valid_polygon(detector, circle(detector, *corner, 150.0))
    assert polygon is not None
    shape = detector.bbox.shape
    image, bits = np.ones(shape, np.float32), np.full(shape, 2, np.int32)
    marked = mark_outside(image, bits, polygon, BIT, box=detector.bbox)
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = polygon.contains(x=x, y=y)
    np.testing.assert_array_equal(bits, np.where(inside, 2, 2 + BIT))
    assert marked == np.count_nonzero(~inside)
    assert inside.sum() == pytest.approx(polygon.area, rel=0.01)
    assert image.all()


def test_a_cut_out_knows_where_it_lies(detector: Detector) -> None:
    polygon = valid_polygon(detector, circle(detector, 120.0, 80.0, 20.0))
    whole, part = np.zeros(detector.bbox.shape, np.int32), np.zeros((50, 60), np.int32)
    image = np.ones(whole.shape, np.float32)
    mark_outside(image, whole, polygon, BIT, box=detector.bbox)
    mark_outside(image[:50, :60], part, polygon, BIT, box=Box.from_shape((50, 60), start=(70, 100)), value=np.nan)
    np.testing.assert_array_equal(part, whole[70:120, 100:160])
    np.testing.assert_array_equal(np.isnan(image[:50, :60]), part != 0)


@pytest.mark.parametrize("wrong", [{"radius_mm": 0.0}, {"radius_mm": np.nan}, {"polygon_points": 2}])
def test_no_circle(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"positive|vertices"):
        VignetteSettings(**wrong)  # type: ignore[arg-type]
