"""PSF-matched warps against the static sky: what differs in few visits, and what must not be taken for that."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from coadd.artifact_scene import NOISE, Scene, make_scene
from skyloom.coadd import CoaddInput, CoaddSettings, ExposureHandle, Statistic, assemble_coadd, prepare_inputs
from skyloom.coadd.artifact_masks import combine_masks, masked_pixels
from skyloom.coadd.compare_settings import CompareWarpSettings, TemplateDetectionSettings
from skyloom.coadd.compare_warp import CompareWarpResult, compare_warps, max_epochs
from skyloom.coadd.masked_mean import masked_mean
from skyloom.coadd.safe_clip import safe_clip
from skyloom.errors import NoOverlapError
from skyloom.images import SpanSet, bitmask
from skyloom.warp import match_visit_warp

INNER = (slice(25, -25), slice(25, -25))
SETTINGS = CompareWarpSettings()


def matched(scene: Scene) -> dict[int, CoaddInput]:
    handles = [ExposureHandle(match_visit_warp(warp).warp, visit) for visit, warp in enumerate(scene.warps, 1)]
    return {part.visit: part for part in prepare_inputs(handles, ("NO_DATA",))[0]}


def compare(scene: Scene, settings: CompareWarpSettings = SETTINGS) -> CompareWarpResult:
    return compare_warps(scene.inputs(), matched(scene), scene.box, scene.projection, settings)


def plane(scene: Scene, result: CompareWarpResult, visit: int, name: str = "CLIPPED") -> np.ndarray:
    spans = result.masks.get(visit, {}).get(name, SpanSet.empty())
    return spans.to_mask(scene.box)


@pytest.mark.parametrize("n", [4, 10])
def test_stars_in_changing_seeing_are_no_artifacts(n: int) -> None:
    result = compare(make_scene(n, 400, 60))
    assert sum(result.n_artifacts.values()) == 0
    assert not result.streaks
    assert set(masked_pixels(result.masks, "CLIPPED", "STREAK").values()) == {0}


def test_trail_is_covered_in_its_visit() -> None:
    scene = make_scene(10, 400, 60)
    trail = scene.trail(900.0, 500.0, 0.6)
    scene.warps[1].image.array[trail] += 20 * NOISE
    result = compare(scene)
    mask = plane(scene, result, 2)
    assert mask[trail].mean() > 0.999
    assert not (mask & ~scene.trail(900.0, 500.0, 0.6, 30.0)).any()
    assert {visit for visit, planes in result.masks.items() if "CLIPPED" in planes} == {2}
    assert set(result.streaks) == {2}
    assert (plane(scene, result, 2, "STREAK") & ~mask).sum() == 0


def test_faint_trail_is_a_streak_and_no_candidate() -> None:
    scene = make_scene(8, 500, 30, brightest=50.0)
    trail = scene.trail(950.0, 550.0, 0.6)
    scene.warps[4].image.array[trail] += 0.6 * NOISE
    result = compare(scene)
    assert plane(scene, result, 5, "STREAK")[INNER][trail[INNER]].mean() > 0.99
    assert set(result.streaks) == {5}
    without = compare(scene, dataclasses.replace(SETTINGS, mask_streaks=False))
    assert plane(scene, without, 5)[trail].mean() < 0.1


def test_faint_trail_over_a_very_bright_star() -> None:
    scene = make_scene(6, 400, 20, brightest=50.0)
    for n in range(6):
        scene.add_star(n, 900.0, 500.0, 2000 * NOISE * 5.85)
    trail = scene.trail(900.0, 500.0, 1.4)
    scene.warps[4].image.array[trail] += NOISE
    result = compare(scene)
    assert result.template.bright[200, 200]
    assert plane(scene, result, 5, "STREAK")[INNER][trail[INNER]].mean() > 0.99


def test_asteroid_that_two_visits_see_at_one_place() -> None:
    scene = make_scene(8, 300, 1, brightest=3.0)
    for n, shift in ((2, 0.0), (6, 3.0)):
        for step in np.linspace(-4.0, 4.0, 9):
            scene.add_star(n, 850.0 + shift + step, 450.0, 10 * NOISE * 5.85)
    result = compare(scene)
    for visit in (3, 7):
        assert plane(scene, result, visit)[150, 147:154].all()
    assert {visit for visit, planes in result.masks.items() if "CLIPPED" in planes} == {3, 7}


def test_variable_star_is_no_artifact() -> None:
    scene = make_scene(8, 300, 1, brightest=3.0)
    for n, flux in enumerate(np.linspace(0.3, 2.0, 8)):
        scene.add_star(n, 850.3, 450.6, 200 * NOISE * 5.85 * flux)
    result = compare(scene)
    assert sum(result.n_candidates.values()) >= 4
    assert sum(result.n_artifacts.values()) == 0


def test_source_within_a_very_bright_one_is_left_alone() -> None:
    scene = make_scene(8, 300, 1, brightest=3.0)
    for n in range(8):
        scene.add_star(n, 850.0, 450.0, 3000 * NOISE * 5.85)
    scene.add_star(3, 853.0, 451.0, 100 * NOISE * 5.85)
    inputs, partners = scene.inputs(), matched(scene)
    kept = compare_warps(inputs, partners, scene.box, scene.projection)
    assert 4 not in {visit for visit, planes in kept.masks.items() if "CLIPPED" in planes}
    bare = dataclasses.replace(SETTINGS, preserve_contained=False)
    result = compare_warps(inputs, partners, scene.box, scene.projection, bare)
    assert plane(scene, result, 4)[151, 153]


@pytest.mark.parametrize(("n", "limit"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (10, 2), (33, 2), (34, 3), (100, 5)])
def test_number_of_epochs(n: int, limit: int) -> None:
    assert max_epochs(np.array([float(n)]), SETTINGS).tolist() == [limit]


def test_spatial_threshold() -> None:
    scene = make_scene(6, 200, 1, brightest=3.0)
    scene.add_star(3, 800.0, 400.0, 60 * NOISE * 5.85)
    inputs, partners = scene.inputs(), matched(scene)
    for threshold, found in ((0.0, True), (0.5, True), (1.0, False)):
        settings = dataclasses.replace(SETTINGS, spatial_threshold=threshold)
        result = compare_warps(inputs, partners, scene.box, scene.projection, settings)
        assert plane(scene, result, 4)[100, 100] == found


def test_pixels_without_matched_value_take_no_part() -> None:
    scene = make_scene(4, 200, 10, brightest=50.0)
    partners = matched(scene)
    inputs = scene.inputs()
    result = compare_warps(inputs, partners, scene.box, scene.projection)
    lost = plane(scene, result, 1, "NO_DATA")
    held = np.isfinite(partners[1].handle.get(component="image").array)
    inside = partners[1].bbox.slice_within(scene.box)
    expected = np.ones(scene.box.shape, bool)
    expected[inside] = ~held
    np.testing.assert_array_equal(lost, expected)
    coadd, n_image = masked_mean(inputs, scene.box, scene.projection, result.masks)
    assert n_image[100, 100] == 4
    assert n_image[0, 0] == 0
    assert coadd.bits[0, 0] & bitmask("NO_DATA")
    loose = compare_warps(
        inputs, partners, scene.box, scene.projection, dataclasses.replace(SETTINGS, require_matched=False)
    )
    assert not any("NO_DATA" in planes for planes in loose.masks.values())


def test_hole_of_the_static_sky_hides_no_trail_beside_it() -> None:
    scene = make_scene(5, 200, 5, brightest=50.0)
    trail = scene.trail(800.0, 400.0, 0.3)
    scene.warps[1].image.array[trail] += 20 * NOISE
    partners = matched(scene)
    hole = np.zeros(scene.box.shape, bool)
    hole[90:110, 95:105] = True
    for part in partners.values():
        frame = part.handle.get()
        lost = hole[frame.bbox.slice_within(scene.box)]
        frame.image.array[lost], frame.variance.array[lost], frame.bits[lost] = np.nan, np.inf, bitmask("NO_DATA")
    result = compare_warps(scene.inputs(), partners, scene.box, scene.projection)
    assert np.isnan(result.template.coadd.image.array[hole]).all()
    mask = plane(scene, result, 2)
    assert mask[INNER][(trail & ~hole)[INNER]].mean() > 0.999
    assert {visit for visit, planes in result.masks.items() if "CLIPPED" in planes} == {2}
    coadd, _ = masked_mean(scene.inputs(), scene.box, scene.projection, result.masks)
    assert (coadd.bits[hole] == bitmask("NO_DATA")).all()


def test_visit_without_matched_warp_takes_no_part() -> None:
    scene = make_scene(5, 150, 5, brightest=50.0)
    partners = matched(scene)
    del partners[2]
    result = compare_warps(scene.inputs(), partners, scene.box, scene.projection)
    assert result.unmatched == [2]
    assert "no PSF-matched" in result.notes[2]
    assert plane(scene, result, 2, "NO_DATA").all()
    _, n_image = masked_mean(scene.inputs(), scene.box, scene.projection, result.masks)
    assert n_image[75, 75] == 4
    with pytest.raises(NoOverlapError):
        compare_warps(scene.inputs(), {}, scene.box, scene.projection)


def test_edges_of_detectors_are_told() -> None:
    scene = make_scene(4, 150, 5, brightest=50.0)
    partners = matched(scene)
    exposure = partners[3].handle.get()
    exposure.bits[60:64] |= bitmask("EDGE")
    result = compare_warps(scene.inputs(), partners, scene.box, scene.projection)
    coadd, n_image = masked_mean(scene.inputs(), scene.box, scene.projection, result.masks)
    row = 60 + exposure.bbox.y.start - scene.box.y.start
    assert (
        coadd.bits[row, 70:80] & bitmask("SENSOR_EDGE", "INEXACT_PSF") == bitmask("SENSOR_EDGE", "INEXACT_PSF")
    ).all()
    assert (n_image[row, 70:80] == 4).all()
    assert not coadd.bits[row + 10, 70] & bitmask("SENSOR_EDGE")


def test_wrong_variances_are_scaled() -> None:
    scene = make_scene(6, 200, 5, brightest=50.0)
    partners = matched(scene)
    for visit, factor in ((2, 1 / 9.0), (3, 1e-3)):
        partners[visit].handle.get().variance.array[...] *= np.float32(factor)
    result = compare_warps(scene.inputs(), partners, scene.box, scene.projection)
    assert result.n_candidates[2] == 0
    assert result.n_candidates[3] > 0
    assert set(result.notes) == {3}
    assert "scatter" in result.notes[3]


def test_threshold_of_bright_sources_is_raised_in_a_crowd() -> None:
    scene = make_scene(4, 300, 30, brightest=1000.0)
    template = TemplateDetectionSettings(threshold=40.0, max_masked=0.2)
    result = compare(scene, dataclasses.replace(SETTINGS, template_detection=template))
    assert result.template.threshold > 40.0
    assert result.template.bright.mean() <= 0.2


def test_bad_pixels_make_no_candidates() -> None:
    scene = make_scene(5, 200, 5, brightest=50.0)
    partners = matched(scene)
    exposure = partners[2].handle.get()
    exposure.image.array[90:100, 90:100] += 1e4
    exposure.bits[90:100, 90:100] |= bitmask("BAD")
    exposure.bits[88:102, 88:102] |= bitmask("SUSPECT")
    assert compare_warps(scene.inputs(), partners, scene.box, scene.projection).n_candidates[2] == 0


def test_union_of_both_decisions() -> None:
    scene = make_scene(8, 400, 30, brightest=300.0)
    trail = scene.trail(900.0, 500.0, 0.6)
    scene.warps[1].image.array[trail] += 20 * NOISE
    scene.detect()
    inputs = scene.inputs()
    loose = dataclasses.replace(SETTINGS, require_matched=False)
    compared = compare_warps(inputs, matched(scene), scene.box, scene.projection, loose).masks
    clipped = safe_clip(inputs, scene.box, scene.projection).masks
    union, both = combine_masks(clipped, compared), combine_masks(clipped, compared, "intersection")
    one, other = (masks[2]["CLIPPED"].to_mask(scene.box) for masks in (clipped, compared))
    np.testing.assert_array_equal(union[2]["CLIPPED"].to_mask(scene.box), one | other)
    np.testing.assert_array_equal(both[2]["CLIPPED"].to_mask(scene.box), one & other)
    assert "STREAK" in union[2]
    assert set(both[2]) == {"CLIPPED"}
    assert both[2]["CLIPPED"].to_mask(scene.box)[trail].mean() > 0.999


def test_without_artifacts_the_coadd_is_the_plain_mean() -> None:
    scene = make_scene(6, 200, 10, brightest=300.0)
    result = compare(scene, dataclasses.replace(SETTINGS, require_matched=False))
    coadd, _ = masked_mean(scene.inputs(), scene.box, scene.projection, result.masks)
    plain, _ = assemble_coadd(scene.inputs(), scene.box, scene.projection, CoaddSettings(statistic=Statistic.MEAN))
    np.testing.assert_array_equal(coadd.image.array, plain.image.array)
    np.testing.assert_array_equal(coadd.variance.array, plain.variance.array)
