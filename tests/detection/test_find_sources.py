from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from skyloom.detection import AdaptiveSettings, DetectionSettings, detect_adaptively, detect_sources, find_sources
from skyloom.errors import BadFrameError
from skyloom.images.exposure import Exposure
from skyloom.images.mask_planes import bitmask

NOISE = 10.0
SIGMA = 1.5


def star_noise(sigma: float = SIGMA) -> float:
    """Of the flux of a star under the best filter."""
    return float(NOISE * np.sqrt(4 * np.pi) * sigma)


def exposure(
    places: np.ndarray,
    fluxes: np.ndarray | float,
    shape: tuple[int, int] = (300, 320),
    sigma: float = SIGMA,
    **box: int,
) -> Exposure:
    """Gaussian stars at whole pixels ``[star, (y, x)]``, and noise."""
    light = np.zeros(shape)
    places = np.reshape(np.asarray(places, dtype=int), (-1, 2))
    np.add.at(light, (places[:, 0], places[:, 1]), fluxes)
    image = gaussian_filter(light, sigma, mode="constant") + np.random.default_rng(1).normal(0, NOISE, shape)
    return Exposure.from_arrays(image, variance=np.full(shape, NOISE**2), unit=u.electron, **box)


def grid(step: int, shape: tuple[int, int] = (300, 320)) -> np.ndarray:
    return np.stack(np.mgrid[step : shape[0] - step : step, step : shape[1] - step : step], axis=-1).reshape(-1, 2)


def test_significance_is_the_height_in_sigma_of_each_peak() -> None:
    frame = exposure(grid(40), 20 * star_noise())
    found = find_sources(frame, SIGMA)
    assert found.significance.shape == (sum(len(footprint.peaks) for footprint in found.footprints),)
    bright = found.significance[found.significance > 10]
    assert bright.size == len(grid(40))
    assert np.mean(bright) == pytest.approx(20.0, rel=0.02)
    assert found.significance.min() >= 5.0
    heights = np.concatenate([footprint.peaks["value"] for footprint in found.footprints])
    inside = np.abs(heights / found.significance - NOISE / (np.sqrt(4 * np.pi) * SIGMA)) < 0.01
    assert inside.all()


@pytest.mark.parametrize("fwhm", [1.6, 3.0, 7.0])
def test_half_of_the_stars_at_the_limit_are_found_and_hardly_anything_else(fwhm: float) -> None:
    sigma = fwhm / 2.3548
    places = grid(30, (900, 900))
    frame = exposure(places, 5 * star_noise(sigma), shape=(900, 900), sigma=sigma)
    peaks = np.concatenate([footprint.peaks for footprint in detect_sources(frame, sigma)])
    distance = np.hypot(peaks["y"][:, None] - places[:, 0], peaks["x"][:, None] - places[:, 1])
    assert 0.4 < (distance.min(axis=0) < 2 + sigma).mean() < 0.75
    assert (distance.min(axis=1) > 2 + 2 * sigma).sum() <= 2


def test_a_plateau_has_one_peak_and_a_source_at_the_edge_is_found() -> None:
    frame = exposure(np.empty((0, 2)), 0.0)
    frame.image.array[...] = 0.0
    frame.image.array[100:104, 100:104] = 5000.0  # symmetric about a corner: four equal pixels once filtered
    frame.image.array[0, 200] = 5000.0
    found = detect_sources(frame, SIGMA)
    assert [len(footprint.peaks) for footprint in found] == [1, 1]
    assert (int(found[0].peaks["x"][0]), int(found[0].peaks["y"][0])) == (200, 0)
    assert found[1].peaks["x"][0] in (101, 102)


def test_origin_of_the_box_only_shifts_the_result() -> None:
    places = grid(25)
    here, there = exposure(places, 8 * star_noise()), exposure(places, 8 * star_noise(), x0=-1000, y0=523)
    first, second = find_sources(here, SIGMA), find_sources(there, SIGMA)
    assert np.array_equal(here.bits, there.bits)
    assert np.array_equal(first.significance, second.significance)
    for own, shifted in zip(first.footprints, second.footprints, strict=True):
        assert np.array_equal(own.spans.y + 523, shifted.spans.y)
        assert np.array_equal(own.peaks["x"] - 1000, shifted.peaks["x"])


def test_all_nan_is_an_error_and_all_zero_is_empty() -> None:
    frame = exposure(np.empty((0, 2)), 0.0)
    frame.image.array[...] = 0.0
    assert find_sources(frame, SIGMA).significance.size == 0
    frame.image.array[...] = np.nan
    with pytest.raises(BadFrameError, match="finite"):
        detect_sources(frame, SIGMA)


def test_excluded_planes_hold_no_source() -> None:
    frame = exposure(np.array([[100, 100], [200, 200]]), 50 * star_noise())
    frame.bits[190:211, 190:211] = bitmask("CROSSTALK")
    assert len(detect_sources(frame.copy(), SIGMA)) == 2
    found = detect_sources(frame, SIGMA, DetectionSettings(excluded_planes=("CROSSTALK",)))
    assert [int(footprint.peaks["x"][0]) for footprint in found] == [100]


