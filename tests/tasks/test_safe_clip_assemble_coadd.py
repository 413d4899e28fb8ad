"""`SafeClipAssembleCoaddTask` and `CompareWarpAssembleCoaddTask`: methods, settings, decisions, what goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from lsst.pex.config import FieldValidationError
from lsst.pipe.base import NoWorkFound, Struct

from coadd.artifact_scene import NOISE, Scene, make_scene
from skyloom.coadd import ExposureHandle
from skyloom.images import bitmask, bits_of
from skyloom.tasks import AssembleCoaddTask, CompareWarpAssembleCoaddTask, SafeClipAssembleCoaddTask
from skyloom.warp import match_visit_warp

TRAIL = (850.0, 450.0, 0.6)


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Seven visits, with a trail in the third."""
    made = make_scene(7, 300, 20, brightest=300.0)
    made.warps[2].image.array[made.trail(*TRAIL)] += 20 * NOISE
    made.detect()
    return made


def handles(scene: Scene) -> list[ExposureHandle]:
    return [ExposureHandle(warp.copy(), visit) for visit, warp in enumerate(scene.warps, 1)]


def matched(scene: Scene) -> list[ExposureHandle]:
    return [ExposureHandle(match_visit_warp(warp).warp, visit) for visit, warp in enumerate(scene.warps, 1)]


def make(kind: Any = SafeClipAssembleCoaddTask, **settings: Any) -> Any:
    config = kind.ConfigClass()
    for name, value in settings.items():
        owner, _, last = name.rpartition("__")
        group = config
        for part in owner.split("__") if owner else ():
            group = getattr(group, part)
        setattr(group, last, value)
    config.validate()
    return kind(config=config)


def run(task: Any, scene: Scene, **more: Any) -> Struct:
    return task.run(handles(scene), box=scene.box, projection=scene.projection, band="r", **more)


def sky_info(scene: Scene) -> Struct:
    return Struct(bbox=scene.box, wcs=scene.projection, band="r")


def lists(task: Any, scene: Scene) -> tuple[Sequence[Any], Sequence[Any], Sequence[float]]:
    prepared = task.prepareInputs(handles(scene))
    return prepared.tempExpRefList, prepared.imageScalerList, prepared.weightList


def plain(scene: Scene) -> Struct:
    return run(make(AssembleCoaddTask, statistic="MEAN"), scene)


def test_run_masks_the_trail_in_its_visit(scene: Scene) -> None:
    task = make(doWriteArtifactMasks=True)
    result = run(task, scene)
    trail = scene.trail(*TRAIL)
    assert (result.n_image.array[trail] == 6).mean() > 0.999
    assert (result.coadd.bits[trail] & bitmask("CLIPPED") != 0).mean() > 0.999
    assert set(result.artifactMasks) == set(range(1, 8))
    for visit, mask in result.artifactMasks.items():
        marked = bits_of(mask) & bitmask("CLIPPED") != 0
        assert marked[trail].mean() > 0.999 if visit == 3 else not marked.any()
    assert result.coadd.metadata["coadd_statistic"] == "MEAN"
    assert list(task.metadata["clipped_pixels"]) == ["3"]
    away = bits_of(result.artifactMasks[3]) == 0
    assert away.mean() > 0.8
    np.testing.assert_array_equal(result.coadd.image.array[away], plain(scene).coadd.image.array[away])


