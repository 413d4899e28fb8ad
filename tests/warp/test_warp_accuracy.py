"""Places, fluxes and noise of warped frames, over grids of all kinds and all over the sky."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box

from skyloom.errors import NoOverlapError
from skyloom.images import bitmask
from skyloom.warp import VisitWarp, WarpSettings, map_positions, warp_exposure
from warp.sky import box, centroid, frame, gaussian, tan

SHAPE = (200, 220)
HERE = (150.0, 30.0)
STARS_X = np.array([45.3, 110.25, 170.71, 60.5, 140.05, 100.6])
STARS_Y = np.array([50.1, 45.5, 60.33, 140.75, 150.9, 95.2])


def errors_of(
    source: object, tract: object, sigma: float, kernel: str, radius: int = 14
) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors of the fluxes of stars, and of their positions in pixels of the tract (x and y).

    The stars lie on the tract at fixed places.
    """
    x, y = map_positions(source, tract, STARS_X, STARS_Y)
    image = 1e5 * gaussian((420, 440), x, y, sigma)
    warped = warp_exposure(frame(image, source), box(SHAPE), tract, WarpSettings(kernel=kernel))
    pixels = warped.image.array.astype(float)
    flux, place = [], []
    for a, b in zip(STARS_X, STARS_Y, strict=True):
        i, j = round(a), round(b)
        stamp = pixels[j - radius : j + radius + 1, i - radius : i + radius + 1]
        flux.append(stamp.sum() / 1e5 - 1.0)
        dx, dy = centroid(stamp, sigma)
        place += [dx + i - a, dy + j - b]
    return np.array(flux), np.array(place)


TRACT = tan(HERE, (110.0, 100.0))


@pytest.mark.parametrize(
    ("source", "sigma", "place_error"),
    [
        (tan(HERE, (210.5, 200.25)), 1.7, 1e-3),  # half a pixel and a quarter
        (tan(HERE, (210.3, 200.7), angle=37.0), 1.7, 1e-3),
        (tan(HERE, (210.0, 200.0), angle=90.0), 1.7, 1e-3),
        # The tract is twice as coarse: all its pixels fall on one fraction of the frame's, where the kernel moves a
        # wide star most.
        (tan(HERE, (215.2, 205.6), scale=0.125), 3.4, 5e-3),
        (tan(HERE, (215.2, 205.6), scale=0.5), 1.6, 1e-3),  # the tract is twice as fine
    ],
)
def test_fluxes_and_places_over_shifts_turns_and_scales(source: object, sigma: float, place_error: float) -> None:
    flux, place = errors_of(source, TRACT, sigma, "lanczos5", radius=24)
    assert np.abs(flux).max() < 1e-4
    assert np.abs(place).max() < place_error


def test_order_three_moves_stars_by_a_hundredth_of_a_pixel_at_most() -> None:
    shifted = tan(HERE, (210.3, 200.7))
    _, five = errors_of(shifted, TRACT, 1.7, "lanczos5")
    flux, three = errors_of(shifted, TRACT, 1.7, "lanczos3")
    assert np.abs(flux).max() < 1e-4
    assert 2e-3 < np.abs(three).max() < 0.011
    assert np.abs(five).max() < 0.2 * np.abs(three).max()


@pytest.mark.parametrize("centre", [(0.0, 0.0), (359.999, -20.0), (12.0, 89.995), (200.0, -89.99), (0.001, 89.9)])
def test_places_across_the_meridian_and_near_the_poles(centre: tuple[float, float]) -> None:
    tract = tan(centre, (110.0, 100.0))
    source = tan((centre[0] + 0.002, centre[1] - 0.001), (210.3, 200.7), angle=-25.0)
    flux, place = errors_of(source, tract, 1.7, "lanczos5")
    assert np.abs(flux).max() < 1e-4
    assert np.abs(place).max() < 1e-3


