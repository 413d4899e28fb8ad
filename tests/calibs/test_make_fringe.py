"""Fringe frames made of frames of the sky, against the pattern that they were drawn with."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from fixtures.quadrants import SIDE, camera, exposed, perfect_bias, ready, star_field
from skyloom.calibs.frame_stack import Combined
from skyloom.calibs.fringe import make_fringe
from skyloom.calibs.master import Master
from skyloom.calibs.sky_settings import FringeMasterSettings
from skyloom.calibs.smooth_pattern import smoothed
from skyloom.errors import BadFrameError
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.isr import FringeSettings, IsrSettings, correct_raw

SHAPE = 2 * SIDE, 2 * SIDE
AMPLITUDE = 0.05
SETTINGS = FringeMasterSettings(sky_bin=128, passes=2, fringes=FringeSettings(positions=700))
ISR = IsrSettings(fringes=SETTINGS.fringes)
BIAS = perfect_bias()
HOT = 100, 200


@pytest.fixture(scope="module")
def quadrants(tmp_path_factory: pytest.TempPathFactory) -> Camera:
    return camera(tmp_path_factory.mktemp("quadrants"))


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """The pattern over the sky: waves of 25 to 50 pixels, bent, with a mean of zero."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / SHAPE[0]
    pattern = AMPLITUDE * np.cos(2 * np.pi * (12 * x + 5 * y + 4 * (x - 0.3) ** 2 - 6 * x * y + 3 * y**2))
    return np.asarray(pattern - pattern.mean())


def light(truth: np.ndarray, number: int, *, strength: float = 1.0) -> tuple[np.ndarray, float]:
    """Electrons of a frame of stars, and the level of its sky."""
    rng = np.random.default_rng([5, number])
    level = rng.uniform(500, 1500)
    stars = star_field(rng, 150, sky=0.0, faintest=100.0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / SHAPE[0] - 0.5
    tilt = 1.0 + rng.uniform(-0.05, 0.05) * y + rng.uniform(-0.05, 0.05) * x
    return stars + level * tilt * (1.0 + strength * truth), level


def frame(the_camera: Camera, truth: np.ndarray, number: int, **how: float) -> RawExposure:
    return exposed(the_camera, light(truth, number, **how)[0], number)


@pytest.fixture(scope="module")
def frames(quadrants: Camera, truth: np.ndarray) -> list[RawExposure]:
    return [frame(quadrants, truth, number) for number in range(8)]


@pytest.fixture(scope="module")
def master(frames: list[RawExposure]) -> Master:
    hot = Table({"x0": [HOT[1]], "y0": [HOT[0]], "width": [1], "height": [1]})
    return make_fringe(ready(frames), bias=BIAS, defects=hot, settings=SETTINGS)


def test_the_pattern_is_the_true_one_over_the_sky(master: Master, truth: np.ndarray) -> None:
    pattern = master.image.image.array
    strength = np.sum(pattern * truth) / np.sum(truth**2)
    assert strength == pytest.approx(1.0, abs=0.01)
    assert abs(pattern.mean()) < 1e-4
    left = pattern - strength * truth
    # Eight frames of 1000 electrons, smoothed; the faint light of stars adds to it.
    noise = master.figures["relative_noise"]
    assert noise == pytest.approx(0.19 * 1 / np.sqrt(8 * 950), rel=0.1)
    assert 1.4826 * np.median(np.abs(left - np.median(left))) == pytest.approx(noise, rel=0.15)
    assert left.std() < AMPLITUDE / 20 * np.sqrt(2)
    assert master.figures["fringe_rms"] == pytest.approx(truth.std(), rel=0.02)
    assert master.figures["ratio_scatter"] < 0.02
    assert np.isfinite(pattern[HOT])
    assert master.frames == list(range(8))


@pytest.mark.parametrize("number", [20, 21])
def test_another_frame_loses_its_fringes(quadrants: Camera, truth: np.ndarray, master: Master, number: int) -> None:
    strength = 1.3
    bare = correct_raw(frame(quadrants, truth, number, strength=strength), bias=BIAS, settings=ISR)
    freed = correct_raw(
        frame(quadrants, truth, number, strength=strength), bias=BIAS, fringes=[master.image], settings=ISR
    )
    level = light(truth, number)[1]
    taken = bare.image.array - freed.image.array
    left = strength * level * truth - taken
    assert np.abs(np.sum(left * truth) / np.sum(truth**2)) < strength * level / 20
    # The rest is the noise of the master.
    noise = strength * level * master.figures["relative_noise"]
    assert left.var() - noise**2 < (strength * level * truth.std() / 20) ** 2
    (amplitude,) = freed.metadata["LSST ISR FRINGE AMPLITUDES"]
    assert amplitude == pytest.approx(strength * level, rel=0.03)


def test_frames_without_fringes_or_sky_are_left_out(
    quadrants: Camera, truth: np.ndarray, frames: list[RawExposure]
) -> None:
    plain = frame(quadrants, truth, 30, strength=0.2)
    dark = exposed(quadrants, np.full(SHAPE, 10.0), 31)
    found = make_fringe(ready([*frames[:4], plain, dark]), bias=BIAS, settings=SETTINGS)
    assert set(found.left_out) == {"sky_30.fits", "sky_31.fits"}
    assert "its fringes over its sky are 0." in found.left_out["sky_30.fits"]
    assert "50 are the least" in found.left_out["sky_31.fits"]
    assert found.frames == [0, 1, 2, 3]


def test_too_few_frames_are_refused(frames: list[RawExposure]) -> None:
    with pytest.raises(BadFrameError, match="2 usable fringe frames; 3 are the least"):
        make_fringe(ready(frames[:2]), bias=BIAS, settings=SETTINGS)


def test_frames_without_fringes_make_no_master(quadrants: Camera, truth: np.ndarray) -> None:
    plain = [frame(quadrants, truth, 40 + number, strength=0.0) for number in range(3)]
    with pytest.raises(BadFrameError, match="no fringes in common"):
        make_fringe(ready(plain), bias=BIAS, settings=SETTINGS)


def test_smoothing_keeps_waves_and_leaves_out_single_pixels() -> None:
    rng = np.random.default_rng(4)
    x = np.arange(300) * np.ones((300, 1))
    wave = np.cos(2 * np.pi * x / 40).astype(np.float32)
    noisy = (wave + rng.normal(0, 0.1, wave.shape)).astype(np.float32)
    noisy[50, 60], noisy[70:73, 80:83], noisy[200:230, 200:230] = 30.0, np.nan, np.nan
    variance = np.where(np.isfinite(noisy), np.float32(0.01), np.float32(np.inf))
    smooth = smoothed(Combined(image=noisy, variance=variance, clipped_fraction=0.0), 2.0)
    whole = np.isfinite(smooth.image)
    assert not whole[215, 215]
    assert whole[:190].all()
    error = (smooth.image - wave)[20:190, 20:280]
    assert error.std() == pytest.approx(0.019, rel=0.1)
    assert abs(error[30, 40]) < 0.1
    assert np.abs(error[50:54, 60:64]).max() < 0.25
    np.testing.assert_allclose(np.sqrt(np.median(smooth.variance)), error.std(), rtol=0.1)
    same = Combined(image=noisy, variance=variance, clipped_fraction=0.0)
    assert smoothed(same, 0.0) is same
