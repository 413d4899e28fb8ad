from __future__ import annotations

import numpy as np
import pytest
from photutils.aperture import EllipticalAperture, aperture_photometry

from skyloom.kernels.apertures import aperture_sums, circle_pixel_overlap
from skyloom.kernels.ellipses import ellipse_pixel_overlap, elliptical_sums, mean_radius


def form(semi_major: float, semi_minor: float, angle: float) -> tuple[float, float, float]:
    """Coefficients of the border of an ellipse; the angle is from x towards y, radian."""
    cosine, sine = np.cos(angle), np.sin(angle)
    u, v = semi_major**-2, semi_minor**-2
    return u * cosine**2 + v * sine**2, (u - v) * sine * cosine, u * sine**2 + v * cosine**2


def moments_of(semi_major: float, semi_minor: float, angle: float) -> list[float]:
    a, b, c = form(semi_major, semi_minor, angle)
    determinant = a * c - b * b
    return [c / determinant, a / determinant, -b / determinant]


@pytest.mark.parametrize("axes", [(0.3, 0.2), (0.6, 0.4), (1.5, 0.7), (8.0, 3.0), (17.0, 16.0), (20.0, 0.4)])
@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2, 2.6])
def test_overlaps_add_up_to_the_ellipse(axes: tuple[float, float], angle: float) -> None:
    grid = np.arange(-22, 23)
    border = form(*axes, angle)
    for x, y in ((0.0, 0.0), (0.31, -0.47), (0.5, 0.5)):
        total = sum(ellipse_pixel_overlap(i - x, j - y, *border) for i in grid for j in grid)
        assert total == pytest.approx(np.pi * axes[0] * axes[1], rel=1e-11)


def test_a_round_ellipse_is_a_circle() -> None:
    for dx, dy, r in [(2.0, 1.0, 2.3), (0.2, 0.1, 0.45), (0.0, 3.0, 3.1), (-2.1, 0.7, 2.0), (9.2, 7.9, 12.0)]:
        assert ellipse_pixel_overlap(dx, dy, *form(r, r, 0.7)) == pytest.approx(
            circle_pixel_overlap(dx, dy, r), abs=1e-12
        )


def test_one_pixel_by_brute_force() -> None:
    fine = (np.arange(2000) + 0.5) / 2000 - 0.5
    for dx, dy, axes in [(2.0, 1.0, (3.0, 1.2)), (0.2, 0.1, (0.6, 0.3)), (-3.0, 3.0, (6.0, 1.0))]:
        a, b, c = form(*axes, 0.5)
        x, y = fine[None, :] + dx, fine[:, None] + dy
        inside = a * x**2 + 2 * b * x * y + c * y**2 < 1
        assert ellipse_pixel_overlap(dx, dy, a, b, c) == pytest.approx(inside.mean(), abs=1e-5)


def test_sums_agree_with_photutils_and_with_circles() -> None:
    rng = np.random.default_rng(2)
    image = rng.normal(3.0, 10.0, (70, 80))
    x, y = rng.uniform(20, 60, 20), rng.uniform(20, 50, 20)
    unusable = np.zeros(image.shape, bool)
    spread = np.full(image.shape, 4.0)
    axes = (9.0, 4.0, 0.6)
    radius = np.full(x.size, np.sqrt(axes[0] * axes[1]))
    flux, error, flag = elliptical_sums(image, spread, unusable, x, y, np.tile(moments_of(*axes), (20, 1)), radius)
    theirs = aperture_photometry(image, EllipticalAperture(np.column_stack([x, y]), 9.0, 4.0, theta=0.6))
    assert flux == pytest.approx(np.asarray(theirs["aperture_sum"]), rel=1e-9, abs=1e-7)
    assert error == pytest.approx(2 * np.sqrt(np.pi * 36.0), rel=0.05)
    assert not flag.any()
    circle, circle_error, _ = aperture_sums(image, spread, unusable, x, y, np.array([6.0]))
    flux, error, _ = elliptical_sums(image, spread, unusable, x, y, np.tile([2.0, 2.0, 0.0], (20, 1)), np.full(20, 6.0))
    assert flux == pytest.approx(circle[:, 0], rel=1e-10, abs=1e-9)
    assert error == pytest.approx(circle_error[:, 0], rel=1e-10)


def test_unusable_pixels_edges_and_no_ellipse_flag() -> None:
    image, unusable = np.ones((40, 40)), np.zeros((40, 40), bool)
    image[20, 25], unusable[20, 25] = np.nan, True
    x, y = np.array([20.0, 20.0, 2.0, 20.0]), np.array([20.0, 30.0, 20.0, 20.0])
    moments = np.array([moments_of(7.0, 2.0, 0.0)] * 3 + [[1.0, 1.0, 2.0]])
    flux, _, flag = elliptical_sums(image, image, unusable, x, y, moments, np.full(4, np.sqrt(14.0)))
    assert flag.tolist() == [True, False, True, True]
    assert flux[:2] == pytest.approx([14 * np.pi - 1, 14 * np.pi])
    assert np.isnan(flux[3])


def test_mean_radius_of_an_elliptical_gaussian() -> None:
    rows, columns = np.mgrid[:121, :121] - 60.0
    xx, yy, xy = moments_of(9.0, 5.0, 0.5)
    determinant = xx * yy - xy**2
    square = (yy * columns**2 - 2 * xy * columns * rows + xx * rows**2) / determinant
    star = np.exp(-0.5 * square)
    nothing = np.zeros(star.shape, bool)
    sigma = determinant**0.25
    found = mean_radius(star, nothing, 60.0, 60.0, xx, yy, xy, 6 * sigma)
    assert found == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=2e-4)  # less the pixel at r = 0
    assert np.isnan(mean_radius(-star, nothing, 60.0, 60.0, xx, yy, xy, 6 * sigma))
