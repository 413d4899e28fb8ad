"""Repositories are made once, cameras are added once, and a second camera finds its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from lsst.daf.butler import Butler
from lsst.pipe.base import Instrument
from tiny_camera import TINY

from skyloom.cli.init import command
from skyloom.errors import RepositoryError
from skyloom.instruments import Camera
from skyloom.repo.instrument import DescribedInstrument
from skyloom.repo.setup import Places, initialise, instruments, read_camera


def test_a_repository_knows_its_camera(repo: Path, tiny: Camera) -> None:
    with Butler.from_config(str(repo)) as butler:
        assert read_camera(butler) == tiny
        assert butler.collections.get_info("tiny/defaults").children == (
            "tiny/raw/all",
            "tiny/post_isr",
            "tiny/camera",
            "tiny/calib",
            "refcats",
            "skymaps",
        )
        detectors = butler.query_dimension_records("detector", instrument="tiny")
        assert [(record.id, record.full_name) for record in detectors] == [(0, "left"), (1, "right")]
        bands = {record.name: record.band for record in butler.query_dimension_records("physical_filter")}
        assert bands == {"r": "r", "g": "g", "none": "none"}
    assert (repo / "cameras" / "tiny.yaml").read_text() == tiny.to_yaml()


def test_the_registry_imports_the_instrument(repo: Path) -> None:
    with Butler.from_config(str(repo)) as butler:
        instrument = Instrument.fromName("tiny", butler.registry)
    assert isinstance(instrument, DescribedInstrument)
    assert instrument.getName() == "tiny"
    assert instrument.makeDefaultRawIngestRunName() == "tiny/raw/all"
    assert instrument.getRawFormatter({}).__name__ == "RawExposureFormatter"


def test_the_longest_name_fits_the_registry(tmp_path: Path) -> None:
    name = "n" * 32
    initialise(str(tmp_path / "repo"), Camera.from_yaml(TINY.replace("name: tiny\n", f"name: {name}\n")))
    with Butler.from_config(str(tmp_path / "repo")) as butler:
        assert Instrument.fromName(name, butler.registry).getName() == name


def test_initialising_again_changes_nothing(repo: Path, tiny: Camera) -> None:
    assert initialise(str(repo), tiny) == (False, False)


def test_a_second_camera_is_added(repo: Path, tiny: Camera) -> None:
    assert initialise(str(repo), Camera.read("simulated")) == (False, True)
    with Butler.from_config(str(repo)) as butler:
        assert instruments(butler) == ["simulated", "tiny"]
        assert read_camera(butler, "tiny") == tiny
        with pytest.raises(RepositoryError, match="simulated, tiny"):
            read_camera(butler)
        with pytest.raises(RepositoryError, match="no camera 'other'"):
            read_camera(butler, "other")


@pytest.mark.parametrize(
    ("old", "new"), [("gain: 2.0", "gain: 2.5"), ("g: {band: g}", "g: {band: green}")], ids=["text", "records"]
)
def test_another_description_needs_update(repo: Path, old: str, new: str) -> None:
    changed = Camera.from_yaml(TINY.replace(old, new))
    with pytest.raises(RepositoryError, match="--update"):
        initialise(str(repo), changed)
    assert initialise(str(repo), changed, update=True) == (False, True)
    with Butler.from_config(str(repo)) as butler:
        assert read_camera(butler) == changed


def test_other_folders_are_left_alone(tmp_path: Path, tiny: Camera) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RepositoryError, match="not empty"):
        initialise(str(tmp_path), tiny)


def test_a_database_of_its_own(tmp_path: Path, tiny: Camera) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.sqlite3'}"
    initialise(str(tmp_path / "repo"), tiny, places=Places(registry_db=url))
    assert (tmp_path / "elsewhere.sqlite3").exists()
    with Butler.from_config(str(tmp_path / "repo")) as butler:
        assert read_camera(butler) == tiny


def test_command(tmp_path: Path) -> None:
    repo = str(tmp_path / "repo")
    first = CliRunner().invoke(command, [repo, "--camera", "simulated"])
    assert first.exit_code == 0, first.output
    assert "Made the repository" in first.output
    assert "Nothing to do" in CliRunner().invoke(command, [repo, "--camera", "simulated"]).output
