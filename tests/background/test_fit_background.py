from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
import sep
from lsst.images import Box
from lsst.images.fields import ChebyshevField, SplineField

from skyloom.background import BackgroundSettings, fit_background, subtract_background
from skyloom.errors import BadFrameError
from skyloom.images.exposure import Exposure
from skyloom.images.mask_planes import bitmask

SHAPE = (500, 640)
NOISE = 20.0


def sky(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 1000.0 + 0.2 * x - 0.1 * y


def frame(shape: tuple[int, int] = SHAPE, stars: int = 0, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = sky(shape) + rng.normal(0, NOISE, shape)
    y, x = np.mgrid[-15:16, -15:16]
    for _ in range(stars):
        cx, cy = rng.integers(16, shape[1] - 16), rng.integers(16, shape[0] - 16)
        flux = 3000.0 / rng.random()
        image[cy - 15 : cy + 16, cx - 15 : cx + 16] += flux * np.exp(-(x**2 + y**2) / 8) / (8 * np.pi)
    return image.astype(np.float32)


def no_mask(image: np.ndarray) -> np.ndarray:
    return np.zeros(image.shape, np.int32)


def test_gradient_is_recovered_up_to_the_edges() -> None:
    image = frame()
    background = fit_background(image, no_mask(image), settings=BackgroundSettings(bin_size=64))
    error = background.render() - sky()
    assert abs(error).max() < 0.002 * 1000
    assert error.std() < NOISE / 30  # 64 x 64 pixels a cell
    assert background.sky_level == pytest.approx(np.median(sky()), rel=0.001)
    assert background.sky_noise == pytest.approx(np.hypot(NOISE, 0.2 * 64 / np.sqrt(12)), rel=0.02)


def test_stars_lift_it_less_than_sep_and_hardly_at_all() -> None:
    image = frame(stars=150)
    ours = fit_background(image, no_mask(image), settings=BackgroundSettings(bin_size=64)).render() - sky()
    theirs = sep.Background(image, bw=64, bh=64).back() - sky()
    assert abs(ours.mean()) < 0.1 * NOISE
    assert ours.std() < 1.1 * theirs.std()
    assert np.abs(ours).max() < np.abs(theirs).max()


def test_masked_cells_are_filled_from_their_neighbours() -> None:
    image = frame()
    bits = no_mask(image)
    image[100:300, 200:400] = 30000
    bits[100:300, 200:400] = bitmask("SAT")
    image[0, :50] = np.nan
    background = fit_background(image, bits, settings=BackgroundSettings(bin_size=50))
    assert np.isnan(background.cell_level).sum() == 16
    assert abs(background.render() - sky()).max() < 0.15 * NOISE


def test_planes_that_are_not_ignored_count_as_sky() -> None:
    image = frame()
    bits = no_mask(image)
    bits[:] = bitmask("SUSPECT", "EDGE")
    assert np.isfinite(fit_background(image, bits).cell_level).all()


def test_median_filter_removes_a_cell_that_sticks_out_and_keeps_the_slope() -> None:
    image = frame()
    image[200:250, 300:350] += 300
    plain, filtered = (
        fit_background(image, no_mask(image), settings=BackgroundSettings(bin_size=50, median_size=size)).render()
        - sky()
        for size in (1, 3)
    )
    assert plain.max() > 250
    assert abs(filtered).max() < NOISE / 3


@pytest.mark.parametrize("shape", [(90, 110), (60, 900), (17, 13), (3, 3)])
def test_small_frames_get_a_plane(shape: tuple[int, int]) -> None:
    image = sky(shape).astype(np.float32)
    background = fit_background(image, no_mask(image))
    assert isinstance(background.field, ChebyshevField)
    assert background.render() == pytest.approx(sky(shape), rel=1e-5)


def test_field_is_in_the_coordinates_of_the_box_and_agrees_at_points() -> None:
    image = frame()
    box = Box.factory[1000:1500, -300:340]
    background = fit_background(image, no_mask(image), box=box, unit=u.electron)
    assert isinstance(background.field, SplineField)
    assert background.field.bounds.bbox == box
    assert background.field.unit == u.electron
    rendered = background.render()
    x, y = np.array([-300.0, 12.0, 339.0]), np.array([1000.0, 1200.0, 1499.0])
    at_points = background.field(x=x, y=y)
    assert at_points == pytest.approx(rendered[(y - 1000).astype(int), (x + 300).astype(int)], rel=1e-6)


@pytest.mark.parametrize("bin_size", [50, 64, 200])
def test_rendering_is_that_of_the_field(bin_size: int) -> None:
    image = frame(stars=30)
    image[:200] = 777.0  # level cells too, where slopes are undefined
    box = Box.factory[40:540, -30:610]
    background = fit_background(image, no_mask(image), settings=BackgroundSettings(bin_size=bin_size), box=box)
    assert background.render() == pytest.approx(background.field.render(dtype=np.float64).array, rel=1e-7)


def test_subtract_changes_the_image_alone() -> None:
    image = frame()
    exposure = Exposure.from_arrays(image.copy(), variance=np.full(SHAPE, NOISE**2), unit=u.electron, x0=7, y0=9)
    background = subtract_background(exposure)
    assert exposure.image.array == pytest.approx(image - background.render(), abs=1e-3)
    assert abs(np.median(exposure.image.array)) < 0.5
    assert (exposure.variance.array == np.float32(NOISE**2)).all()


def test_nothing_usable_is_an_error_with_the_figure() -> None:
    image = frame()
    bits = no_mask(image)
    bits[10:] = bitmask("BAD")
    with pytest.raises(BadFrameError, match=r"usable") as caught:
        fit_background(image, bits)
    assert caught.value.metadata["usable_fraction"] == pytest.approx(0.02)
