from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
import sep
from lsst.images import Box
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.detection import DetectionSettings, detect_sources
from skyloom.detection.matched_filter import matched_filter
from skyloom.errors import BadFrameError
from skyloom.images.exposure import Exposure
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.convolve import convolve_separable, gaussian_kernel

SIGMA = 1.5
NOISE = 10.0
STAR_NOISE = NOISE * np.sqrt(4 * np.pi) * SIGMA  # of the flux of a star under the best filter


def exposure(
    stars: list[tuple[float, float, float]],
    shape: tuple[int, int] = (200, 240),
    noise: float = NOISE,
    seed: int = 1,
    **box: int,
) -> Exposure:
    rng = np.random.default_rng(seed)
    image = rng.normal(0, noise, shape) if noise else np.zeros(shape)
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    for x, y, flux in stars:
        profiles = (np.exp(-((axis - at) ** 2) / (2 * SIGMA**2)) for axis, at in ((rows, y), (columns, x)))
        v, h = (profile / (np.sqrt(2 * np.pi) * SIGMA) for profile in profiles)
        near = np.ix_(v > 1e-12, h > 1e-12)
        image[near] += flux * np.outer(v[v > 1e-12], h[h > 1e-12])
    return Exposure.from_arrays(image, variance=np.full(shape, NOISE**2), unit=u.electron, **box)


def has(frame: Exposure, plane: str) -> np.ndarray:
    return (frame.bits & bitmask(plane)) != 0


def test_a_star_has_one_footprint_with_its_peak() -> None:
    frame = exposure([(100.3, 80.8, 5000.0)])
    found = detect_sources(frame, SIGMA)
    assert len(found) == 1
    footprint = found[0]
    assert len(footprint.peaks) == 1
    assert (footprint.peaks["x"][0], footprint.peaks["y"][0]) == (100, 81)
    # the filter halves the central height of a star of its own width
    assert footprint.peaks["value"][0] == pytest.approx(5000 / (4 * np.pi * SIGMA**2), rel=0.1)
    assert np.array_equal(footprint.spans.to_mask(frame.bbox), has(frame, "DETECTED"))


def test_footprint_is_the_thresholded_disk_grown_by_the_kernel() -> None:
    flux = 20000.0
    frame = exposure([(100.0, 80.0, flux)], noise=0.0)
    found = detect_sources(frame, SIGMA, DetectionSettings(threshold=5.0))
    height = flux / (4 * np.pi * SIGMA**2) / (NOISE / (np.sqrt(4 * np.pi) * SIGMA))  # in sigma
    radius = 2 * SIGMA * np.sqrt(np.log(height / 5.0)) + int(2.4 * SIGMA + 0.5)
    assert np.sqrt(found[0].area / np.pi) == pytest.approx(radius, rel=0.05)


def test_false_detections_of_pure_noise_are_as_rare_as_the_threshold_says() -> None:
    frame = exposure([], shape=(1000, 1000))
    threshold = 3.0
    found = detect_sources(frame, SIGMA, DetectionSettings(threshold=threshold, grow_sigmas=0.0))
    # Expected number of upcrossing regions of a Gaussian field correlated over sqrt(2) sigma (Adler 1981).
    length2 = 2 * SIGMA**2
    expected = 1e6 / length2 * threshold * np.exp(-(threshold**2) / 2) / (2 * np.pi) ** 1.5
    assert len(found) == pytest.approx(expected, rel=0.15)
    assert len(detect_sources(frame, SIGMA, DetectionSettings(threshold=5.0))) <= 3


def test_stars_of_ten_sigma_are_found() -> None:
    rng = np.random.default_rng(3)
    x, y = (
        grid.ravel() + rng.uniform(-0.5, 0.5, 400)
        for grid in np.meshgrid(np.arange(15, 615, 30), np.arange(15, 615, 30))
    )
    frame = exposure([(a, b, 10 * STAR_NOISE) for a, b in zip(x, y, strict=True)], shape=(630, 630))
    found = detect_sources(frame, SIGMA)
    peaks = np.concatenate([footprint.peaks for footprint in found])
    distance = np.hypot(peaks["x"][:, None] - x, peaks["y"][:, None] - y)
    assert (distance.min(axis=0) < 2).mean() > 0.98
    assert (distance.min(axis=1) > 3).sum() <= 2


