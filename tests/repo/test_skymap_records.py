"""Sky maps of the whole sky in a repository: what is registered, overlap queries, and the commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from lsst.daf.butler import Butler, Config

from skyloom.cli.skymap import command
from skyloom.errors import RepositoryError
from skyloom.repo.skymap_definitions import read_definition
from skyloom.repo.skymap_export import export_outlines
from skyloom.repo.skymap_records import outlines_in_registry, register_around, register_tracts, registered_tracts
from skyloom.repo.skymap_store import read_sky_map, register_sky_map
from skyloom.skymap import (
    CellPatches,
    EquatorialSkyMap,
    HealpixSkyMap,
    RingsSkyMap,
    SkyMap,
    convex_polygon,
)

SURVEY = RingsSkyMap(
    name="survey", num_rings=120, projection="TAN", tract_overlap=1 / 60, pixel_scale=0.2, layout=CellPatches()
)
POINTINGS = [(150.2, 2.2), (150.98, 2.97), (359.98, 0.05), (40.0, 89.9)]


def call(*arguments: object) -> str:
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False).output


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with visits of two detectors beside each other."""
    path = tmp_path_factory.mktemp("skymaps") / "repo"
    Butler.makeRepo(str(path), config=Config(str(files("skyloom.repo") / "seed.yaml")))
    with Butler.from_config(str(path), writeable=True) as butler:
        insert = butler.registry.insertDimensionData
        limits = {"visit_max": 99, "exposure_max": 99, "detector_max": 9, "class_name": "x.y"}
        insert("instrument", {"name": "cam", **limits})
        insert("physical_filter", {"instrument": "cam", "name": "r", "band": "r"})
        insert("day_obs", {"instrument": "cam", "id": 20260101})
        for detector in range(2):
            insert("detector", {"instrument": "cam", "id": detector, "full_name": f"c{detector}"})
        for visit, (ra, dec) in enumerate(POINTINGS):
            key = {"instrument": "cam", "visit": visit}
            regions = [convex_polygon(*corners(ra, dec, side)) for side in (-0.06, 0.06)]
            whole = np.hstack([corners(ra, dec, side) for side in (-0.06, 0.06)])
            insert(
                "visit",
                {
                    "instrument": "cam",
                    "id": visit,
                    "name": str(visit),
                    "physical_filter": "r",
                    "day_obs": 20260101,
                    "region": convex_polygon(*whole),
                },
            )
            for detector, region in enumerate(regions):
                insert("visit_detector_region", {**key, "detector": detector, "region": region})
    return path


def corners(ra: float, dec: float, side: float) -> tuple[np.ndarray, np.ndarray]:
    """A square of 0.1 degrees, ``side`` to the north."""
    north = dec + side + 0.05 * np.array([-1, -1, 1, 1])
    over = north > 90
    east = ra + 0.05 * np.array([-1, 1, 1, -1]) / np.maximum(np.cos(np.radians(dec)), 0.1) + 180 * over
    return east % 360, np.where(over, 180 - north, north)


@pytest.fixture
def butler(root: Path) -> Iterator[Butler]:
    with Butler.from_config(str(root), writeable=True) as opened:
        yield opened


KINDS: list[SkyMap] = [
    SURVEY,
    EquatorialSkyMap(name="band", dec_range=(-1.25, 3.0), pixel_scale=4.0),
    HealpixSkyMap(name="pixels", nside=8, pixel_scale=2.0, tract_overlap=0.02),
]


@pytest.mark.parametrize("sky_map", KINDS, ids=lambda sky_map: sky_map.kind + " " + sky_map.name)
def test_queries_find_the_patches_that_overlap_the_frames(butler: Butler, sky_map: SkyMap) -> None:
    register_sky_map(butler, sky_map)
    assert read_sky_map(butler, sky_map.name) == sky_map
    outlines = outlines_in_registry(butler, "cam")
    assert outlines[0].shape == (2 * len(POINTINGS), 4)
    new = register_around(butler, sky_map, *outlines)
    assert register_around(butler, sky_map, *outlines) == 0
    where = {"skymap": sky_map.name, "instrument": "cam"}
    found = {
        (int(d["visit"]), int(d["detector"]), int(d["tract"]), int(d["patch"]))
        for d in butler.query_data_ids(["visit", "detector", "patch"], **where)
    }
    expected = {
        (int(record.visit), int(record.detector), tract.id, patch.id)
        for record in butler.query_dimension_records("visit_detector_region", instrument="cam")
        for tract, patches in sky_map.patches_overlapping(record.region)
        for patch in patches
    }
    assert found == expected != set()
    assert new < 4 * len({(tract, patch) for *_, tract, patch in expected})
    (record,) = butler.query_dimension_records("skymap", skymap=sky_map.name)
    assert (record.hash, record.tract_max) == (sky_map.sha1, len(sky_map))
    assert (record.patch_nx_max, record.patch_ny_max) == sky_map.n_patches_max


def test_registered_tracts_have_all_their_patches_once(butler: Butler) -> None:
    register_sky_map(butler, SURVEY)
    tract = SURVEY.tract(4000)
    assert register_tracts(butler, SURVEY, [4000]) == len(tract) == 100
    assert register_tracts(butler, SURVEY, [4000]) == 0
    register_sky_map(butler, SURVEY)
    records = butler.query_dimension_records("patch", skymap="survey", tract=4000)
    assert sorted((r.id, r.cell_x, r.cell_y) for r in records) == [(p.id, p.ix, p.iy) for p in tract.patches()]
    (record,) = butler.query_dimension_records("tract", skymap="survey", tract=4000)
    assert record.region == tract.region
    assert registered_tracts(butler, "survey")[4000] == 100


