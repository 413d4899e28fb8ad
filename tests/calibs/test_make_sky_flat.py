"""Flats made of frames of the sky, against the response that they were drawn with."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest

from fixtures.quadrants import SIDE, camera, exposed, perfect_bias, ready, star_field
from skyloom.calibs import master_image
from skyloom.calibs.master import Master
from skyloom.calibs.sky_flat import make_sky_flat
from skyloom.calibs.sky_settings import SkyFlatSettings
from skyloom.calibs.sky_tilts import SkyTilts, block_medians
from skyloom.errors import BadFrameError
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.isr import correct_raw

SHAPE = 2 * SIDE, 2 * SIDE
SETTINGS = SkyFlatSettings(sky_bin=128)
BIAS = perfect_bias()
FRAMES = 8


@pytest.fixture(scope="module")
def quadrants(tmp_path_factory: pytest.TempPathFactory) -> Camera:
    return camera(tmp_path_factory.mktemp("quadrants"))


def large_scale() -> np.ndarray:
    """Vignetting."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / SHAPE[0] - 0.5
    return np.asarray(1.0 - 0.2 * ((x - 0.2) ** 2 + y**2))


def response() -> np.ndarray:
    """Vignetting, an amplifier whose gain is not what it is said to be, and pixels; with a median of one."""
    pixels = large_scale() * (1.0 + 0.02 * np.random.default_rng(6).standard_normal(SHAPE))
    pixels[:SIDE, :SIDE] *= 1.04
    return np.asarray(pixels / np.median(pixels))


def frame(the_camera: Camera, number: int, *, tilt: float = 0.03, level: float = 1000.0) -> RawExposure:
    rng = np.random.default_rng([7, number])
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / SHAPE[0] - 0.5
    # In pairs, so that all frames together have no tilt.
    angle, sign = np.random.default_rng(number // 2).uniform(0, 2 * np.pi), 1 - 2 * (number % 2)
    sky = level * rng.uniform(0.6, 1.4) * (1.0 + sign * tilt * (np.cos(angle) * x + np.sin(angle) * y))
    stars = star_field(rng, 100, sky=0.0, faintest=100.0)
    return exposed(the_camera, (sky + stars) * response(), number)


@pytest.fixture(scope="module")
def frames(quadrants: Camera) -> list[RawExposure]:
    return [frame(quadrants, number) for number in range(FRAMES)]


@pytest.fixture(scope="module")
def master(frames: list[RawExposure]) -> Master:
    return make_sky_flat(ready(frames), bias=BIAS, settings=SETTINGS)


def blocks(image: np.ndarray) -> np.ndarray:
    return np.asarray(image.reshape(SHAPE[0] // 32, 32, SHAPE[1] // 32, 32).mean(axis=(1, 3)))


def test_the_response_is_the_true_one_to_the_noise(master: Master) -> None:
    pixels, noise = master.image.image.array, np.sqrt(master.image.variance.array)
    pull = (pixels - response()) / noise
    assert np.median(pixels) == pytest.approx(1.0, abs=1e-6)
    assert 1.4826 * np.median(np.abs(pull - np.median(pull))) == pytest.approx(1.0, abs=0.04)
    assert abs(np.median(pull)) < 0.05
    assert pull.std() < 1.1  # the faint light of stars
    # Photon noise of the skies, and of the read-out.
    level = master.figures["level_electrons"]
    assert master.figures["relative_noise"] == pytest.approx(np.sqrt((level + 25) / FRAMES) / level, rel=0.05)
    smooth = blocks(pixels / response())
    assert smooth.std() < 1.5 * np.median(noise) / 32 + 3e-4
    assert master.image.image.unit is not None
    assert master.image.image.unit.is_equivalent(1)
    assert master.frames == list(range(FRAMES))


def test_frames_are_flat_with_it(quadrants: Camera, master: Master) -> None:
    seen = correct_raw(exposed(quadrants, 900.0 * response(), 99), bias=BIAS, flat=master.image)
    pull = (seen.image.array - 900.0) / np.sqrt(seen.variance.array)
    assert np.median(pull) == pytest.approx(0.0, abs=0.03)
    assert 1.4826 * np.median(np.abs(pull)) == pytest.approx(1.0, abs=0.03)


def test_an_illumination_frame_is_what_the_flat_lacks(frames: list[RawExposure]) -> None:
    lamp = (response() / large_scale()).astype(np.float32)
    flat = master_image(lamp, np.zeros(SHAPE, np.float32), u.dimensionless_unscaled)
    found = make_sky_flat(ready(frames), bias=BIAS, flat=flat, settings=SETTINGS)
    ratio = found.image.image.array / (large_scale() / np.median(large_scale()))
    assert ratio.std() < 1e-3
    assert np.median(found.image.image.array) == pytest.approx(1.0, abs=1e-4)
    assert found.image.metadata["LSST CALIB KIND"] == "illumination"


def test_odd_and_dark_skies_are_left_out(quadrants: Camera, frames: list[RawExposure]) -> None:
    y = np.linspace(-1, 1, SHAPE[0])[:, None]
    odd = exposed(quadrants, 1000.0 * (1.0 + 0.8 * y**2) * response(), 30)
    dark = frame(quadrants, 31, level=20.0)
    found = make_sky_flat(ready([*frames[:4], odd, dark]), bias=BIAS, settings=SETTINGS)
    assert set(found.left_out) == {"sky_30.fits", "sky_31.fits"}
    assert "its shape differs" in found.left_out["sky_30.fits"]
    assert "50 are the least" in found.left_out["sky_31.fits"]
    with pytest.raises(BadFrameError, match="2 usable sky flat frames; 3 are the least"):
        make_sky_flat(ready(frames[:2]), bias=BIAS, settings=SETTINGS)


def test_what_does_not_move_is_response(quadrants: Camera) -> None:
    """Pixels that stand out in every frame are no sources: they would be holes."""
    shape = np.ones(SHAPE)
    shape[40:43, 50:53] = 1.6
    rng = np.random.default_rng(1)
    lit = [exposed(quadrants, star_field(rng, 50, sky=1000.0) * shape, 40 + n) for n in range(5)]
    found = make_sky_flat(ready(lit), bias=BIAS, settings=SETTINGS).image.image.array
    assert np.isfinite(found[40:43, 50:53]).all()
    np.testing.assert_allclose(found[40:43, 50:53] / np.median(found), 1.6, rtol=0.1)


def test_tilts_of_planes() -> None:
    y, x = np.meshgrid(np.linspace(-1, 1, 320), np.linspace(-1, 1, 192), indexing="ij")
    images = [100.0 * (1 + 0.05 * y), 300.0 * (1 - 0.01 * y + 0.02 * x)]
    images[0][:70, :70] = np.nan
    skies = SkyTilts.of(np.stack([block_medians(image) for image in images]))
    np.testing.assert_allclose(skies.levels, [100.0, 300.0], rtol=1e-3)
    np.testing.assert_allclose(skies.slopes, [[0.03, -0.01], [-0.03, 0.01]], atol=3e-4)
    np.testing.assert_allclose(skies.plane(0, (320, 192)), 100.0 * (1 + 0.03 * y - 0.01 * x), rtol=1e-3)