def test_single_methods_are_the_steps_of_assemble(scene: Scene) -> None:
    task = make()
    whole = task.assemble(sky_info(scene), *lists(task, scene), None)
    difference = task.buildDifferenceImage(sky_info(scene), *lists(task, scene), None)
    found = task.detectClip(difference, lists(task, scene)[0])
    assert found.clipIndices == [[2]] == whole.clipIndices
    assert found.clipFootprints == whole.clipFootprints
    assert len(found.detectionFootprints) > 1
    before = found.tempExpClipList[2].planes["CLIPPED"].area
    assert before == found.clipFootprints[0].area
    big = task.detectClipBig(
        found.tempExpClipList,
        found.clipFootprints,
        found.clipIndices,
        bitmask("CLIPPED"),
        bitmask("DETECTED", "DETECTED_NEGATIVE"),
    )
    assert big == whole.bigFootprints
    assert len(big) == 1
    assert found.tempExpClipList[2].planes["CLIPPED"].area > before
    assert not any(warp.planes for warp in found.tempExpClipList if warp.visit != 3)
    masks = {warp.visit: warp.planes for warp in found.tempExpClipList}
    bits = task.getBadPixelMask() | bitmask("CLIPPED")
    base = task.assemble(sky_info(scene), *lists(task, scene), None, altMaskList=masks, mask=bits)
    np.testing.assert_array_equal(base.coaddExposure.image.array, whole.coaddExposure.image.array)
    np.testing.assert_array_equal(base.coaddExposure.bits, whole.coaddExposure.bits)
    np.testing.assert_array_equal(base.nImage.array, whole.nImage.array)


def test_inherited_assemble_looks_for_nothing(scene: Scene) -> None:
    task = make()
    nothing = task.assemble(sky_info(scene), *lists(task, scene), bgInfoList=None, altMaskList=[None] * 7)
    one = AssembleCoaddTask.assemble(task, sky_info(scene), *lists(task, scene))
    for result in (nothing, one):
        np.testing.assert_array_equal(result.coaddExposure.image.array, plain(scene).coadd.image.array)


def test_more_arguments_are_ignored(scene: Scene) -> None:
    task = make()
    one = task.assemble(sky_info(scene), *lists(task, scene), None)
    other = task.assemble(sky_info(scene), *lists(task, scene), None, "more", supplementaryData=Struct(a=1))
    np.testing.assert_array_equal(one.coaddExposure.image.array, other.coaddExposure.image.array)


def test_order_of_the_references_does_not_matter(scene: Scene) -> None:
    task = make()
    one = run(task, scene)
    other = task.run(handles(scene)[::-1], box=scene.box, projection=scene.projection, band="r")
    np.testing.assert_array_equal(one.coadd.image.array, other.coadd.image.array)
    np.testing.assert_array_equal(one.coadd.bits, other.coadd.bits)


def test_footprints_of_a_visit_that_another_knows_not(scene: Scene) -> None:
    task = make(minBigOverlap=10**6)
    result = task.assemble(sky_info(scene), *lists(task, scene), None)
    assert len(result.clipFootprints) == 1
    assert not result.bigFootprints


def test_without_artifacts_it_is_the_mean() -> None:
    clean = make_scene(6, 200, 10, brightest=300.0)
    clean.detect()
    one, other = run(make(), clean), plain(clean)
    np.testing.assert_array_equal(one.coadd.image.array, other.coadd.image.array)
    np.testing.assert_array_equal(one.coadd.variance.array, other.coadd.variance.array)
    np.testing.assert_array_equal(one.coadd.bits, other.coadd.bits)
    np.testing.assert_array_equal(one.n_image.array, other.n_image.array)


def test_clipped_where_data_was_lost_or_all_over_the_region(scene: Scene) -> None:
    column, _ = scene.grid()
    missing = (np.abs(column - 850.0) < 9.0) & scene.trail(*TRAIL, 40.0)
    frames = handles(scene)
    guilty = frames[2].get()
    guilty.image.array[missing], guilty.variance.array[missing] = np.nan, np.inf
    guilty.bits[missing] = bitmask("NO_DATA")
    flagged = {}
    for everywhere in (False, True):
        task = make(doFlagAllClipped=everywhere)
        prepared = task.prepareInputs(frames)
        lists = prepared.tempExpRefList, prepared.imageScalerList, prepared.weightList
        result = task.assemble(sky_info(scene), *lists, None)
        flagged[everywhere] = result.coaddExposure.bits & bitmask("CLIPPED") != 0
    region = np.any([spans.to_mask(scene.box) for spans in result.clipFootprints], axis=0)
    assert (region & missing).sum() > 100
    np.testing.assert_array_equal(flagged[False], flagged[True] & ~missing)
    assert flagged[True][region].all()


