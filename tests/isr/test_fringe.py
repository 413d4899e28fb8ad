from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.isr.fringe import FringeFit, FringeFrame, FringeSettings, measure_fringes, subtract_fringes
from skyloom.simulate.mosaic import Ccd
from skyloom.simulate.signature import draw_fringes

SHAPE = (400, 360)
FAST = FringeSettings(positions=3000)


def wave(frequency_x: float, frequency_y: float) -> np.ndarray:
    """A sine wave of so many radians a pixel."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.sin(x * frequency_x + y * frequency_y).astype(np.float32)


WAVES = [wave(0.1, 0.05), wave(0.1, -0.05), wave(0.02, 0.11)]


def subtract(
    image: np.ndarray,
    fringes: list[FringeFrame],
    settings: FringeSettings = FAST,
    *,
    bits: np.ndarray | None = None,
    seed: int = 7,
) -> tuple[np.ndarray, np.ndarray, FringeFit]:
    """Corrected copy of an image, its variance (1 before), and the fit."""
    result, variance = image.astype(np.float32), np.ones(image.shape, np.float32)
    bits = np.zeros(image.shape, np.int32) if bits is None else bits
    return result, variance, subtract_fringes(result, variance, bits, fringes, settings, seed)


@pytest.mark.parametrize("truth", [[1.0], [0.33, 0.33], [0.33, 0.33, 0.33], [250.0, -40.0, 3.0]])
def test_components_without_noise(truth: list[float]) -> None:
    image = sum(amplitude * pattern for amplitude, pattern in zip(truth, WAVES, strict=False))
    fringes = [FringeFrame(pattern=pattern) for pattern in WAVES[: len(truth)]]
    result, _, fit = subtract(np.asarray(image), fringes)
    tolerance = 1e-4 * max(truth)
    np.testing.assert_allclose(fit.amplitudes, truth, atol=tolerance)
    assert result.std() < tolerance
    assert fit.samples > 0.5 * FAST.positions


@pytest.mark.parametrize("pedestal", [True, False])
def test_a_pedestal_of_the_fringe_frame(pedestal: bool) -> None:
    pattern = 10000 + 20 * WAVES[0]
    settings = FringeSettings(positions=3000, pedestal=pedestal)
    result, _, fit = subtract(500 + 30 * WAVES[0], [FringeFrame(pattern=pattern)], settings)
    assert fit.amplitudes[0] == pytest.approx(1.5, abs=1e-4)
    assert result.std() < 1e-3
    # Without the option the level of the frame goes off the image together with its fringes.
    median = np.median(pattern) if pedestal else 0.0
    assert result.mean() == pytest.approx(500 - 1.5 * (10000 - median), abs=0.5)


def test_all_masked_stays_zero() -> None:
    bits = np.full(SHAPE, bitmask("SAT"), np.int32)
    fringe = FringeFrame(pattern=WAVES[0], variance=np.ones(SHAPE))
    result, variance, fit = subtract(np.zeros(SHAPE), [fringe], bits=bits)
    assert np.all(result == 0)
    assert np.all(variance == 1)
    assert (fit.amplitudes.tolist(), fit.samples) == ([0.0], 0)
    assert np.isnan(fit.rms)


def test_an_unusable_fringe_frame_is_not_subtracted() -> None:
    image = 30 * WAVES[0]
    result, _, fit = subtract(image, [FringeFrame(pattern=WAVES[0], unusable=np.ones(SHAPE, dtype=bool))])
    np.testing.assert_array_equal(result, image)
    assert fit.samples == 0


def test_masked_pixels_do_not_count() -> None:
    image, bits = 30 * WAVES[0], np.zeros(SHAPE, np.int32)
    image[::3], bits[::3] = 6e4, bitmask("SAT")
    image[1::3, ::4] = np.nan
    _, _, fit = subtract(image, [FringeFrame(pattern=WAVES[0])], bits=bits)
    assert fit.amplitudes[0] == pytest.approx(30.0, rel=1e-5)


def test_pixels_without_a_pattern_stay() -> None:
    pattern = WAVES[0].copy()
    pattern[100:110, 50:60] = np.nan
    result, variance, _ = subtract(30 * WAVES[0], [FringeFrame(pattern=pattern, variance=0.04 * pattern**2)])
    np.testing.assert_array_equal(result[100:110, 50:60], (30 * WAVES[0])[100:110, 50:60])
    assert np.abs(np.delete(result, np.s_[100:110], axis=0)).max() < 1e-3
    assert np.all(variance[100:110, 50:60] == 1)


def test_the_variance_grows() -> None:
    fringe = FringeFrame(pattern=WAVES[0], variance=np.full(SHAPE, 0.25))
    _, variance, fit = subtract(30 * WAVES[0], [fringe])
    np.testing.assert_allclose(variance, 1 + fit.amplitudes[0] ** 2 * 0.25, rtol=1e-6)


def test_the_same_seed_gives_the_same_fit() -> None:
    image = 30 * WAVES[0] + np.random.default_rng(1).normal(0, 20, SHAPE)
    fringes = [FringeFrame(pattern=WAVES[0])]
    fits = [measure_fringes(image, np.zeros(SHAPE, np.int32), fringes, FAST, seed) for seed in (12345, 12345, 12346)]
    assert fits[0].amplitudes[0] == fits[1].amplitudes[0] != fits[2].amplitudes[0]
    assert fits[0].rms == fits[1].rms != fits[2].rms


def test_fringe_frames_and_bits_are_not_changed() -> None:
    pattern, variance, unusable = 10000 + WAVES[0], np.ones(SHAPE), np.zeros(SHAPE, dtype=bool)
    bits = np.where(WAVES[1] > 0.9, bitmask("SAT"), 0).astype(np.int32)
    kept = [array.copy() for array in (pattern, variance, unusable, bits)]
    fringe = FringeFrame(pattern=pattern, variance=variance, unusable=unusable)
    subtract(30 * WAVES[0], [fringe], FringeSettings(positions=3000, pedestal=True), bits=bits)
    for array, before in zip((pattern, variance, unusable, bits), kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_the_same_pattern_twice_has_a_solution() -> None:
    image = 30 * WAVES[0]
    result, _, fit = subtract(image, [FringeFrame(pattern=WAVES[0]), FringeFrame(pattern=WAVES[0].copy())])
    np.testing.assert_allclose(fit.amplitudes, [15.0, 15.0], rtol=1e-4)
    assert result.std() < 1e-3


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fringes_of_a_noisy_sky_with_stars_go_away(seed: int) -> None:
    ccd = Ccd(
        id=seed, shape=(600, 500), raw_shape=(600, 500), centre=(0.0, 0.0), rotation_deg=0.0, hdu=None, amplifiers=()
    )
    pattern, rng = draw_fringes(seed, ccd, "i"), np.random.default_rng(seed)
    sky, amplitude = 3000.0, 90.0
    expected = sky + amplitude * pattern + _stars(ccd.shape, rng)
    image = rng.poisson(expected).astype(np.float32)
    master = pattern + rng.normal(0, 0.05, ccd.shape)
    bits = np.where(expected > 6e4, bitmask("SAT"), 0).astype(np.int32)
    result, _, fit = subtract(image, [FringeFrame(pattern=master)], FringeSettings(positions=10000), bits=bits)
    left = _strength(result, expected, sky, pattern)
    assert abs(_strength(image, expected, sky, pattern)) == pytest.approx(amplitude, rel=0.02)
    assert abs(left) < amplitude / 20
    assert abs(fit.amplitudes[0] - amplitude) < amplitude / 20
    assert fit.rms == pytest.approx(1.25 * np.sqrt(sky) / 6, rel=0.5)  # the noise of the median of 36 pixels


def test_measuring_again_takes_away_what_the_medians_add() -> None:
    # In a wide box the median of fringes alone jumps about, that of fringes and noise does not.
    ccd = Ccd(id=2, shape=SHAPE, raw_shape=SHAPE, centre=(0.0, 0.0), rotation_deg=0.0, hdu=None, amplifiers=())
    pattern = draw_fringes(2, ccd, "i")
    image = np.random.default_rng(2).normal(3000 + 90 * pattern, 50).astype(np.float32)
    error = {}
    for passes in (1, 5):
        settings = FringeSettings(positions=10000, passes=passes)
        fit = measure_fringes(image, np.zeros(SHAPE, np.int32), [FringeFrame(pattern=pattern)], settings, 2)
        error[passes] = abs(fit.amplitudes[0] / 90 - 1)
    assert error[1] > 0.05
    assert error[5] < 0.02


def _stars(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[-8:9, -8:9]
    light = np.zeros(shape)
    for _ in range(200):
        row, column = rng.integers(8, shape[0] - 8), rng.integers(8, shape[1] - 8)
        peak = 10 ** rng.uniform(2, 5)
        light[row - 8 : row + 9, column - 8 : column + 9] += peak * np.exp(-(x * x + y * y) / 8.0)
    return light


def _strength(image: np.ndarray, expected: np.ndarray, sky: float, pattern: np.ndarray) -> float:
    """Amplitude of the fringes in the pixels without stars."""
    empty = np.abs(expected - sky) < 120
    wanted = pattern[empty] - pattern[empty].mean()
    return float((image[empty] * wanted).sum() / (wanted**2).sum())


def test_a_pattern_of_another_shape_is_refused() -> None:
    with pytest.raises(BadFrameError, match="fringe frame 2 is 50 x 60"):
        subtract(WAVES[0], [FringeFrame(pattern=WAVES[0]), FringeFrame(pattern=np.zeros((50, 60)))])


def test_a_small_image_is_refused() -> None:
    with pytest.raises(BadFrameError, match="boxes of 60 pixels"):
        subtract(np.zeros((60, 200)), [FringeFrame(pattern=np.zeros((60, 200)))])