def test_completeness_at_the_threshold_is_one_half() -> None:
    grid = np.arange(20, 620, 30)
    frame = exposure([(a, b, 5 * STAR_NOISE) for a in grid for b in grid], shape=(640, 640))
    found = detect_sources(frame, SIGMA)
    assert 0.4 < len(found) / grid.size**2 < 0.8  # a little above: the brightest of some pixels counts


def test_neighbours_share_a_footprint_with_a_peak_each() -> None:
    frame = exposure([(100, 80, 20000.0), (108, 83, 4000.0), (96, 88, 2500.0)])
    found = detect_sources(frame, SIGMA)
    assert len(found) == 1
    peaks = found[0].peaks
    assert len(peaks) == 3
    assert np.array_equal(np.sort(peaks["value"])[::-1], peaks["value"])
    assert (peaks["x"][0], peaks["y"][0]) == (100, 80)
    for expected in [(108, 83), (96, 88)]:
        assert np.hypot(peaks["x"] - expected[0], peaks["y"] - expected[1]).min() <= 1.5


def test_noise_on_the_slopes_of_a_bright_galaxy_makes_no_peaks() -> None:
    y, x = np.mgrid[:200, :240]
    galaxy = 200 * NOISE * np.exp(-np.hypot(x - 120, (y - 100) / 0.7) / 12)
    rng = np.random.default_rng(5)
    counts = []
    for prominence in (0.0, 4.0):
        frame = Exposure.from_arrays(
            galaxy + rng.normal(0, NOISE, galaxy.shape), variance=np.full(galaxy.shape, NOISE**2), unit=u.electron
        )
        found = detect_sources(frame, SIGMA, DetectionSettings(min_prominence=prominence))
        counts.append(max(len(footprint.peaks) for footprint in found))
    assert counts[0] > 5
    assert counts[1] == 1


def test_missing_pixels_neither_hide_stars_nor_make_them() -> None:
    frame = exposure([(100, 80, 20000.0), (40, 40, 20000.0)])
    frame.image.array[120:160, 100:140] = np.nan
    frame.variance.array[120:160, 100:140] = np.inf
    frame.image.array[10:20, 200:210] = 1e6
    frame.bits[10:20, 200:210] = bitmask("NO_DATA")
    frame.variance.array[80, 101] = np.inf
    frame.image.array[::20, 7] = np.inf
    found = detect_sources(frame, SIGMA)
    places = sorted((int(f.peaks["x"][0]), int(f.peaks["y"][0])) for f in found)
    assert len(places) == 2
    assert places == pytest.approx(np.array([(40, 40), (100, 80)]), abs=1)


def test_noise_beside_a_hole_is_as_significant_as_elsewhere() -> None:
    rng = np.random.default_rng(7)
    hits = []
    for place in (slice(None), np.s_[:, 49:52]):
        frame = exposure([], shape=(6000, 100), noise=0.0)
        frame.image.array[...] = rng.normal(0, NOISE, frame.image.array.shape)
        frame.image.array[:, 52:55] = np.nan
        unusable = np.isnan(frame.image.array)
        significance = matched_filter(frame.image.array, frame.variance.array, unusable, SIGMA).significance
        hits.append(significance[place].std())
    assert hits == pytest.approx([1.0, 1.0], rel=0.06)


def test_planes_are_made_anew_and_edge_is_half_a_kernel_wide() -> None:
    frame = exposure([(100, 80, 20000.0)])
    frame.bits[0:50, 0:50] = bitmask("DETECTED", "DETECTED_NEGATIVE", "BAD")
    detect_sources(frame, SIGMA)
    assert not has(frame, "DETECTED")[0:50, 0:50].any()
    assert not has(frame, "DETECTED_NEGATIVE").any()
    assert has(frame, "BAD").sum() == 2500
    edge = has(frame, "EDGE")
    half = gaussian_kernel(SIGMA).size // 2
    assert edge[:half].all()
    assert edge[:, -half:].all()
    assert not edge[half:-half, half:-half].any()


