from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from skyloom.simulate import TrueProjection
from skyloom.simulate.camera import CORNER_RADIUS, PIXEL_SCALE, pixel_to_focal_plane


@pytest.mark.parametrize("detector", [0, 1, 2, 3])
def test_sky_and_pixels_are_inverse(detector: int) -> None:
    projection = TrueProjection(350.0, -40.0, 33.0, 1.5)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-50, 1074, (2, 200))
    back = projection.sky_to_pixel(detector, *projection.pixel_to_sky(detector, x, y))
    np.testing.assert_allclose(back, (x, y), atol=1e-8)


def test_north_is_up_and_east_is_left_without_rotation() -> None:
    projection = TrueProjection(10.0, 20.0)
    x, y = projection.sky_to_focal_plane(np.array([10.0, 10.01]), np.array([20.01, 20.0]))
    np.testing.assert_allclose(x, [0.0, -36.0 / PIXEL_SCALE * np.cos(np.radians(20.0))], atol=0.02)
    np.testing.assert_allclose(y, [36.0 / PIXEL_SCALE, 0.0], atol=0.02)


def test_rotation_is_the_position_angle_of_plus_y() -> None:
    ra, dec = TrueProjection(10.0, 20.0, 30.0).focal_plane_to_sky(np.array([0.0]), np.array([500.0]))
    centre = SkyCoord(10.0, 20.0, unit="deg")
    assert centre.position_angle(SkyCoord(ra, dec, unit="deg")).to_value(u.deg)[0] == pytest.approx(30.0, abs=0.01)


def test_distances_on_the_sky_follow_the_pixel_scale() -> None:
    ra, dec = TrueProjection(200.0, 60.0, 80.0).focal_plane_to_sky(np.array([0.0, 400.0]), np.array([0.0, 300.0]))
    sky = SkyCoord(ra, dec, unit="deg")
    assert sky[0].separation(sky[1]).arcsec == pytest.approx(500 * PIXEL_SCALE, rel=1e-6)


def test_distortion_at_the_corner() -> None:
    ideal, real = TrueProjection(10.0, 20.0), TrueProjection(10.0, 20.0, 0.0, 1.5)
    corner = np.full(1, CORNER_RADIUS / np.sqrt(2))
    moved = real.sky_to_focal_plane(*ideal.focal_plane_to_sky(corner, corner))
    assert np.hypot(*moved)[0] - CORNER_RADIUS == pytest.approx(1.5, abs=1e-6)


def test_mosaic_turns_the_upper_row() -> None:
    u, v = pixel_to_focal_plane(2, np.array([0.0, 1023.0]), np.array([0.0, 1023.0]))
    np.testing.assert_allclose(u, [-20.5, -1043.5])
    np.testing.assert_allclose(v, [1043.5, 20.5])
