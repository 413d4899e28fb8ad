from __future__ import annotations

import numpy as np
import pytest

from skyloom.instruments import Camera
from skyloom.isr.transmission import (
    ConstantTransmission,
    RadialTransmission,
    RectangularTransmission,
    TransmissionCurve,
    combined_transmission,
)

WAVELENGTHS = np.array([4000.0, 4500.0, 6000.0, 7000.0])
WANTED = np.linspace(3900.0, 7100.0, 23)
X, Y = np.array([-30.0, 0.0, 12.5, 80.0]), np.array([5.0, 0.0, -40.0, 90.0])
RANDOM = np.random.default_rng(1)


def constant() -> TransmissionCurve:
    return ConstantTransmission(wavelengths=WAVELENGTHS, throughput=np.array([0.1, 0.8, 0.9, 0.0]))


def radial() -> TransmissionCurve:
    return RadialTransmission(
        wavelengths=WAVELENGTHS, radii=np.array([0.0, 20.0, 100.0]), throughput=RANDOM.uniform(0, 1, (3, 4))
    )


def rectangular() -> TransmissionCurve:
    return RectangularTransmission(
        wavelengths=WAVELENGTHS,
        x=np.array([-50.0, 0.0, 50.0]),
        y=np.array([-50.0, 50.0]),
        throughput=RANDOM.uniform(0, 1, (2, 3, 4)),
    )


def test_linear_between_wavelengths_and_nothing_beyond() -> None:
    wanted = [3999.0, 4000.0, 4250.0, 5625.0, 7000.0, 7001.0]
    np.testing.assert_allclose(constant().sample_at(0.0, 0.0, wanted), [0, 0.1, 0.45, 0.875, 0, 0])
    sensor = ConstantTransmission(wavelengths=WAVELENGTHS, throughput=np.full(4, 0.5), beyond=(0.2, 0.3))
    np.testing.assert_allclose(sensor.sample_at(1e6, 0.0, [3000.0, 5000.0, 9000.0]), [0.2, 0.5, 0.3])
    assert constant().sample_at(X, Y, WANTED).shape == (4, 23)


def test_radius() -> None:
    slope = np.array([0.9, 0.8, 0.7, 0.6])
    radii = np.array([0.0, 100.0])
    curve = RadialTransmission(wavelengths=WAVELENGTHS, radii=radii, throughput=np.stack([slope, 0.5 * slope]))
    np.testing.assert_allclose(curve.sample_at(30.0, -40.0, WAVELENGTHS), 0.75 * slope)
    np.testing.assert_allclose(curve.sample_at(0.0, 500.0, WAVELENGTHS), 0.5 * slope)  # the outermost radius


def test_grid_of_positions() -> None:
    x, y = np.array([0.0, 10.0, 40.0]), np.array([0.0, 20.0])

    def plane(x: np.ndarray, y: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
        return 0.1 + 0.01 * x + 0.002 * y + 1e-5 * wavelength

    nodes = plane(x[None, :, None], y[:, None, None], WAVELENGTHS)
    curve = RectangularTransmission(wavelengths=WAVELENGTHS, x=x, y=y, throughput=nodes)
    inside_x, inside_y = np.array([[0.0, 7.0], [33.0, 40.0]]), np.array([[20.0, 1.0], [12.0, 0.0]])
    inside = np.linspace(4000.0, 7000.0, 7)
    expected = plane(inside_x[..., None], inside_y[..., None], inside)
    np.testing.assert_allclose(curve.sample_at(inside_x, inside_y, inside), expected)
    np.testing.assert_allclose(curve.sample_at(-9.0, 99.0, inside), plane(np.array(0.0), np.array(20.0), inside))


def test_samples_of_a_product_are_products_of_samples() -> None:
    curves = [constant(), radial(), rectangular()]
    product = curves[0] * curves[1] * curves[2]
    expected = np.prod([curve.sample_at(X, Y, WANTED) for curve in curves], axis=0)
    np.testing.assert_allclose(product.sample_at(X, Y, WANTED), expected, rtol=1e-14)
    assert (expected > 0).sum() > 40


def test_identity() -> None:
    identity = TransmissionCurve.identity()
    np.testing.assert_array_equal(identity.sample_at(X, Y, WANTED), np.ones((4, 23)))
    curve = radial()
    for product in (identity * curve, curve * identity):
        np.testing.assert_array_equal(product.sample_at(X, Y, WANTED), curve.sample_at(X, Y, WANTED))


def test_a_system_in_the_pixels_of_a_detector(camera: Camera) -> None:
    to_focal_plane = camera.detector(0).to_focal_plane
    optics, sensor = radial(), rectangular()
    system = combined_transmission(to_focal_plane, atmosphere=constant(), optics=optics, sensor=sensor)
    pixel_x, pixel_y = np.array([0.0, 400.0]), np.array([30.0, 1000.0])
    place = to_focal_plane.apply_forward(x=pixel_x, y=pixel_y)
    expected = (
        constant().sample_at(0.0, 0.0, WANTED)
        * optics.sample_at(place.x, place.y, WANTED)
        * sensor.sample_at(pixel_x, pixel_y, WANTED)
    )
    np.testing.assert_allclose(system.sample_at(pixel_x, pixel_y, WANTED), expected, rtol=1e-14)
    assert not np.allclose(optics.sample_at(place.x, place.y, WANTED), optics.sample_at(pixel_x, pixel_y, WANTED))


def test_missing_pieces_let_everything_through(camera: Camera) -> None:
    to_focal_plane = camera.detector(0).to_focal_plane
    np.testing.assert_array_equal(combined_transmission(to_focal_plane).sample_at(X, Y, WANTED), 1.0)
    sensor = rectangular()
    only = combined_transmission(to_focal_plane, sensor=sensor)
    np.testing.assert_array_equal(only.sample_at(X, Y, WANTED), sensor.sample_at(X, Y, WANTED))


def test_grids_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"\(3,\).*\(4,\)"):
        ConstantTransmission(wavelengths=WAVELENGTHS, throughput=np.ones(3))
    with pytest.raises(ValueError, match="rise"):
        ConstantTransmission(wavelengths=WAVELENGTHS[::-1], throughput=np.ones(4))
    with pytest.raises(ValueError, match=r"\(4, 2\).*\(2, 4\)"):
        RadialTransmission(wavelengths=WAVELENGTHS, radii=np.array([0.0, 1.0]), throughput=np.ones((4, 2)))
