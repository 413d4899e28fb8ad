"""A repository whose registry is PostgreSQL and whose files lie in an object store gives the same products."""

from __future__ import annotations

from collections.abc import Iterator
from subprocess import CompletedProcess

import pytest
from bad_night import Night, call, call_apart, failures, good
from click.testing import Result
from lsst.daf.butler import Butler
from servers import ObjectStore, PostgreSQL

PLACE = "s3://survey/repo"


@pytest.fixture(scope="module")
def environment(postgresql: PostgreSQL, object_store: ObjectStore) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**postgresql.environment, **object_store.environment}.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def far(night: Night, postgresql: PostgreSQL, environment: None) -> str:
    return night.repository(PLACE, "--registry-db", postgresql.url, "--registry-schema", "night")


@pytest.fixture(scope="module")
def far_run(far: str) -> CompletedProcess[str]:
    return call_apart("run", "drp", far, "-o", "far", "-j", "2", "-q")


def test_the_products_are_identical(
    files: str, on_one_machine: Result, far: str, far_run: CompletedProcess[str]
) -> None:
    assert far_run.returncode == on_one_machine.exit_code == 1, far_run.stderr
    assert failures(far_run.stdout) == failures(on_one_machine.output)
    compared = call("compare", f"{files}:here", f"{far}:far")
    assert compared.exit_code == 0, compared.output


def test_the_files_lie_in_the_store(object_store: ObjectStore, far_run: CompletedProcess[str]) -> None:
    keys = object_store.keys("repo/")
    assert {"repo/butler.yaml", "repo/cameras/simulated.yaml"} <= keys
    assert any(key.startswith("repo/far/") and "deep_coadd" in key for key in keys)


def test_the_same_command_again_keeps_everything(far: str, far_run: CompletedProcess[str]) -> None:
    again = call_apart("run", "drp", far, "-o", "far", "-j", "2", "-q")
    rows = {line.split()[0]: line.split()[1:] for line in again.stdout.splitlines() if line[:1].isalpha()}
    for task in ("isr", "calibrate_image", "jointcal", "assemble_coadd"):
        counts = [int(number) for number in rows[task]]
        assert counts[3] == sum(counts[:3]) > 0, again.stdout
    assert failures(again.stdout) == failures(far_run.stdout)


def test_status_and_export_read_it(far: str, far_run: CompletedProcess[str], tmp_path) -> None:
    assert "assemble_coadd" in good("status", far, "-o", "far").output
    good("export", far, "far", "deep_coadd", "-o", str(tmp_path / "out"))
    assert list((tmp_path / "out").rglob("*.fits"))


def test_files_may_lie_apart_from_the_repository(
    tmp_path, postgresql: PostgreSQL, object_store: ObjectStore, environment: None
) -> None:
    here = str(tmp_path / "repo")
    good("init", here, "--camera", "simulated", "--datastore", "s3://survey/apart")
    with Butler.from_config(here) as butler:
        assert {str(root) for root in butler.get_datastore_roots().values()} == {"s3://survey/apart/"}
    assert any("camera" in key for key in object_store.keys("apart/"))


def test_two_repositories_share_a_database(tmp_path, far: str, postgresql: PostgreSQL, environment: None) -> None:
    other = str(tmp_path / "repo")
    good("init", other, "--camera", "sdss", "--registry-db", postgresql.url, "--registry-schema", "other")
    with Butler.from_config(other) as butler, Butler.from_config(far) as first:
        names = [[one.name for one in each.query_dimension_records("instrument")] for each in (butler, first)]
    assert names == [["sdss"], ["simulated"]]


def test_sqlite_cannot_lie_in_an_object_store(environment: None) -> None:
    result = call("init", "s3://survey/third", "--camera", "simulated")
    assert result.exit_code == 1
    assert "--registry-db" in str(result.exception)
