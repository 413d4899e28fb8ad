"""Safe-clip and compare-warp coadds in a repository: frames to warps, matched warps, coadds and artifact masks."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import numpy as np
import pytest
from lsst.daf.butler import Butler, Config
from lsst.images import Box
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from skyloom.images import bitmask, bits_of, from_coadd
from skyloom.repo.regions import update_regions
from skyloom.repo.skymaps import make_sky_map
from skyloom.tasks.coadd_inputs import reason_of_pixels
from tasks.test_warp_and_coadd import SKY, fill

KINDS = {
    "safe": "SafeClipAssembleCoaddTask",
    "alone": "SafeClipAssembleCoaddTask",
    "compared": "CompareWarpAssembleCoaddTask",
}


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    root = str(tmp_path_factory.mktemp("artifacts") / "repo")
    Butler.makeRepo(root, config=Config(str(files("skyloom.repo") / "seed.yaml")))
    with Butler.from_config(root, writeable=True, run="frames") as butler:
        fill(butler)
        update_regions(butler, "frames", "tiny")
        make_sky_map(butler, "field", "frames", instrument="tiny", patch_size=600, border=30)
        pipeline = Pipeline("artifacts")
        pipeline.addTask("skyloom.tasks.MakeDirectWarpTask", "make_direct_warp")
        pipeline.addTask("skyloom.tasks.MakePsfMatchedWarpTask", "make_psf_matched_warp")
        pipeline.addConfigOverride("make_psf_matched_warp", "match.spatial_order", 0)
        for label, task in KINDS.items():
            pipeline.addTask(f"skyloom.tasks.{task}", label)
            pipeline.addConfigOverride(label, "doWriteArtifactMasks", True)
            for name in ("coadd", "n_image", "artifactMasks"):
                pipeline.addConfigOverride(label, f"connections.{name}", f"{label}_{name}")
        pipeline.addConfigOverride("safe", "artifactDecision", "union")
        pipeline.addConfigOverride("compared", "assembleStaticSkyModel.doWrite", True)
        writer = butler.clone(run="coadds", collections=["frames", "skymaps"])
        where = "skymap = 'field' AND band = 'r'"
        executor = SimplePipelineExecutor.from_pipeline(pipeline, where=where, butler=writer)
        executor.run(register_dataset_types=True)
        yield butler.clone(collections=["coadds", "frames", "skymaps"])


@pytest.mark.parametrize("label", KINDS)
def test_coadds_and_masks_are_written(butler: Butler, label: str) -> None:
    coadd = from_coadd(butler.get(f"{label}_coadd", SKY, band="r"))
    assert coadd.metadata["coadd_statistic"] == "MEAN"
    assert butler.get(f"{label}_n_image", SKY, band="r").array.max() <= 3
    masks = {
        ref.dataId["visit"]: butler.get(ref) for ref in butler.query_datasets(f"{label}_artifactMasks", find_first=True)
    }
    assert set(masks) >= {1, 2, 3}
    assert all(mask.bbox == coadd.bbox for mask in masks.values())


def test_streamed_warps_give_the_same(butler: Butler) -> None:
    pipeline = Pipeline("streamed")
    pipeline.addTask("skyloom.tasks.MakeCoaddFromFramesTask", "streamed")
    choice = "from skyloom.tasks import SafeClipAssembleCoaddTask as task; config.assemble_coadd.retarget(task)"
    pipeline.addConfigPython("streamed", choice)
    writer = butler.clone(run="streamed", collections=["frames", "skymaps"])
    executor = SimplePipelineExecutor.from_pipeline(pipeline, where="skymap = 'field' AND band = 'r'", butler=writer)
    executor.run(register_dataset_types=True)
    one = from_coadd(butler.clone(collections=["streamed"]).get("deep_coadd", SKY, band="r"))
    other = from_coadd(butler.get("alone_coadd", SKY, band="r"))
    assert (one.bits & bitmask("CLIPPED")).any()
    np.testing.assert_array_equal(one.image.array, other.image.array)
    np.testing.assert_array_equal(one.bits, other.bits)


def test_static_sky_is_written(butler: Butler) -> None:
    template = from_coadd(butler.get("deep_coadd_psf_matched", SKY, band="r"))
    assert template.psf is not None
    assert np.isfinite(template.image.array).mean() > 0.1


def test_trail_is_masked_in_its_visit(butler: Butler) -> None:
    mask = bits_of(butler.get("safe_artifactMasks", SKY, visit=2, instrument="tiny"))
    found = mask & bitmask("CLIPPED") != 0
    assert 300 < found.sum() < 0.2 * found.size
    coadd = from_coadd(butler.get("safe_coadd", SKY, band="r"))
    assert (coadd.bits[found] & bitmask("CLIPPED") != 0).mean() > 0.7
    held = np.isfinite(coadd.image.array)
    assert held.any()


def test_stored_warp_tells_its_pixels(butler: Butler) -> None:
    reference = next(iter(butler.query_datasets("direct_warp", data_id=SKY, find_first=True)))
    handle = butler.getDeferred(reference)
    tract = butler.get("sky_map", skymap=SKY["skymap"]).tract(SKY["tract"])
    box = tract.patch(SKY["patch"]).outer_bbox
    assert reason_of_pixels(handle, box, tract.projection) is None
    away = Box.factory[box.y.stop + 1000 : box.y.stop + 1010, box.x.start : box.x.stop]
    assert "none of the patch's" in str(reason_of_pixels(handle, away, tract.projection))
    other = handle.get(component="psf").components[0].projection
    assert "its sky projection is not that of the tract" in str(reason_of_pixels(handle, box, other))