def test_negative_sources_are_marked_but_make_no_footprint() -> None:
    frame = exposure([(100, 80, 20000.0), (50, 60, -20000.0)])
    found = detect_sources(frame, SIGMA, DetectionSettings(negative=True))
    assert len(found) == 1
    assert has(frame, "DETECTED_NEGATIVE")[60, 50]
    assert not has(frame, "DETECTED")[60, 50]
    assert has(frame, "DETECTED")[80, 100]


def test_include_multiplier_and_min_pixels_drop_faint_and_small_ones() -> None:
    stars = [(60, 60, 8 * STAR_NOISE), (150, 100, 100 * STAR_NOISE)]
    for settings in (DetectionSettings(include_multiplier=4), DetectionSettings(min_pixels=40)):
        frame = exposure(stars)
        found = detect_sources(frame, SIGMA, settings)
        assert [int(f.peaks["x"][0]) for f in found] == [150]
        assert not has(frame, "DETECTED")[60, 60]
    assert len(detect_sources(exposure(stars), SIGMA)) == 2


def test_box_edge_and_min_separation() -> None:
    frame = exposure([(3, 100, 20000.0)], x0=1000, y0=-500)
    found = detect_sources(frame, SIGMA)
    assert (found[0].peaks["x"][0], found[0].peaks["y"][0]) == (1003, -400)
    assert found[0].bbox.x.min == 1000  # trimmed to the image
    assert found.bbox == frame.bbox
    pair = exposure([(100, 100, 20000.0), (105, 100, 20000.0)])
    assert len(detect_sources(pair, SIGMA)[0].peaks) == 2
    assert len(detect_sources(pair, SIGMA, DetectionSettings(min_separation=8.0))[0].peaks) == 1


def test_same_components_as_sep_on_the_filtered_image() -> None:
    rng = np.random.default_rng(9)
    frame = exposure([(*rng.uniform(10, 190, 2), 10 ** rng.uniform(3, 5)) for _ in range(60)])
    kernel = gaussian_kernel(SIGMA)
    smoothed = convolve_separable(frame.image.array, kernel)
    noise = NOISE * (kernel**2).sum()
    objects, segments = sep.extract(
        smoothed, 5.0, err=noise, minarea=1, filter_kernel=None, deblend_cont=1.0, clean=False, segmentation_map=True
    )
    found = detect_sources(frame, SIGMA, DetectionSettings(grow_sigmas=0.0))
    inner = np.s_[5:-5, 5:-5]  # beside the edges ours knows the noise of the part of the kernel inside
    assert np.array_equal(has(frame, "DETECTED")[inner], segments[inner] > 0)
    assert len(found) == pytest.approx(len(objects), abs=2)


def test_width_comes_from_the_psf_and_must_be_known() -> None:
    frame = exposure([(100, 80, 5000.0)])
    with pytest.raises(BadFrameError, match="None"):
        detect_sources(frame)
    frame.psf = GaussianPointSpreadFunction(SIGMA, bounds=Box.from_shape((200, 240)), stamp_size=25)
    given, known = detect_sources(exposure([(100, 80, 5000.0)]), SIGMA), detect_sources(frame)
    assert given[0].spans == known[0].spans
    with pytest.raises(BadFrameError):
        detect_sources(frame, -1.0)


def test_a_frame_without_variance_is_an_error() -> None:
    frame = Exposure.from_arrays(np.ones((50, 50)), unit=u.electron)
    with pytest.raises(BadFrameError, match="variance"):
        detect_sources(frame, SIGMA)


def test_an_empty_sky_gives_no_footprint() -> None:
    assert len(detect_sources(exposure([], noise=0.0), SIGMA)) == 0