@pytest.mark.parametrize("kernel", ["bilinear", "lanczos3", "lanczos5"])
def test_constants_shifts_by_whole_pixels_and_quarter_turns_are_exact(kernel: str) -> None:
    rng = np.random.default_rng(1)
    settings = WarpSettings(kernel=kernel)
    flat = warp_exposure(frame(np.full((420, 440), 700.0), tan(HERE, (215.2, 205.6), angle=12.0)), box(SHAPE), TRACT)
    np.testing.assert_allclose(flat.image.array, 700.0, rtol=3e-7)
    image = rng.normal(size=SHAPE).astype(np.float32)
    moved = warp_exposure(frame(image, tan(HERE, (103.0, 107.0))), box(SHAPE), TRACT, settings)
    np.testing.assert_array_equal(moved.image.array[:190, 10:], image[7:197, 3:213])
    turned = warp_exposure(frame(image, tan(HERE, (110.0, 100.0), angle=90.0)), box(SHAPE), TRACT, settings)
    inner = turned.image.array[12:188, 12:200]
    assert np.isfinite(inner).all()
    # About (109, 99), x runs along -y or +y: one of the two quarter turns.
    j, i = np.mgrid[12:188, 12:200]
    quarters = [image[99 + (i - 109), 109 - (j - 99)], image[99 - (i - 109), 109 + (j - 99)]]
    assert min(np.abs(inner - quarter).max() for quarter in quarters) < 2e-6


@pytest.mark.parametrize("kernel", ["bilinear", "lanczos3", "lanczos5"])
def test_variance_of_white_noise(kernel: str) -> None:
    rng = np.random.default_rng(2)
    source = tan(HERE, (210.3, 200.7), angle=10.0, scale=0.22)
    squares = []
    for _ in range(8):
        noise = frame(rng.normal(0.0, 3.0, (420, 440)), source, variance=9.0)
        warped = warp_exposure(noise, box(SHAPE), TRACT, WarpSettings(kernel=kernel))
        squares.append(np.mean(warped.image.array.astype(float) ** 2 / warped.variance.array))
    assert np.mean(squares) == pytest.approx(1.0, abs=0.01)


def test_frame_smaller_than_the_kernel_is_lost() -> None:
    small = frame(np.ones((4, 5)), tan(HERE, (2.3, 2.3)))
    warped = warp_exposure(small, box(SHAPE), TRACT)
    assert np.isnan(warped.image.array).all()
    assert (warped.bits & bitmask("NO_DATA")).all()
    visit = VisitWarp(1, box(SHAPE), TRACT)
    assert visit.add(0, small) == 0
    with pytest.raises(NoOverlapError):
        visit.finish()


def test_frame_without_any_value_makes_no_warp() -> None:
    empty = frame(np.full((420, 440), np.nan), tan(HERE, (210.3, 200.7)))
    empty.bits[...] = bitmask("NO_DATA")
    visit = VisitWarp(1, box(SHAPE), TRACT)
    assert visit.add(0, empty) == 0
    with pytest.raises(NoOverlapError, match="No detector of visit 1"):
        visit.finish()


def test_neighbouring_patches_share_the_pixels_of_their_overlap() -> None:
    rng = np.random.default_rng(3)
    source = frame(rng.normal(size=(420, 440)), tan(HERE, (210.3, 200.7), angle=10.0))
    left = warp_exposure(source, Box.factory[0:150, 0:120], TRACT)
    right = warp_exposure(source, Box.factory[70:200, 90:220], TRACT)
    both = Box.factory[70:150, 90:120]
    np.testing.assert_array_equal(left[both].image.array, right[both].image.array)
    np.testing.assert_array_equal(left[both].variance.array, right[both].variance.array)


@pytest.mark.parametrize("step", [2, 10, 50])
def test_grid_of_the_mapping_does_not_show(step: int) -> None:
    source = frame(gaussian((420, 440), STARS_X + 120.0, STARS_Y + 120.0, 1.8), tan((150.01, 88.0), (210.3, 200.7)))
    tract = tan((150.0, 88.0), (110.0, 100.0))
    exact = warp_exposure(source, box(SHAPE), tract, WarpSettings(grid_step=1, tolerance=1e-6))
    coarse = warp_exposure(source, box(SHAPE), tract, WarpSettings(grid_step=step))
    np.testing.assert_allclose(coarse.image.array, exact.image.array, atol=1e-5 * np.nanmax(exact.image.array))


def test_tract_beyond_the_horizon_of_the_frame() -> None:
    """Pixels of an all-sky grid lie where the frame's tangent plane does not reach."""
    tract = tan(HERE, (110.0, 100.0), scale=3600.0)
    source = tan(HERE, (110.0, 100.0), scale=3600.0)
    warped = warp_exposure(frame(np.ones((20, 20)), source), box(SHAPE), tract)
    held = np.isfinite(warped.image.array)
    assert held.sum() == 400
    np.testing.assert_allclose(warped.image.array[held], 1.0, rtol=1e-6)
    far = tan((330.0, -30.0), (110.0, 100.0))
    with pytest.raises(NoOverlapError):
        warp_exposure(frame(np.ones((20, 20)), far), box(SHAPE), TRACT)