def test_union_and_intersection(scene: Scene) -> None:
    partners = matched(scene)
    counts = {}
    for decision in ("safeClip", "union", "intersection"):
        task = make(artifactDecision=decision, doWriteArtifactMasks=True)
        result = run(task, scene, psfMatchedWarps=partners)
        counts[decision] = int((bits_of(result.artifactMasks[3]) & bitmask("CLIPPED") != 0).sum())
        assert (result.coadd.bits[scene.trail(*TRAIL)] & bitmask("CLIPPED") != 0).mean() > 0.999
        assert (result.n_image.array >= 6).all()
    assert counts["intersection"] < counts["safeClip"] <= counts["union"]


def test_visits_without_matched_warp_keep_what_clipping_finds(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    alone = run(make(), scene)
    task = make(artifactDecision="intersection")
    with caplog.at_level(logging.WARNING):
        without = run(task, scene, psfMatchedWarps=[])
    assert "there are no PSF-matched warps" in caplog.text
    np.testing.assert_array_equal(without.coadd.bits, alone.coadd.bits)
    partners = [handle for handle in matched(scene) if handle.dataId["visit"] != 3]
    some = run(task, scene, psfMatchedWarps=partners)
    np.testing.assert_array_equal(some.coadd.image.array, alone.coadd.image.array)


def test_compared_warps_mask_the_trail(scene: Scene) -> None:
    task = make(CompareWarpAssembleCoaddTask, doWriteArtifactMasks=True, assembleStaticSkyModel__doWrite=True)
    result = run(task, scene, psfMatchedWarps=matched(scene))
    inner = np.zeros(scene.box.shape, bool)
    inner[25:-25, 25:-25] = True
    trail = scene.trail(*TRAIL)
    assert (result.n_image.array[trail & inner] == 6).all()
    assert (bits_of(result.artifactMasks[3])[trail & inner] & bitmask("STREAK") != 0).mean() > 0.99
    assert result.templateCoadd.bbox == scene.box
    assert task.metadata["n_artifacts"] >= 1
    assert list(task.metadata["streaks"]) == ["3"]


def test_visit_without_matched_warp(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    partners = [handle for handle in matched(scene) if handle.dataId["visit"] != 5]
    task = make(CompareWarpAssembleCoaddTask)
    with caplog.at_level(logging.WARNING):
        result = run(task, scene, psfMatchedWarps=partners[::-1])
    assert "visit 5: no PSF-matched warp" in caplog.text
    assert sorted(set(result.coadd.inputs["visit"])) == [1, 2, 3, 4, 6, 7]
    assert result.n_image.array.max() == 6
    with pytest.raises(NoWorkFound, match="nothing to compare"):
        run(task, scene)


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_visits_are_said(n: int, caplog: pytest.LogCaptureFixture) -> None:
    few = make_scene(n, 80, 3, brightest=50.0)
    few.detect()
    with caplog.at_level(logging.WARNING):
        result = run(make(), few)
    assert "cannot be told which one is wrong" in caplog.text
    assert (result.n_image.array == n).all()
    with pytest.raises(NoWorkFound):
        make().run([], box=few.box, projection=few.projection, band="r")


def test_warps_without_detections_and_without_values_are_said(caplog: pytest.LogCaptureFixture) -> None:
    odd = make_scene(6, 150, 5, brightest=100.0)
    odd.detect()
    odd.warps[0].bits[...] = 0
    odd.warps[1].image.array[...] = np.nan
    task = make()
    with caplog.at_level(logging.WARNING):
        result = run(task, odd)
    assert "visit 1: no detected pixel in its warp: it was searched here" in caplog.text
    assert "the warp of visit 2 is left out" in caplog.text
    assert list(task.metadata.getArray("visits_without_detections")) == [1]
    assert (result.n_image.array == 5).all()


def test_documented_defaults() -> None:
    config = SafeClipAssembleCoaddTask.ConfigClass()
    detection = config.clipDetection
    assert (config.statistic, config.sigmaClip, config.clipIter) == ("MEAN", 1.5, 3)
    assert (config.minClipFootOverlap, config.minClipFootOverlapSingle) == (0.6, 0.5)
    assert (config.minClipFootOverlapDouble, config.maxClipFootOverlapDouble) == (0.45, 0.15)
    assert config.minBigOverlap == 100
    assert (detection.thresholdType, detection.thresholdPolarity) == ("pixel_stdev", "both")
    assert detection.thresholdValue == 2.0
    assert (detection.nSigmaToGrow, detection.minPixels, detection.isotropicGrow) == (2.0, 4, True)
    for name in ("doTempLocalBackground", "reEstimateBackground", "returnOriginalFootprints"):
        assert getattr(detection, name) is False
    assert list(config.badMaskPlanes) == list(AssembleCoaddTask.ConfigClass().badMaskPlanes)
    other = CompareWarpAssembleCoaddTask.ConfigClass()
    sky = other.assembleStaticSkyModel
    assert (sky.warpType, sky.statistic, sky.sigmaClip, sky.clipIter) == ("psfMatched", "MEANCLIP", 2.5, 3)
    assert list(sky.badMaskPlanes) == ["NO_DATA"]
    assert (other.detect.thresholdValue, other.detect.nSigmaToGrow, other.detect.doSmooth) == (7.5, 0.4, False)
    assert (other.maxNumEpochs, other.maxFractionEpochsLow, other.maxFractionEpochsHigh) == (2, 0.4, 0.03)
    assert "EDGE" in other.removeMaskPlanes
    assert "EDGE" not in other.badMaskPlanes
    for one in (config, other):
        one.validate()


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (SafeClipAssembleCoaddTask, {"statistic": "MEANCLIP"}, "MEAN, not MEANCLIP"),
        (SafeClipAssembleCoaddTask, {"maxClipFootOverlapDouble": 0.5}, "must not be above"),
        (SafeClipAssembleCoaddTask, {"clipDetection__reEstimateBackground": True}, "difference is zero"),
        (CompareWarpAssembleCoaddTask, {"statistic": "MEDIAN"}, "MEAN, not MEDIAN"),
        (CompareWarpAssembleCoaddTask, {"assembleStaticSkyModel__doNImage": True}, "doNImage must be off"),
        (
            CompareWarpAssembleCoaddTask,
            {"assembleStaticSkyModel__doWrite": True, "assembleStaticSkyModel__warpType": "direct"},
            "must differ",
        ),
    ],
)
def test_settings_that_are_refused(kind: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldValidationError, match=words):
        make(kind, **settings)