def test_same_geometry_under_another_name_is_refused(butler: Butler) -> None:
    register_sky_map(butler, SURVEY)
    with pytest.raises(RepositoryError, match="same geometry as 'survey'"):
        register_sky_map(butler, SURVEY.model_copy(update={"name": "twin"}))
    register_sky_map(butler, SURVEY.model_copy(update={"name": "public", "numbering": 0}))


def test_commands_make_register_find_and_show(root: Path) -> None:
    rings = ["--kind", "rings", "--num-rings", 120, "--pixel-scale", 0.168, "--projection", "TAN"]
    made = call("make", root, "hsc", *rings, "--overlap", 1 / 60, "-i", "cam", "--where", "visit = 0")
    assert 'hsc: 18938 tract(s), 0.168"/px, TAN, patches of 4000 x 4000 px with a border of 100' in made
    assert "tract 9813: centre 150.2479 +2.2314 deg, 9 x 9 patches (4 registered), 36000 x 36000 px" in made
    assert made.endswith("18937 tract(s) are not registered\n")
    assert call("register", root, "hsc", "-t", 9813) == "77 new patch(es)\n"
    assert call("register", root, "hsc", "-i", "cam", "--where", "visit = 2") != "0 new patch(es)\n"
    assert "tract 9813: centre 150.2479 +2.2314 deg, 9 x 9 patches, 36000" in call("show", root, "hsc")
    assert call("find", root, "hsc", 150.2479338842975, 2.2314049586776834) == (
        "tract 9813, patch 40 (4,4), pixel 17999.00 17999.00\n"
    )
    told = call("find", root, "hsc", "10:03:36", "-01:30:00").splitlines()
    assert [line.split(",")[0] for line in told] == ["tract 9085", "tract 9086", "tract 9328"]
    assert told[0] == "tract 9085, patch 73 (1,8), pixel 4029.20 33670.73, on patches 72 73"
    with pytest.raises(RepositoryError, match="18938 tracts; 18938 is not one of them"):
        call("register", root, "hsc", "-t", 18938)


def test_definition_file_goes_in_and_comes_out(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(
        "kind: discrete\npixel_scale: 0.3\nlayout: {kind: cells, cell_size: 100}\n"
        "tracts:\n- {ra: 10, dec: 0, radius: 0.2}\n"
    )
    assert "patches of 2000 x 2000 px with a border of 150, each of 22 x 22 cells" in call(
        "make", root, "mine", "--file", file
    )
    shown = tmp_path / "shown.yaml"
    shown.write_text(call("show", root, "mine", "--definition"))
    assert call("make", root, "mine", "--file", shown) == call("show", root, "mine")
    with pytest.raises(RepositoryError, match="is on no tract"):
        call("find", root, "mine", 10, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: rings\npixel_scale: -1\nnum_rings: 3\n", "map.yaml rings.pixel_scale: no sky map"),
        ("kind: healpix\nnside: 3\n", r"map.yaml healpix.nside: no sky map: nside must be a power of 2; 3 is none\.$"),
        ("kind: [", "no YAML"),
        ("rings", "no names with values"),
    ],
)
def test_wrong_definition_files_are_told(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(text)
    with pytest.raises(RepositoryError, match=message):
        read_definition(file, name="x")


def test_outlines_are_exported(root: Path, butler: Butler, tmp_path: Path) -> None:
    register_sky_map(butler, SURVEY)
    assert call("export", root, "survey", tmp_path / "a.reg", "-t", 9813, "--patches") == f"{tmp_path / 'a.reg'}\n"
    assert (tmp_path / "a.reg").read_text().count("polygon(") == len(SURVEY.tract(9813))
    for suffix in ("json", "fits"):
        export_outlines(SURVEY, [9813], tmp_path / f"a.{suffix}", order=6)
    cells = {int(level): numbers for level, numbers in json.loads((tmp_path / "a.json").read_text()).items()}
    with fits.open(tmp_path / "a.fits") as hdus:
        unique = hdus[1].data["UNIQ"]
        assert (hdus[1].header["ORDERING"], hdus[1].header["MOCORDER"]) == ("NUNIQ", 6)
    level = (np.log2(unique // 4) // 2).astype(int)
    again = {int(n): sorted((unique[level == n] - 4 * 4**n).tolist()) for n in np.unique(level)}
    assert again == {n: sorted(numbers) for n, numbers in cells.items()}
    with pytest.raises(RepositoryError, match=r"to .reg, .json or .fits"):
        export_outlines(SURVEY, [9813], tmp_path / "a.txt")
    register_sky_map(butler, SURVEY.model_copy(update={"name": "bare", "pixel_scale": 0.21}))
    with pytest.raises(RepositoryError, match="No tract of 'bare' is registered"):
        call("export", root, "bare", tmp_path / "a.reg")
    with pytest.raises(RepositoryError, match="18938 tracts; -1 is not one of them"):
        export_outlines(SURVEY, [-1], tmp_path / "a.reg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["make", "x"], "needs -c COLLECTIONS"),
        (["make", "x", "--kind", "rings", "--num-rings", 3, "--append-to", "y"], "--append-to is for discrete"),
        (["make", "x", "--kind", "rings", "--cells", "--patch-size", 5], "--cells has a size"),
        (["register", "survey"], "Say what to register"),
        (["find", "survey", "here", "0"], "'here' is no angle"),
    ],
)
def test_wrong_calls_are_told(root: Path, arguments: list[object], message: str) -> None:
    verb, *others = arguments
    result = CliRunner().invoke(command, [str(verb), str(root), *map(str, others)])
    assert result.exit_code == 2
    assert message in result.output