def test_clipped_noise_is_that_of_the_pixels_and_not_of_a_wrong_variance() -> None:
    frame = exposure(grid(40), 12 * star_noise())
    right = find_sources(frame.copy(), SIGMA, DetectionSettings(noise="clipped"))
    frame.variance.array[...] /= 25.0
    deceived = frame.copy()
    detect_sources(deceived, SIGMA)
    assert (deceived.bits & bitmask("DETECTED") != 0).mean() > 0.5
    found = find_sources(frame, SIGMA, DetectionSettings(noise="clipped"))
    assert np.array_equal(found.significance, right.significance)
    assert np.mean(np.sort(found.significance)[-len(grid(40)) :]) == pytest.approx(12.0, rel=0.06)


def test_a_wide_background_is_taken_off_for_the_search_only() -> None:
    places = np.array([[80, 80], [220, 240]])
    frame = exposure(places, 30 * star_noise())
    hump = 60.0 * np.exp(-((np.mgrid[:300, :320] - 150.0) ** 2).sum(axis=0) / (2 * 60.0**2))
    frame.image.array[...] += hump
    before = frame.image.array.copy()
    humped = frame.copy()
    detect_sources(humped, SIGMA)
    assert (humped.bits & bitmask("DETECTED") != 0).mean() > 0.2
    found = find_sources(frame, SIGMA, wide_background=hump)
    tops = {(int(f.peaks["y"][0]), int(f.peaks["x"][0])) for f in found.footprints}
    assert tops == {(80, 80), (220, 240)}
    assert np.array_equal(frame.image.array, before)


def test_peaks_on_wings_are_judged_above_a_local_background() -> None:
    y, x = np.mgrid[:300, :320]
    wings = 400 * NOISE * np.exp(-np.hypot(x - 150, y - 150) / 20)
    frame = exposure(np.array([[150, 175]]), 30 * star_noise())
    frame.image.array[...] += wings
    settings = DetectionSettings(min_prominence=1.0)
    many = find_sources(frame.copy(), SIGMA, settings)
    few = find_sources(frame, SIGMA, settings, local_background=wings)
    assert len(many.footprints) == len(few.footprints)
    assert max(len(footprint.peaks) for footprint in many.footprints) > 3
    peaks = max(few.footprints, key=lambda footprint: footprint.area).peaks
    assert (int(peaks["y"][0]), int(peaks["x"][0])) == pytest.approx((150, 175), abs=1)
    assert len(peaks) <= 2


def test_an_empty_field_lowers_the_threshold_until_faint_stars_show() -> None:
    frame = exposure(grid(40), 9 * star_noise())
    found = detect_adaptively(frame, SIGMA)
    assert found.iterations > 1
    assert found.threshold < 10.0
    assert found.isolated >= 15
    settings = DetectionSettings(threshold=found.threshold, include_multiplier=found.include_multiplier)
    alone = find_sources(frame.copy(), SIGMA, settings)
    assert len(found.detections.footprints) == len(alone.footprints)


def test_noise_ends_at_the_least_threshold() -> None:
    found = detect_adaptively(exposure(np.empty((0, 2)), 0.0), SIGMA, AdaptiveSettings(min_threshold=4.0))
    assert (found.threshold, found.include_multiplier) == (4.0, 1.25)
    assert len(found.detections.footprints) <= 1


def test_enough_lone_stars_are_taken_as_they_are() -> None:
    found = detect_adaptively(exposure(grid(25), 200 * star_noise()), SIGMA)
    assert (found.iterations, found.threshold, found.include_multiplier) == (1, 10.0, 5.0)
    assert found.isolated == len(grid(25))


def test_a_crowded_field_raises_it_until_stars_stand_alone() -> None:
    rng = np.random.default_rng(7)
    fluxes = np.minimum(20.0 * rng.random(9000) ** -1.0, 3e4) * star_noise()
    frame = exposure(rng.integers(5, 295, (9000, 2)), fluxes)
    at_start = find_sources(frame.copy(), SIGMA, DetectionSettings(threshold=10.0, include_multiplier=5.0))
    assert sum(len(footprint.peaks) == 1 for footprint in at_start.footprints) < 6
    found = detect_adaptively(frame, SIGMA)
    assert found.threshold > 20.0
    assert found.isolated >= 6


def test_holes_in_the_sky_raise_it_too() -> None:
    places = np.random.default_rng(3).permutation(grid(20))
    fluxes = np.where(np.arange(len(places)) % 2, 500.0, -100.0) * star_noise()
    found = detect_adaptively(exposure(places, fluxes), SIGMA)
    assert found.threshold >= 50.0
    assert found.include_multiplier == 1.0
    assert found.detections.negative_peaks <= 15
