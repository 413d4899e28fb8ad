"""Sky maps around calibrated frames, and the regions of those frames, in a repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner
from lsst.daf.butler import Butler, Config, DatasetType

from skyloom.cli.skymap import command
from skyloom.errors import RepositoryError
from skyloom.execute.between import prepare_sky
from skyloom.repo.regions import update_regions
from skyloom.repo.skymap_store import read_sky_map, register_sky_map
from skyloom.repo.skymaps import cover_fitted_frames, make_sky_map
from skyloom.skymap import DiscreteSkyMap, RingsSkyMap, TractCircle, convex_polygon

SCALE = 0.2503
SEED = {
    "storageClasses": {"SkyloomSkyMap": {"pytype": "skyloom.skymap.SkyMap"}},
    "datastore": {"formatters": {"SkyloomSkyMap": "skyloom.repo.formatters.SkyMapFormatter"}},
}
FRAMES = {1: [(150.0, 2.0), (150.1, 2.0)], 2: [(150.02, 2.03), (np.nan, np.nan)]}


def summary(centres: list[tuple[float, float]], half: float = 0.05) -> Table:
    ra = np.array([[r - half, r + half, r + half, r - half] for r, _ in centres])
    dec = np.array([[d - half, d - half, d + half, d + half] for _, d in centres])
    return Table(
        {
            "detector": np.arange(len(centres)),
            "ra_corners": ra,
            "dec_corners": dec,
            "pixel_scale": np.where(np.isnan(ra[:, 0]), np.nan, SCALE),
        }
    )


def put_visit(butler: Butler, visit: int, centres: list[tuple[float, float]]) -> None:
    insert = butler.registry.insertDimensionData
    insert(
        "visit",
        {
            "instrument": "cam",
            "id": visit,
            "name": str(visit),
            "physical_filter": "r",
            "day_obs": 20260101,
            "region": convex_polygon(np.array([10, 11, 11, 10]), np.array([0, 0, 1, 1])),
        },
    )
    butler.put(summary(centres), "visit_summary", instrument="cam", visit=visit)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("repo") / "repo"
    Butler.makeRepo(str(path), config=Config(SEED))
    with Butler.from_config(str(path), writeable=True, run="out") as butler:
        insert = butler.registry.insertDimensionData
        insert(
            "instrument",
            {"name": "cam", "visit_max": 99, "exposure_max": 99, "detector_max": 9, "class_name": "x.y"},
        )
        insert("physical_filter", {"instrument": "cam", "name": "r", "band": "r"})
        insert("day_obs", {"instrument": "cam", "id": 20260101})
        for detector in range(2):
            insert("detector", {"instrument": "cam", "id": detector, "full_name": f"c{detector}"})
        butler.registry.registerDatasetType(
            DatasetType("visit_summary", ("instrument", "visit"), "ArrowAstropy", universe=butler.dimensions)
        )
        for visit, centres in FRAMES.items():
            put_visit(butler, visit, centres)
    return path


@pytest.fixture
def butler(root: Path) -> Iterator[Butler]:
    with Butler.from_config(str(root), writeable=True, run="out") as opened:
        yield opened


def test_sky_map_encloses_every_fitted_frame_and_is_stable(butler: Butler) -> None:
    sky_map = make_sky_map(butler, "field", "out", instrument="cam", patch_size=500, border=50)
    assert len(sky_map) == 1
    assert sky_map.pixel_scale == SCALE
    for centres in FRAMES.values():
        table = summary([c for c in centres if np.isfinite(c[0])])
        assert sky_map.contains(table["ra_corners"], table["dec_corners"]).all()
    assert make_sky_map(butler, "field", "out", instrument="cam") == sky_map
    register_sky_map(butler, sky_map)
    assert read_sky_map(butler, "field") == sky_map
    assert read_sky_map(butler, "none") is None


def test_dimension_records_find_the_patches_of_a_frame(butler: Butler) -> None:
    sky_map = make_sky_map(butler, "field", "out", instrument="cam")
    assert update_regions(butler, "out", "cam") == (3, 2)
    assert update_regions(butler, "out", "cam") == (0, 0)
    tract = sky_map.tract(0)
    records = butler.query_dimension_records("patch", skymap="field", tract=0)
    assert [(r.id, r.cell_x, r.cell_y) for r in sorted(records, key=lambda r: r.id)] == [
        (p.id, p.ix, p.iy) for p in tract.patches()
    ]
    found = {
        int(d["patch"])
        for d in butler.query_data_ids(["visit", "detector", "patch"], skymap="field", instrument="cam", visit=2)
    }
    frame = summary(FRAMES[2])[:1]
    region = convex_polygon(frame["ra_corners"], frame["dec_corners"])
    assert found == {p.id for p in tract.patches() if p.region.overlaps(region) is not False} != set()
    (visit,) = butler.query_dimension_records("visit", instrument="cam", visit=1)
    assert not visit.region.contains(region)
    assert visit.physical_filter == "r"


def test_existing_map_with_other_pixels_or_geometry_is_refused(butler: Butler) -> None:
    sky_map = make_sky_map(butler, "field", "out", instrument="cam")
    with pytest.raises(RepositoryError, match=r"patch size 500, not 400.*another name"):
        make_sky_map(butler, "field", "out", instrument="cam", patch_size=400)
    with pytest.raises(RepositoryError, match="same geometry as 'field'"):
        register_sky_map(butler, sky_map.model_copy(update={"name": "twin"}))
    other = DiscreteSkyMap(name="field", tracts=(TractCircle(ra=1, dec=1, radius=1),), pixel_scale=1.0)
    with pytest.raises(RepositoryError, match="same name"):
        register_sky_map(butler, other)


def test_no_frames_is_an_error_that_says_what_to_do(butler: Butler) -> None:
    with pytest.raises(RepositoryError, match="Run the single-frame steps"):
        make_sky_map(butler, "empty", "out", instrument="cam", where="visit = 3")


def test_new_frames_outside_are_refused_and_far_ones_get_their_own_tract(butler: Butler) -> None:
    make_sky_map(butler, "field", "out", instrument="cam")
    put_visit(butler, 50, [(200.0, 40.0)])
    with pytest.raises(RepositoryError, match=r"1 of 4 frames .*visit 50, detector 0.*another name"):
        make_sky_map(butler, "field", "out", instrument="cam")
    wide = make_sky_map(butler, "wide", "out", instrument="cam", pixel_scale_arcsec=1.0)
    assert len(wide) == 2
    assert wide.tract(1).contains(200.0, 40.0)
    assert wide.tract(0).ra == pytest.approx(150.05, abs=0.01)


def test_tracts_around_new_frames_come_after_those_of_another_map(butler: Butler) -> None:
    first = make_sky_map(butler, "first", "out", instrument="cam", where="visit IN (1, 2)", patch_size=700)
    put_visit(butler, 60, [(100.0, -40.0)])
    both = make_sky_map(butler, "both", "out", instrument="cam", where="visit IN (1, 2, 60)", append_to="first")
    assert isinstance(both, DiscreteSkyMap)
    assert len(both) == 2
    assert both.tracts[:1] == first.tracts
    assert both.tract(0).patch(3).region == first.tract(0).patch(3).region
    assert both.tract(1).contains(100.0, -40.0)
    assert both.patch_size == (700, 700)
    with pytest.raises(RepositoryError, match=r"All 3 frames are within sky map 'first'"):
        make_sky_map(butler, "more", "out", instrument="cam", where="visit IN (1, 2)", append_to="first")
    with pytest.raises(RepositoryError, match="There is no sky map 'nowhere'"):
        make_sky_map(butler, "more", "out", instrument="cam", append_to="nowhere")


def test_settings_reach_the_sky_map_and_are_compared_with_an_existing_one(butler: Butler) -> None:
    settings = {"projection": "STG", "tract_overlap": 0.2}
    sky_map = make_sky_map(butler, "stg", "out", instrument="cam", where="visit = 1", settings=settings)
    assert (sky_map.projection, sky_map.tract_overlap) == ("STG", 0.2)
    assert make_sky_map(butler, "stg", "out", instrument="cam", where="visit = 1", settings=settings) == sky_map
    with pytest.raises(RepositoryError, match="with projection STG, not TAN"):
        make_sky_map(butler, "stg", "out", instrument="cam", where="visit = 1", settings={"projection": "TAN"})
    with pytest.raises(RepositoryError, match=r"discrete.projection.*no sky map"):
        make_sky_map(butler, "x", "out", instrument="cam", where="visit = 1", settings={"projection": "QQQ"})


def test_fitted_frames_are_covered_by_a_map_of_the_whole_sky(butler: Butler) -> None:
    register_sky_map(butler, RingsSkyMap(name="rings", num_rings=120, projection="TAN", pixel_scale=0.3))
    assert list(butler.query_dimension_records("patch", skymap="rings", explain=False)) == []
    assert prepare_sky(butler, "rings", ["out"], "cam") == "rings"
    patches = butler.query_dimension_records("patch", skymap="rings")
    frame = summary(FRAMES[1])[:1]
    region = convex_polygon(frame["ra_corners"], frame["dec_corners"])
    overlapping = read_sky_map(butler, "rings").patches_overlapping(region)
    expected = {(tract.id, patch.id) for tract, found in overlapping for patch in found}
    assert expected <= {(record.tract, record.id) for record in patches}
    assert cover_fitted_frames(butler, "rings", "out", instrument="cam") == 0
    assert make_sky_map(butler, "rings", "out", instrument="cam").kind == "rings"


def test_command_line_makes_and_shows(root: Path) -> None:
    arguments = [str(root), "cli", "-c", "out", "-i", "cam", "--where", "visit = 1", "--pixel-scale", "0.5"]
    made = CliRunner().invoke(command, ["make", *arguments], catch_exceptions=False)
    shown = CliRunner().invoke(command, ["show", str(root), "cli"], catch_exceptions=False)
    assert made.output == shown.output
    assert 'cli: 1 tract(s), 0.5"/px' in shown.output
    with pytest.raises(RepositoryError, match="no sky map 'x'"):
        CliRunner().invoke(command, ["show", str(root), "x"], catch_exceptions=False)
