"""A survey whose registry is PostgreSQL and whose files lie in an object store, by jobs of ``bps``: the same products,
the same failures as on one machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bad_night import EMPTY, PIPELINES, Night, call, call_apart, counts, failures, good, run_all
from click.testing import Result
from lsst.daf.butler import Butler
from servers import ObjectStore, PostgreSQL

from skyloom.execute.journal import Journal

PLACE = "s3://survey/repo"
TOGETHER = """
  patch:
    pipetasks: make_direct_warp, assemble_coadd
    dimensions: skymap, tract, patch
  objects:
    pipetasks: detect_coadd_sources, measure_objects
    dimensions: skymap, tract, patch
  curves:
    pipetasks: forced_phot_visit
    dimensions: instrument
"""
"""Jobs that save the tests the imports of ten others."""
PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


@pytest.fixture(scope="module")
def environment(postgresql: PostgreSQL, object_store: ObjectStore) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**postgresql.environment, **object_store.environment}.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def far(night: Night, postgresql: PostgreSQL, environment: None) -> str:
    database = ("--registry-db", postgresql.url, "--registry-schema", "night")
    return night.repository(PLACE, *database, transfer="copy")


@pytest.fixture(scope="module")
def by_jobs(far: str, site: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """All three pipelines as jobs, those of a frame together, as the page says; outputs are ``far_PIPELINE``."""
    folder = tmp_path_factory.mktemp("submit")
    (together,) = re.findall(r"^```yaml\n(clusterAlgorithm.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    clustered = folder / "site.yaml"
    clustered.write_text(Path(site).read_text() + together.rstrip() + TOGETHER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        results = run_all(far, "far", "--site", str(clustered))
    jobs = [path.name for path in folder.rglob("logs/**/*.stderr")]
    assert sum("frame" in name for name in jobs) == EMPTY, jobs
    return results


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_jobs_make_what_one_machine_makes(
    pipeline: str, files: str, on_one_machine: dict[str, Result], far: str, by_jobs: dict[str, Result]
) -> None:
    here, there = on_one_machine[pipeline], by_jobs[pipeline]
    assert there.exit_code == here.exit_code == (pipeline == "drp"), there.output
    assert counts(there.output) == counts(here.output)
    compared = call("compare", f"{files}:here_{pipeline}", f"{far}:far_{pipeline}")
    assert compared.exit_code == 0, compared.output


def test_the_bad_frame_is_told_in_one_line_and_left_out(
    on_one_machine: dict[str, Result], far: str, by_jobs: dict[str, Result]
) -> None:
    (here,), (there,) = failures(on_one_machine["drp"].output), failures(by_jobs["drp"].output)
    place = re.compile(r"\[BAD-FRAME\] \S+:")
    assert place.sub("", there) == place.sub("", here)
    assert f"[BAD-FRAME] {PLACE}/" in there
    with Butler.from_config(far, collections=["far_drp"]) as butler:
        (coadd,) = butler.query_datasets("deep_coadd")
        assert set(butler.get(coadd.makeComponentRef("inputs"))["visit"]) == set(range(1, EMPTY))


def test_one_machine_goes_on_with_what_jobs_did(far: str, by_jobs: dict[str, Result]) -> None:
    """What failed is tried again by workers of this machine; all the rest is kept."""
    again = call_apart("run", "drp", far, "-i", "simulated/defaults", "-o", "far_drp", "-j", "2", "-q", "--retry")
    assert failures(again.stdout) == failures(by_jobs["drp"].output)
    rows = counts(again.stdout)
    assert rows["isr"] == [EMPTY - 1, 0, 1, EMPTY - 1, 0], again.stdout
    assert rows["calibrate_image"] == [EMPTY - 1, 1, 0, EMPTY - 1, 0], again.stdout
    for task in ("jointcal", "make_direct_warp", "assemble_coadd"):
        assert rows[task][0] == rows[task][3] > 0, again.stdout


def test_two_commands_cannot_write_to_one_run(far: str, by_jobs: dict[str, Result]) -> None:
    with Butler.from_config(far) as butler:
        (run, *_) = butler.collections.get_info("far_deep").children
        assert not Journal.is_open(butler, run)
        with closing(Journal(butler, run)):
            assert Journal.is_open(butler, run)
            other = call("run", "deep", far, "-i", "far_drp,simulated/defaults", "-o", "far_deep")
    assert "another process is running" in str(other.exception)


def test_the_files_lie_in_the_store(object_store: ObjectStore, by_jobs: dict[str, Result]) -> None:
    keys = object_store.keys("repo/")
    assert {"repo/butler.yaml", "repo/cameras/simulated.yaml"} <= keys
    assert any(key.startswith("repo/far_deep/") and "deep_coadd" in key for key in keys)
    assert not [key for key in keys if "skyloom_jobs" in key or key.endswith(".claim")]


def test_status_and_export_read_it(far: str, by_jobs: dict[str, Result], tmp_path: Path) -> None:
    assert "forced_phot_visit" in good("status", far, "-o", "far_catalogues").output
    good("export", far, "far_catalogues", "objects", "-o", str(tmp_path / "out"))
    assert list((tmp_path / "out").rglob("*.fits"))


def test_files_may_lie_apart_from_the_repository(
    tmp_path: Path, postgresql: PostgreSQL, object_store: ObjectStore, environment: None
) -> None:
    here = str(tmp_path / "repo")
    good("init", here, "--camera", "simulated", "--datastore", "s3://survey/apart")
    with Butler.from_config(here) as butler:
        assert {str(root) for root in butler.get_datastore_roots().values()} == {"s3://survey/apart/"}
    assert any("camera" in key for key in object_store.keys("apart/"))


def test_two_repositories_share_a_database(tmp_path: Path, far: str, postgresql: PostgreSQL, environment: None) -> None:
    other = str(tmp_path / "repo")
    good("init", other, "--camera", "sdss", "--registry-db", postgresql.url, "--registry-schema", "other")
    with Butler.from_config(other) as butler, Butler.from_config(far) as first:
        names = [[one.name for one in each.query_dimension_records("instrument")] for each in (butler, first)]
    assert names == [["sdss"], ["simulated"]]


def test_sqlite_cannot_lie_in_an_object_store(environment: None) -> None:
    result = call("init", "s3://survey/third", "--camera", "simulated")
    assert result.exit_code == 1
    assert "--registry-db" in str(result.exception)


def test_the_whole_way_refuses_a_uri_and_says_what_goes_instead() -> None:
    result = call("process", "raw", "-o", "s3://survey/fourth")
    assert result.exit_code == 2
    assert "--datastore" in result.output