@pytest.mark.filterwarnings("ignore:.*doSigmaClip.*:FutureWarning")
def test_clipping_by_pixels_is_switched_off(caplog: pytest.LogCaptureFixture) -> None:
    assert make(doSigmaClip=True).config.doSigmaClip is False
    assert "doSigmaClip is switched off" in caplog.text


def test_connections_follow_the_settings() -> None:
    def names(kind: Any, **settings: Any) -> set[str]:
        config = make(kind, **settings).config
        connections = config.connections.ConnectionsClass(config=config)
        return {*connections.inputs, *connections.outputs}

    assert not {"psfMatchedWarps", "artifactMasks", "templateCoadd"} & names(SafeClipAssembleCoaddTask)
    assert "psfMatchedWarps" in names(SafeClipAssembleCoaddTask, artifactDecision="union")
    assert "artifactMasks" in names(SafeClipAssembleCoaddTask, doWriteArtifactMasks=True)
    assert "artifactMasks" not in names(SafeClipAssembleCoaddTask, doWriteArtifactMasks=True, doWrite=False)
    assert "psfMatchedWarps" in names(CompareWarpAssembleCoaddTask)
    assert "templateCoadd" in names(CompareWarpAssembleCoaddTask, assembleStaticSkyModel__doWrite=True)


def test_documented_name_and_attributes() -> None:
    task = make()
    assert task.getName() == "safeClipAssembleCoadd"
    assert task.warpType == "direct"
    assert task.brightObjectBitmask == 0
    assert make(doMaskBrightObjects=True).brightObjectBitmask == bitmask("BRIGHT_OBJECT")
    assert isinstance(task, AssembleCoaddTask)
