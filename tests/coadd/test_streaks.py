"""Trails found on difference images: how well they are covered, how faint they may be, what is none."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box

from skyloom.coadd.streaks import Streak, StreakSettings, find_streaks

SIZE = 600
BOX = Box.factory[100 : 100 + SIZE, -300 : SIZE - 300]
Y, X = np.mgrid[BOX.y.start : BOX.y.stop, BOX.x.start : BOX.x.stop].astype(float)
ONE = np.ones(BOX.shape, np.float32)
NONE = np.zeros(BOX.shape, bool)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 1.0, BOX.shape).astype(np.float32)


def across(angle: float, x: float = 10.0, y: float = 390.0) -> np.ndarray:
    return (X - x) * np.cos(angle) + (Y - y) * np.sin(angle)


def covered(streaks: list[Streak]) -> np.ndarray:
    mask = np.zeros(BOX.shape, bool)
    for streak in streaks:
        mask |= streak.spans(BOX).to_mask(BOX)
    return mask


@pytest.mark.parametrize("level", [0.7, 2.0, 20.0, 300.0])
@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2, 2.2, 3.1])
def test_trail_is_covered_and_little_else(angle: float, level: float) -> None:
    trail = np.abs(across(angle)) < 3.0
    streaks = find_streaks(noise(1) + np.float32(level) * trail, ONE, NONE, BOX)
    assert len(streaks) == 1
    mask = covered(streaks)
    assert mask[trail].mean() > 0.99
    assert not mask[np.abs(across(angle)) > 7.0].any()
    assert streaks[0].significance > 15


def test_position_angle_and_width() -> None:
    angle = 1.1
    image = noise(2) + 5.0 * np.exp(-0.5 * (across(angle) / 3.0) ** 2).astype(np.float32)
    (streak,) = find_streaks(image, ONE, NONE, BOX)
    assert np.sin(streak.angle - angle) == pytest.approx(0.0, abs=3e-4)
    distance = 10.0 * np.cos(streak.angle) + 390.0 * np.sin(streak.angle)
    assert streak.distance == pytest.approx(distance, abs=0.2)
    # Above 0.3 sigma is what is within 2.4 widths of 3 px, and a pixel is added on both sides.
    assert streak.width == pytest.approx(2 * (2.37 * 3.0 + 1.0), abs=2.5)
    assert (streak.start, streak.stop) == (-np.inf, np.inf)


def test_faint_trail_is_found_though_no_pixel_of_it_is() -> None:
    found = 0
    for seed in range(10):
        trail = np.abs(across(0.3 * seed)) < 3.0
        mask = covered(find_streaks(noise(seed) + np.float32(0.5) * trail, ONE, NONE, BOX))
        found += mask[trail].mean() > 0.9
    assert found >= 9


def test_noise_makes_no_trail() -> None:
    for seed in range(20):
        assert not find_streaks(noise(100 + seed), ONE, NONE, BOX)


def test_stars_a_galaxy_and_correlated_noise_make_no_trail() -> None:
    rng = np.random.default_rng(4)
    image = noise(5)
    image[:, 1:-1] = (image[:, :-2] + image[:, 1:-1] + image[:, 2:]) / 1.7
    image[1:-1] = (image[:-2] + image[1:-1] + image[2:]) / 1.7
    for x, y, height in zip(*rng.uniform(0, SIZE, (2, 80)), 10 ** rng.uniform(1, 3, 80), strict=True):
        image += height * np.exp(-0.5 * ((X - BOX.x.start - x) ** 2 + (Y - BOX.y.start - y) ** 2) / 4.0)
    image += 300 * np.exp(-np.hypot(X - 50, (Y - 400) * 2) / 15)
    assert not find_streaks(image.astype(np.float32), ONE, NONE, BOX)


@pytest.mark.parametrize("shape", ["step", "slope", "amplifiers", "bowl"])
def test_poor_backgrounds(shape: str) -> None:
    backgrounds = {
        "step": 1.0 * (X > 0),
        "slope": (X - X.min()) / 300,
        "amplifiers": 0.5 * ((X // 100) % 2),
        "bowl": (X**2 + (Y - 400) ** 2) / 90000,
    }
    image = noise(3) + backgrounds[shape].astype(np.float32)
    assert not find_streaks(image, ONE, NONE, BOX)
    trail = np.abs(across(0.7)) < 3.0
    image[trail] += 2.0
    (streak,) = find_streaks(image, ONE, NONE, BOX)
    assert covered([streak])[trail].mean() > 0.99


def test_trail_that_ends_in_the_field() -> None:
    trail = (np.abs(across(1.2)) < 3.0) & (X < 0.0)
    (streak,) = find_streaks(noise(7) + 3.0 * trail.astype(np.float32), ONE, NONE, BOX)
    mask = covered([streak])
    assert mask[trail].mean() > 0.98
    assert not mask[X > 110].any()


def test_two_trails_and_pixels_that_take_no_part() -> None:
    one, other = np.abs(across(0.5)) < 3.0, np.abs(across(1.9, 60.0, 300.0)) < 4.0
    image = noise(8) + 4.0 * one.astype(np.float32) + 2.0 * other.astype(np.float32)
    image[200:300] = np.nan
    ignored = NONE.copy()
    ignored[:, 100:160] = True
    image[:, 100:160] += 1e4
    streaks = find_streaks(image, ONE, ignored, BOX)
    assert len(streaks) == 2
    mask = covered(streaks)
    assert mask[one | other].mean() > 0.99
    assert mask[~(one | other)].mean() < 0.03


@pytest.mark.parametrize("number", [0, 2])
def test_number_is_limited(number: int) -> None:
    image = noise(9)
    for k in range(4):
        image[np.abs(across(0.4 + 0.7 * k)) < 3.0] += 5.0
    assert len(find_streaks(image, ONE, NONE, BOX, StreakSettings(max_number=number))) == number


def test_image_without_values() -> None:
    assert not find_streaks(np.full(BOX.shape, np.nan, np.float32), ONE, NONE, BOX)
    assert not find_streaks(noise(1)[:5, :5], ONE[:5, :5], NONE[:5, :5], Box.factory[0:5, 0:5])


def test_negative_bands_are_left_alone() -> None:
    image = noise(3) - np.float32(3.0) * (np.abs(across(0.8)) < 3.0)
    assert not find_streaks(image, ONE, NONE, BOX)
