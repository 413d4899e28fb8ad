"""Pairs of flats: found, measured, and what their variance tells of the full well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flat_ramp import CCD, flat, ramp, ready
from scipy import signal

from skyloom.calibs.counts import usable_counts
from skyloom.calibs.flat_pairs import FlatPairs
from skyloom.calibs.full_well import full_well
from skyloom.calibs.pair_measurements import measure_pairs
from skyloom.calibs.pair_settings import PairSettings
from skyloom.calibs.pair_statistics import masked_covariances, pair_statistics
from skyloom.errors import BadFrameError

SETTINGS = PairSettings()


def pairs_of(frames: list, settings: PairSettings = SETTINGS) -> FlatPairs:
    return FlatPairs(raws=ready(frames), correct=lambda raw: usable_counts(raw, settings.isr), settings=settings)


def test_frames_are_paired_by_time_and_level() -> None:
    plan = [
        (1, 6000.0, 1.0),
        (2, 12000.0, 2.0),
        (3, 6100.0, 1.0),
        (4, 3000.0, 1.0),
        (5, 12000.0, 2.0),
        (6, 6000.0, 3.0),
    ]
    frames = [flat(number, level, seconds=seconds) for number, level, seconds in plan]
    found = pairs_of(frames)
    assert [tuple(one.exposure for one in pair.flats) for pair in found] == [(1, 3), (2, 5)]
    assert sorted(found.left_out) == ["flat_4.fits", "flat_6.fits"]
    assert "no second flat of 1 s and 19" in found.left_out["flat_4.fits"]


def test_waiting_frames_keep_their_pixels_in_memory_and_in_a_file() -> None:
    frames = ramp([1000.0, 4000.0, 9000.0, 16000.0])
    for settings in (SETTINGS, replace(SETTINGS, memory_mb=0.1)):
        for pair in pairs_of(frames, settings):
            for told, pixels in zip(pair.flats, pair.pixels, strict=True):
                np.testing.assert_array_equal(pixels, usable_counts(frames[told.exposure], SETTINGS.isr))


def test_empty_frames_and_other_modes() -> None:
    frames = ramp([1000.0, 2000.0, 4000.0, 8000.0, 16000.0])
    empty = flat(90, 5000.0)
    empty.image[...] = 7
    assert "empty" in measure_pairs(ready([*frames, empty]), SETTINGS).left_out["flat_90.fits"]
    odd = [flat(number, 30000.0, SPEED="fast") for number in (91, 92)]
    with pytest.raises(BadFrameError, match="different read-out modes: 'fast' here, 'slow'"):
        measure_pairs(ready([*frames, *odd]), SETTINGS)


def test_many_pairs_of_one_level_are_too_few_levels() -> None:
    frames = [flat(number, 20000.0) for number in range(12)]
    with pytest.raises(BadFrameError, match="pairs of flats of 1 level; 5 are the least"):
        measure_pairs(ready(frames), SETTINGS)


def test_covariances_are_the_mean_products_of_usable_pixels() -> None:
    rng = np.random.default_rng(1)
    image, usable = rng.normal(0, 3, (13, 17)), rng.random((13, 17)) > 0.2
    found = masked_covariances(image, usable, 2)
    for dy in range(3):
        for dx in range(3):
            products = [
                image[y, x] * image[y + dy, x + side]
                for side in (dx, -dx)
                for y in range(13 - dy)
                for x in range(17)
                if 0 <= x + side < 17 and usable[y, x] and usable[y + dy, x + side]
            ]
            assert found[dy, dx] == pytest.approx(np.mean(products), abs=1e-9)
    assert masked_covariances(image, usable, 0)[0, 0] == pytest.approx(found[0, 0])


def test_statistics_of_noise_of_known_covariance() -> None:
    rng, taps = np.random.default_rng(2), np.array([[0.1, 0.2, 0.1], [0.2, 1.0, 0.2], [0.1, 0.2, 0.1]])
    truth = signal.correlate2d(taps, taps)[4 - 2 :, 4 - 2 :][:3, :3]
    response, x = 1 + 0.02 * rng.normal(size=(500, 400)), np.linspace(-1, 1, 400)
    frames = []
    for level, tilt in ((20000.0, 1.0), (20300.0, 1.01)):
        noise = 50.0 * signal.convolve2d(rng.normal(size=(502, 402)), taps, mode="valid")
        frames.append((level * response * (1 + 0.05 * tilt * x) + noise).astype(np.float32))
    frames[0][100, 200], frames[1][7, 9], frames[0][:, 30] = 60000.0, np.nan, 500.0
    found = pair_statistics(*frames, lags=2, n_sigma=5.0)
    assert found is not None
    np.testing.assert_allclose(found.covariances_adu2 / 2500, truth, atol=0.012)
    assert found.levels_adu[1] / found.levels_adu[0] == pytest.approx(1.015, abs=2e-4)
    assert found.pixels > 0.99 * 500 * 399
    assert pair_statistics(np.full((20, 20), np.nan), frames[0][:20, :20], lags=1, n_sigma=5.0) is None


def test_the_well_is_full_where_the_variance_falls() -> None:
    levels = np.array([3e4, 1e4, 5e4, 4e4, 2e4, 6e4])
    variances = np.array([1.9e4, 0.7e4, 2.0e4, 2.4e4, 1.3e4, 9e4])
    found = full_well(levels, variances, np.full(6, 100000), 0.05)
    assert (found.level_adu, found.reached) == (4e4, True)
    found = full_well(levels[:2], variances[:2], np.full(2, 100000), 0.05)
    assert (found.level_adu, found.reached) == (3e4, False)
    few_pixels = full_well(levels, variances, np.full(6, 100), 0.05)
    assert not few_pixels.reached  # a fall by a sixth is no more than the noise of a hundred pixels


def test_the_full_well_of_a_ramp() -> None:
    frames = ramp([*np.linspace(40, 300, 9) ** 2, 1.2e5])
    measured = measure_pairs(ready(frames), SETTINGS)
    # The converter ends at 65535 ADU, 64500 above the bias: 97 and 110 thousand electrons.
    assert measured.amplifiers["A"].full_well.reached
    assert measured.amplifiers["A"].full_well.level_adu == pytest.approx(300**2 / 1.5, rel=0.01)
    assert measured.amplifiers["B"].full_well.level_adu == pytest.approx(300**2 / 1.7, rel=0.01)
    assert CCD.shape == (240, 300)
