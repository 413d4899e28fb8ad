"""Kernels from flats of a detector with the effect, and what their correction leaves of it."""

from __future__ import annotations

import numpy as np
import pytest
from flat_ramp import flat, ramp, ready
from scipy import ndimage

from skyloom.calibs import KernelSettings, Measured, make_brighter_fatter_kernel
from skyloom.calibs.brighter_fatter_kernel import kernel_of
from skyloom.calibs.covariance_fit import fit_covariances, whole_plane
from skyloom.calibs.pair_statistics import pair_statistics
from skyloom.errors import BadFrameError
from skyloom.images.raw import RawExposure
from skyloom.isr import IsrSettings, correct_raw, kernel_from_data, linearities_from_data
from skyloom.simulate import DetectorSettings
from skyloom.simulate.charge import brighter_fatter_kernel

STRENGTH = 0.05
FATTER = DetectorSettings(bias_structure_adu=0.0, hot_pixels=5, brighter_fatter=STRENGTH)
LEVELS = np.linspace(40, 290, 20) ** 2
TRUTH = brighter_fatter_kernel(STRENGTH)
AREA = np.asarray(ndimage.laplace(TRUTH))[8:, 8:]


@pytest.fixture(scope="module")
def frames() -> list[RawExposure]:
    return ramp(LEVELS, detector=FATTER)


@pytest.fixture(scope="module")
def measured(frames: list[RawExposure]) -> Measured:
    return make_brighter_fatter_kernel(ready(frames))


def test_the_kernel_takes_off_what_it_is_made_of() -> None:
    area = np.random.default_rng(1).normal(0, 1e-7, (6, 6))
    kernel = kernel_of(area)
    assert kernel.shape == (11, 11)
    np.testing.assert_allclose(ndimage.laplace(kernel, mode="constant"), -whole_plane(area), atol=1e-18)


def test_covariances_of_the_model_are_fitted_exactly() -> None:
    levels, slope, area = np.linspace(500, 50000, 12), 0.6, 1.6 * AREA[:5, :5]
    whole = whole_plane(area)
    second = ndimage.convolve(whole, whole, mode="constant")[4:, 4:]
    delta, noise = np.zeros((5, 5)), np.full((5, 5), 0.5)
    delta[0, 0] = 1.0
    x = levels[:, None, None]
    covariances = noise + slope * x * (delta + area * x + 0.25 * second * x**2)
    fit = fit_covariances(levels, covariances, np.full(12, 100000), second_order=0.25, n_sigma=5.0)
    assert fit.slope == pytest.approx(slope, rel=1e-6)
    np.testing.assert_allclose(fit.coefficients, area, atol=1e-5 * abs(area[0, 0]))
    np.testing.assert_allclose(fit.noise_adu2, noise, rtol=0.01)


def test_the_kernel_is_that_of_the_detector(measured: Measured) -> None:
    kernel, figures = kernel_from_data(measured.data), measured.figures
    assert kernel.shape == (17, 17)
    assert np.unravel_index(np.argmin(kernel), kernel.shape) == (8, 8)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-18)
    assert abs(figures["a00_per_electron"] - AREA[0, 0]) < 4 * figures["a00_error_per_electron"]
    assert figures["a00_error_per_electron"] < 0.04 * abs(AREA[0, 0])
    step, true_step = kernel[8, 9] - kernel[8, 8], TRUTH[8, 8] - TRUTH[8, 9]
    assert step == pytest.approx(true_step, rel=0.1)
    assert figures["pairs"] == len(LEVELS)


def test_the_correction_makes_flats_poisson(measured: Measured) -> None:
    kernel = kernel_from_data(measured.data)
    settings = IsrSettings(measured_read_noise=False)
    levels = np.array([2e4, 3.5e4, 5e4, 6.5e4, 8e4])
    excess: dict[str, list[np.ndarray]] = {"before": [], "after": []}
    for number, level in enumerate(levels):
        pair = [flat(200 + 2 * number + one, level, detector=FATTER) for one in (0, 1)]
        for key, used in (("before", None), ("after", kernel)):
            images = [correct_raw(one, brighter_fatter=used, settings=settings).image.array for one in pair]
            excess[key].append(np.mean([_excess(images, half) for half in (np.s_[:, :150], np.s_[:, 150:])], axis=0))
    before, after = (
        np.tensordot(levels, np.array(one), axes=1) / (levels**2).sum() for one in (excess["before"], excess["after"])
    )
    assert before[0, 0] == pytest.approx(AREA[0, 0], rel=0.15)
    assert abs(after[0, 0]) < 0.1 * abs(before[0, 0])
    assert np.abs(after[1:, :] + after[:, 1:].T).max() < 0.1 * abs(before[0, 0])


def _excess(images: list[np.ndarray], half: tuple[slice, slice]) -> np.ndarray:
    """Covariances over the level (electrons), less those of independent photons and of the read noise."""
    inner = (slice(12, -12), slice(12, -12))
    found = pair_statistics(*(image[half][inner] for image in images), lags=2, n_sigma=5.0)
    assert found is not None
    excess = found.covariances_adu2 / found.level_adu
    excess[0, 0] -= 1.0 + 45.0 / found.level_adu
    return np.asarray(excess)


def test_a_loss_of_linearity_is_no_brighter_fatter_effect() -> None:
    both = DetectorSettings(bias_structure_adu=0.0, hot_pixels=5, brighter_fatter=STRENGTH, nonlinearity=0.02)
    frames = ramp(LEVELS, detector=both)
    linear = linearities_from_data(
        {
            "amplifiers": {
                name: {"kind": "Polynomial", "coefficients": [0.02 / 60000, 2 * (0.02 / 60000) ** 2]} for name in "AB"
            }
        }
    )
    found = make_brighter_fatter_kernel(ready(frames), linearities=linear).figures
    assert abs(found["a00_per_electron"] - AREA[0, 0]) < 4 * found["a00_error_per_electron"]
    wrong = make_brighter_fatter_kernel(ready(frames)).figures["a00_per_electron"]
    assert wrong < 1.2 * AREA[0, 0]


def test_choices_for_the_far_lags(frames: list[RawExposure]) -> None:
    closed = make_brighter_fatter_kernel(ready(frames), settings=KernelSettings(zero_sum=True, lags=3))
    assert closed.figures["sum_per_electron"] == pytest.approx(0.0, abs=1e-15)
    others = whole_plane(AREA[:4, :4]).sum() - AREA[0, 0]
    assert closed.figures["a00_per_electron"] == pytest.approx(-others, abs=0.3 * others)
    smooth = make_brighter_fatter_kernel(ready(frames), settings=KernelSettings(tail_from=3.0))
    kernel = kernel_from_data(smooth.data)
    area = -ndimage.laplace(kernel, mode="constant")[8:, 8:]
    y, x = np.indices(area.shape)
    far = area[np.hypot(y, x) >= 3.0]
    assert np.all(np.diff(np.abs(far[np.argsort(np.hypot(y, x)[np.hypot(y, x) >= 3.0])])) <= 1e-16)


def test_without_the_effect_there_is_no_kernel() -> None:
    plain = ramp([2000.0, 5000.0, 1e4, 2e4, 4e4, 6e4, 8e4])
    with pytest.raises(BadFrameError, match="no brighter-fatter effect to be seen"):
        make_brighter_fatter_kernel(ready(plain))
    with pytest.raises(BadFrameError, match="no amplifier has pairs of flats of 8 levels below its full well"):
        make_brighter_fatter_kernel(ready([*plain, *ramp([1.2e5, 1.3e5])]), settings=KernelSettings(minimum_levels=8))
