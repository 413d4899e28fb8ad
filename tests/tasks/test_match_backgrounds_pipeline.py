"""Warps in a repository to warps of one sky, and from there to a coadd."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from lsst.daf.butler import Butler, Config, DatasetType
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from backmatch.tract_visits import BIN, Visit, flat, make_warp, sky_map
from skyloom.background import render_field
from skyloom.images import from_warp, to_warp
from skyloom.repo.skymap_store import register_sky_map
from skyloom.tasks.match_backgrounds import DIFFERENCE

MAP = sky_map()
TRACT = MAP.tract(0)
WARP = ("instrument", "visit", "skymap", "tract", "patch")
VISITS = (
    Visit(number=1, sky=lambda x, y: 10.0 + 0.01 * x, covered=lambda x, y: x < 700),
    Visit(number=2, sky=flat(30.0), sigma=0.5),
    Visit(number=3, sky=lambda x, y: 5.0 - 0.02 * (y - 500), patches=(0, 1, 3)),
)
IN_ELECTRONS = (3, 1)
"""Visit and patch of a warp that was not calibrated."""


def fill(butler: Butler) -> None:
    insert = butler.registry.insertDimensionData
    insert("instrument", {"name": "tiny", "visit_max": 99, "detector_max": 9, "class_name": "x"})
    insert("physical_filter", {"instrument": "tiny", "name": "r", "band": "r"})
    insert("day_obs", {"instrument": "tiny", "id": 20260101})
    register_sky_map(butler, MAP)
    kind = DatasetType("psf_matched_warp", WARP, "WarpImage", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    for visit in VISITS:
        record = {"instrument": "tiny", "id": visit.number, "name": str(visit.number), "physical_filter": "r"}
        insert("visit", record | {"day_obs": 20260101, "region": TRACT.region})
        for patch in TRACT.patches():
            if visit.patches is not None and patch.id not in visit.patches:
                continue
            warp = make_warp(visit, patch)
            warp.inputs = Table({"visit": [visit.number], "detector": [0], "weight": [1.0], "n_pixels": [1]})
            if (visit.number, patch.id) == IN_ELECTRONS:
                warp.unit = u.electron
            key = {"instrument": "tiny", "visit": visit.number, "skymap": "field", "tract": 0, "patch": patch.id}
            butler.put(to_warp(warp), kind, key)


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    root = str(tmp_path_factory.mktemp("match") / "repo")
    Butler.makeRepo(root, config=Config(str(files("skyloom.repo") / "seed.yaml")))
    with Butler.from_config(root, writeable=True, run="warps") as butler:
        fill(butler)
        pipeline = Pipeline("match")
        pipeline.addTask("skyloom.tasks.MatchBackgroundsTask", "match")
        for name in ("xBin", "yBin"):
            pipeline.addConfigOverride("match", f"tractBgModel.{name}", float(BIN))
            pipeline.addConfigOverride("match", f"reference.tractBgModel.{name}", float(BIN))
        pipeline.addTask("skyloom.tasks.AssembleCoaddTask", "coadd")
        pipeline.addConfigOverride("coadd", "connections.warps", "psf_matched_warp_background_matched")
        writer = butler.clone(run="matched", collections=["warps", "skymaps"])
        executor = SimplePipelineExecutor.from_pipeline(pipeline, where="skymap = 'field'", butler=writer)
        executor.run(register_dataset_types=True)
        yield butler.clone(collections=["matched", "warps", "skymaps"])


def key(visit: int, patch: int) -> dict[str, str | int]:
    return {"instrument": "tiny", "visit": visit, "skymap": "field", "tract": 0, "patch": patch}


def stored(butler: Butler, name: str) -> set[tuple[int, int]]:
    return {(int(ref.dataId["visit"]), int(ref.dataId["patch"])) for ref in butler.query_datasets(name)}


def test_each_warp_has_its_match_and_its_background(butler: Butler) -> None:
    there = stored(butler, "psf_matched_warp") - {IN_ELECTRONS}
    assert stored(butler, "psf_matched_warp_background_matched") == there
    assert stored(butler, "psf_matched_warp_background_diff") == there


def test_matched_warps_have_the_sky_of_the_reference(butler: Butler) -> None:
    for visit, patch in stored(butler, "psf_matched_warp_background_matched"):
        matched = from_warp(butler.get("psf_matched_warp_background_matched", key(visit, patch)))
        before = from_warp(butler.get("psf_matched_warp", key(visit, patch)))
        assert matched.bbox == before.bbox
        assert list(matched.inputs["visit"]) == [visit]
        assert np.nanmean(matched.image.array) == pytest.approx(30.0, abs=0.03)
        assert np.nanmean(matched.image.array[:150] - 30.0) == pytest.approx(0.0, abs=0.1)
        field = butler.get("psf_matched_warp_background_diff", key(visit, patch))[DIFFERENCE].field
        added = render_field(field, matched.bbox)
        np.testing.assert_array_equal(matched.image.array, before.image.array + added)


def test_figures_and_metadata_are_kept(butler: Butler) -> None:
    data_id = {"skymap": "field", "tract": 0, "band": "r"}
    table = butler.get("psf_matched_warp_background_figures", data_id)
    assert list(table["is_reference"]) == [False, True, False]
    assert list(table["n_warps"]) == [4, 4, 2]
    assert table["offset_max"].unit == u.nJy
    metadata = butler.get("match_metadata", data_id)["match"]
    assert metadata["reference_visit"] == 2
    assert metadata.getArray("visit_n_measured") == list(table["n_measured"])


def test_coadd_of_matched_warps_has_no_steps(butler: Butler) -> None:
    for patch in range(4):
        coadd = butler.get("deep_coadd", {"skymap": "field", "tract": 0, "patch": patch, "band": "r"})
        tiles = coadd.image.array[:512, :512].reshape(8, 64, 8, 64).mean(axis=(1, 3))
        assert np.abs(tiles - 30.0).max() < 0.1
