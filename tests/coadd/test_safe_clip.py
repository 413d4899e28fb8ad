"""Safe clipping against truth: trails, asteroids, cosmic rays, ghosts; stars that must stay; odd inputs."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box
from scipy.special import erf

from coadd.artifact_scene import NOISE, Scene, make_scene
from skyloom.coadd import CoaddInput, CoaddSettings, ExposureHandle, Statistic, assemble_coadd
from skyloom.coadd.clip_detection import detect_regions
from skyloom.coadd.clip_difference import build_difference_image
from skyloom.coadd.clip_settings import AttributionSettings, ClipDetectionSettings, SafeClipSettings
from skyloom.coadd.masked_mean import masked_mean
from skyloom.coadd.safe_clip import SafeClipResult, safe_clip
from skyloom.errors import NoOverlapError, PsfError
from skyloom.images import bitmask

MEAN = CoaddSettings(statistic=Statistic.MEAN)


def clip(scene: Scene, settings: SafeClipSettings | None = None) -> SafeClipResult:
    scene.detect()
    return safe_clip(scene.inputs(), scene.box, scene.projection, settings)


def clipped(scene: Scene, result: SafeClipResult, visit: int) -> np.ndarray:
    planes = result.masks.get(visit)
    return planes["CLIPPED"].to_mask(scene.box) if planes else np.zeros(scene.box.shape, bool)


def within(scene: Scene, x: float, y: float, radius: float) -> np.ndarray:
    column, row = scene.grid()
    return np.hypot(column - x, row - y) < radius


@pytest.mark.parametrize(("n", "angle"), [(10, 1.5707), (5, 0.02)])
def test_trail_of_a_satellite(n: int, angle: float) -> None:
    scene = make_scene(n, 500, 80)
    trail = scene.trail(950.0, 550.0, angle)
    scene.warps[3].image.array[trail] += 20 * NOISE
    result = clip(scene)
    assert clipped(scene, result, 4)[trail].mean() > 0.999
    near = scene.trail(950.0, 550.0, angle, 30.0)
    elsewhere = sum((clipped(scene, result, v) & ~(near & (v == 4))).sum() for v in range(1, n + 1))
    assert elsewhere / (n * scene.box.area) < 1e-3
    assert not {visit for visit in result.masks if visit != 4}


def test_what_is_clipped_of_a_patch_is_what_a_trail_spoils() -> None:
    """A trail as it is seen, smeared by the PSF of its visit: its wings reach 5 px beyond its width."""
    scene = make_scene(10, 1000, 375)
    x, y = scene.grid()
    across = (y - 800.0) * np.cos(0.6) - (x - 1200.0) * np.sin(0.6)
    wide = np.sqrt(2.0) * scene.sigmas[3]
    light = 20 * NOISE * 0.5 * (erf((across + 3.0) / wide) - erf((across - 3.0) / wide))
    scene.warps[3].image.array[...] += light
    result = clip(scene)
    assert set(result.masks) == {4}
    mask = clipped(scene, result, 4)
    assert mask[np.abs(across) < 3.0].all()
    assert light[~mask].max() < 0.01 * NOISE
    elsewhere = mask & (light < 0.01 * NOISE)
    assert elsewhere.sum() / (10 * scene.box.area) < 1e-3


def test_trail_is_gone_from_the_coadd() -> None:
    scene = make_scene(10, 500, 80)
    truth, _ = assemble_coadd(scene.inputs(), scene.box, scene.projection, MEAN)
    trail = scene.trail(950.0, 550.0, 0.6)
    scene.warps[3].image.array[trail] += 20 * NOISE
    result = clip(scene)
    coadd, n_image = masked_mean(scene.inputs(), scene.box, scene.projection, result.masks)
    plain, _ = assemble_coadd(scene.inputs(), scene.box, scene.projection, MEAN)
    sky = trail & (truth.variance.array < 1.5 * NOISE**2 / 10)
    left = (coadd.image.array - truth.image.array)[sky]
    assert (plain.image.array - truth.image.array)[sky].mean() == pytest.approx(2 * NOISE, rel=0.02)
    assert abs(left.mean()) < 0.02 * NOISE
    assert left.std() < 0.15 * NOISE
    assert (n_image[trail] == 9).mean() > 0.999
    bits = coadd.bits[trail]
    assert (bits & bitmask("CLIPPED") != 0).mean() > 0.999
    assert (bits & bitmask("INEXACT_PSF") != 0).mean() > 0.999
    assert not (coadd.bits[~clipped(scene, result, 4)] & bitmask("CLIPPED")).any()


@pytest.mark.parametrize("n", [4, 7, 10, 16])
def test_stars_in_changing_seeing_are_not_clipped(n: int) -> None:
    for seed in range(3, 7):
        result = clip(make_scene(n, 400, 60, seed))
        assert result.n_regions > 5
        assert not result.masks


def test_wings_of_stars_need_the_confirmation() -> None:
    settings = SafeClipSettings(attribution=AttributionSettings(confirm=False))
    assert any(clip(make_scene(n, 400, 60, seed), settings).masks for n, seed in ((7, 3), (10, 3), (16, 6)))


def test_fluxes_of_stars_are_kept() -> None:
    scene = make_scene(10, 500, 80)
    scene.warps[3].image.array[scene.trail(950.0, 550.0, 0.6)] += 20 * NOISE
    result = clip(scene)
    coadd, _ = masked_mean(scene.inputs(), scene.box, scene.projection, result.masks)
    bias = []
    for star in scene.stars[scene.stars["flux"] > 100 * NOISE * 5.85]:
        others = np.hypot(scene.stars["x"] - star["x"], scene.stars["y"] - star["y"])
        inside = min(star["x"] - scene.box.x.start, scene.box.x.stop - star["x"]) > 15
        if np.sort(others)[1] > 25 and inside:
            aperture = within(scene, star["x"], star["y"], 11.0)
            bias.append(coadd.image.array[aperture].sum() / star["flux"] - 1.0)
    assert len(bias) > 5
    assert abs(np.mean(bias)) < 1e-3


def test_without_artifacts_it_is_the_plain_mean() -> None:
    scene = make_scene(8, 300, 30)
    result = clip(scene)
    assert not result.masks
    coadd, n_image = masked_mean(scene.inputs(), scene.box, scene.projection, result.masks)
    plain, n_plain = assemble_coadd(scene.inputs(), scene.box, scene.projection, MEAN)
    np.testing.assert_array_equal(coadd.image.array, plain.image.array)
    np.testing.assert_array_equal(coadd.variance.array, plain.variance.array)
    np.testing.assert_array_equal(coadd.bits, plain.bits)
    np.testing.assert_array_equal(n_image, n_plain)


def test_variable_star_is_not_clipped() -> None:
    scene = make_scene(8, 200, 1, brightest=3.0)
    for n, flux in enumerate(np.linspace(0.3, 2.0, 8)):
        scene.add_star(n, 800.3, 400.6, 200 * NOISE * 5.85 * flux)
    assert not clip(scene).masks


def test_asteroid_that_moves_between_two_visits() -> None:
    scene = make_scene(8, 300, 1, brightest=30.0)
    spots = {2: (820.0, 420.0), 6: (850.0, 440.0)}
    for n, (x, y) in spots.items():
        for step in np.linspace(-4.0, 4.0, 9):
            scene.add_star(n, x + step, y, 10 * NOISE * 5.85)
    result = clip(scene)
    assert set(result.masks) == {3, 7}
    for n, (x, y) in spots.items():
        assert clipped(scene, result, n + 1)[within(scene, x, y, 4.0)].all()
        assert not clipped(scene, result, n + 1)[~within(scene, x, y, 25.0)].any()


def test_cosmic_rays_left_in() -> None:
    scene = make_scene(8, 300, 10)
    rng = np.random.default_rng(3)
    hits = [(int(x), int(y)) for x, y in rng.uniform(15, 285, (30, 2))]
    for x, y in hits:
        for step in range(rng.integers(1, 6)):
            scene.warps[5].image.array[y, x + step] += 80 * NOISE
    result = clip(scene)
    mask = clipped(scene, result, 6)
    alone = [
        (x, y)
        for x, y in hits
        if np.hypot(scene.stars["x"] - x - scene.box.x.start, scene.stars["y"] - y - scene.box.y.start).min() > 15
    ]
    assert len(alone) > 20
    assert np.mean([mask[y, x] for x, y in alone]) == 1.0
    assert set(result.masks) == {6}


def test_satellite_over_a_bright_star() -> None:
    scene = make_scene(8, 300, 1, brightest=3.0)
    for n in range(8):
        scene.add_star(n, 850.0, 450.0, 1000 * NOISE * 5.85)
    trail = scene.trail(850.0, 450.0, 0.4)
    scene.warps[2].image.array[trail] += 20 * NOISE
    result = clip(scene)
    assert set(result.masks) == {3}
    assert clipped(scene, result, 3)[trail].mean() > 0.999


def test_strips_do_not_show_in_what_is_clipped() -> None:
    scene = make_scene(6, 300, 30)
    scene.warps[3].image.array[scene.trail(850.0, 450.0, 0.6)] += 20 * NOISE
    whole = clip(scene)
    for megabytes in (0.03, 1.0):
        parts = clip(scene, SafeClipSettings(max_memory_mb=megabytes))
        assert parts.masks == whole.masks
        assert parts.clipped.footprints == whole.clipped.footprints
        assert parts.clipped.visits == whole.clipped.visits


def test_warps_cut_to_what_they_hold_give_the_same_masks() -> None:
    scene = make_scene(6, 300, 30)
    scene.warps[3].image.array[scene.trail(850.0, 450.0, 0.6)] += 20 * NOISE
    scene.detect()
    whole, cut = [], []
    for n, warp in enumerate(scene.warps):
        held = Box.factory[300 + 5 * n : 590 + n, 700 + 9 * n : 1000 - 7 * n]
        missing = np.ones(scene.box.shape, bool)
        missing[held.slice_within(scene.box)] = False
        warp.image.array[missing], warp.variance.array[missing] = np.nan, np.inf
        warp.bits[missing] = bitmask("NO_DATA")
        whole.append(CoaddInput(n + 1, 0.04, ExposureHandle(warp, n + 1), warp.bbox))
        cut.append(CoaddInput(n + 1, 0.04, ExposureHandle(warp[held], n + 1), held))
    one = safe_clip(whole, scene.box, scene.projection)
    other = safe_clip(cut, scene.box, scene.projection)
    assert set(one.masks) == {4}
    assert one.masks == other.masks


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_visits(n: int) -> None:
    scene = make_scene(n, 100, 5)
    scene.warps[0].image.array[40:50] += 20 * NOISE
    result = clip(scene)
    assert not result.masks
    assert "fewer than 3" in result.remarks[0]
    masked_mean(scene.inputs(), scene.box, scene.projection, result.masks)


def test_odd_warps_do_not_stop_the_others() -> None:
    scene = make_scene(8, 200, 10)
    trail = scene.trail(800.0, 400.0, 0.6)
    scene.warps[0].image.array[trail] += 20 * NOISE
    scene.detect()
    scene.warps[4].psf = None
    scene.warps[5].bits[...] &= ~np.int32(bitmask("DETECTED", "DETECTED_NEGATIVE"))
    scene.warps[6].image.array[...] = np.nan
    scene.warps[7].variance.array[...] = 0.0
    inputs = scene.inputs()
    assert [part.visit for part in inputs] == [1, 2, 3, 4, 5, 6]
    result = safe_clip(inputs, scene.box, scene.projection)
    assert set(result.masks) == {1}
    assert set(result.notes) == {6}
    assert clipped(scene, result, 1)[trail].all()


def test_nothing_to_combine() -> None:
    scene = make_scene(3, 60, 1)
    with pytest.raises(NoOverlapError, match="No warp"):
        safe_clip([], scene.box, scene.projection)
    for warp in scene.warps:
        warp.psf = None
    with pytest.raises(PsfError, match="width of the PSF"):
        safe_clip(scene.inputs(), scene.box, scene.projection)


def test_difference_is_mean_less_clipped_mean() -> None:
    scene = make_scene(7, 80, 5)
    scene.warps[2].image.array[30:40] += 50 * NOISE
    scene.warps[3].image.array[:5] = np.nan
    difference = build_difference_image(scene.inputs(), scene.box, scene.projection)
    mean, _ = assemble_coadd(scene.inputs(), scene.box, scene.projection, MEAN)
    settings = CoaddSettings(statistic=Statistic.MEANCLIP, sigma_clip=1.5, clip_iter=3)
    clip_mean, _ = assemble_coadd(scene.inputs(), scene.box, scene.projection, settings)
    expected = mean.image.array - clip_mean.image.array
    np.testing.assert_allclose(difference.image.array, expected, atol=1e-3)
    np.testing.assert_allclose(difference.variance.array, mean.variance.array + clip_mean.variance.array, rtol=1e-5)
    np.testing.assert_allclose(difference.clipped_mean.array, clip_mean.image.array, atol=1e-3, rtol=1e-6)


def test_regions_of_a_difference() -> None:
    scene = make_scene(3, 100, 1)
    difference = build_difference_image(scene.inputs(), scene.box, scene.projection)
    difference.image.array[...], difference.variance.array[...], difference.bits[...] = 0.0, 1.0, 0
    y, x = scene.box.y.start, scene.box.x.start
    for row, column, value in ((20, 20, 9.0), (60, 60, -9.0), (99, 0, 9.0)):
        difference.image.array[row, column] = value
    settings = ClipDetectionSettings(threshold=5.0, min_pixels=1, grow_sigmas=2.0, smooth=False)
    regions = detect_regions(difference, settings, 1.5)
    assert len(regions) == 3
    offsets = [(dx, dy) for dx in range(-3, 4) for dy in range(-3, 4) if dx * dx + dy * dy <= 9]
    assert regions.areas.tolist()[:2] == [len(offsets)] * 2
    assert regions.spans(0).contains([x + 20 + dx for dx, _ in offsets], [y + 20 + dy for _, dy in offsets]).all()
    assert difference.bits[60, 63] == bitmask("DETECTED_NEGATIVE")
    assert difference.bits[20, 17] == bitmask("DETECTED")
    diamond = ClipDetectionSettings(threshold=5.0, min_pixels=1, grow_sigmas=2.0, smooth=False, isotropic_grow=False)
    assert detect_regions(difference, diamond, 1.5).areas.tolist()[:2] == [25, 25]
    dark = ClipDetectionSettings(threshold=5.0, min_pixels=1, grow_sigmas=0.0, smooth=False, polarity="negative")
    assert detect_regions(difference, dark).areas.tolist() == [1]
    few = ClipDetectionSettings(threshold=5.0, min_pixels=2, grow_sigmas=2.0, smooth=False)
    assert len(detect_regions(difference, few, 1.5)) == 0
