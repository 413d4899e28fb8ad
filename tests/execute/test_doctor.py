"""`skyloom doctor` names what was broken on purpose."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from lsst.daf.butler import Butler, CollectionType, DatasetType

from repo.tiny_camera import TINY
from skyloom.cli import skyloom
from skyloom.execute import machine
from skyloom.execute.finding import Finding
from skyloom.execute.health import check_repository
from skyloom.instruments import Camera
from skyloom.repo.setup import initialise


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("doctor") / "repo"
    initialise(str(root), Camera.from_yaml(TINY))
    with Butler.from_config(str(root), writeable=True) as butler:
        butler.registry.registerRun("results")
        kind = DatasetType("notes", ("instrument",), "StructuredDataDict", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        butler.put({"seeing": 0.7}, "notes", instrument="tiny", run="results")
    return root


@pytest.fixture
def repo(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "repo"))


def findings(repo: Path) -> list[Finding]:
    with Butler.from_config(str(repo)) as butler:
        return list(check_repository(butler, str(repo)))


def ailing(found: list[Finding]) -> list[Finding]:
    return [one for one in found if one.state != "ok"]


def test_a_new_repository_is_well(repo: Path) -> None:
    assert ailing(findings(repo)) == []


def test_a_dataset_without_its_file(repo: Path) -> None:
    next((repo / "results").rglob("*.yaml")).unlink()
    (finding,) = ailing(findings(repo))
    assert (finding.topic, finding.state) == ("files", "wrong")
    assert "2 datasets, 1 of them without a file" in finding.text
    assert "notes@{instrument: 'tiny'}" in finding.examples[0]
    result = CliRunner().invoke(skyloom, ["doctor", str(repo)])
    assert result.exit_code == 1
    assert "WRONG" in result.output


def test_files_without_datasets(repo: Path) -> None:
    (repo / "results" / "stray.fits").touch()
    (repo / "results" / "tmpabcdefgh.fits").touch()
    (repo / "report" / "visits").mkdir(parents=True)
    for name in ("index.html", "pages.json", "visits/visit_1.html"):
        (repo / "report" / name).touch()  # a site about a run
    half, stray = ailing(findings(repo))
    assert "1 half-written" in half.text
    assert half.examples == (str(repo / "results" / "tmpabcdefgh.fits"),)
    assert "1 files that no dataset has" in stray.text
    assert stray.examples == (str(repo / "results" / "stray.fits"),)


def test_a_repository_of_an_older_version(repo: Path) -> None:
    config = repo / "butler.yaml"
    config.write_text(config.read_text().replace("WarpImage:", "OldWarpImage:"))
    found = ailing(findings(repo))
    assert [one.state for one in found] == ["wrong"] * len(found) != []
    assert all("unknown to it: WarpImage" in one.text for one in found)


def test_a_dataset_type_of_another_version(repo: Path) -> None:
    with Butler.from_config(str(repo), writeable=True) as butler:
        butler.registry.removeDatasetType("ptc")
        kind = DatasetType("ptc", ("instrument",), "StructuredDataDict", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
    (finding,) = ailing(findings(repo))
    assert "of another version: ptc" in finding.text


def test_a_repository_without_a_camera(tmp_path: Path) -> None:
    Butler.makeRepo(str(tmp_path / "bare"))
    found = ailing(findings(tmp_path / "bare"))
    assert found[0].text == "no camera"
    assert any("unknown to it" in one.text for one in found[1:])


def test_a_run_that_was_stopped(repo: Path) -> None:
    from skyloom.execute.journal import Journal

    with Butler.from_config(str(repo), writeable=True) as butler:
        butler.collections.register("night/1", CollectionType.RUN)
        journal = Journal(butler, "night/1")
        journal.begin({"pipeline": "drp"})
        journal.start(("isr", "exposure=1"), [], "abc")
        journal.close()
    (finding,) = ailing(findings(repo))
    assert "night/1 was stopped at 1 quanta" in finding.text
    assert "goes on" in finding.cure


def test_packages_that_are_not_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.state for one in machine.check_versions()] == ["ok", "ok"]
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.0" if name == "numpy" else real(name))
    *_, packages = machine.check_versions()
    assert packages.state == "wrong"
    assert "numpy is 1.0, not" in packages.text


class Memory(NamedTuple):
    available: float
    total: float


def test_a_machine_with_little_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: Memory(0.5e9, 8e9))
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: type("Disk", (), {"free": 1e9}))
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (1e3, 0.0, 0.0))
    states = {one.topic: one.state for one in machine.check_machine(tmp_path)}
    assert states == {"machine": "look", "memory": "wrong", "disk": "look", "threads": "ok"}


def test_where_compiled_kernels_are() -> None:
    finding = machine.check_cache()
    assert finding.state in ("ok", "look")
    assert Path(finding.text.split(" in ")[1]).is_dir()
