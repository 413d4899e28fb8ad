"""The look at folders as people have them: junk among the frames, other cameras, nothing at all, no room to write."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner, Result
from lsst.daf.butler import Butler
from sqlalchemy.exc import OperationalError

from repo.tiny_camera import TINY, tiny_header
from skyloom.cli import main, skyloom
from skyloom.errors import CameraError, RefcatError, RepositoryError, SkyloomError
from skyloom.execute.whole.inventory import frame_paths, look
from skyloom.execute.whole.masters_plan import certified_before
from skyloom.execute.whole.walk import check_writeable
from skyloom.instruments import Camera
from skyloom.interrupts import uninterrupted
from skyloom.repo.calibrations import import_calibrations, parse_validity
from skyloom.repo.incoming import ingest
from skyloom.repo.refcat import RefcatImport, import_refcat
from skyloom.repo.setup import initialise


def write(path: Path, exposure: int, detector: int = 0, **changes: object) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    pixels = np.random.default_rng([exposure, detector]).normal(1000.0, 3.0, (30, 24)).astype(np.uint16)
    fits.PrimaryHDU(pixels, tiny_header(exposure, detector, **changes)).writeto(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two visits of two detectors, three biases, and what else is found on disks."""
    root = tmp_path_factory.mktemp("night")
    raw = root / "raw"
    (root / "tiny.yaml").parent.mkdir(exist_ok=True)
    (root / "tiny.yaml").write_text(TINY)
    for exposure in (1, 2):
        for detector in (0, 1):
            write(raw / f"sky_{exposure}_{detector}.fits", exposure, detector)
    for exposure in (11, 12, 13):
        write(raw / "cal" / f"bias_{exposure}.fits", exposure, IMGTYPE="bias", EXPTIME=0.0)
    write(raw / "twice.fits", 1)
    write(raw / "other.fits", 5, INSTRUME="another")
    (raw / "short.fits").write_bytes((raw / "sky_1_0.fits").read_bytes()[:3000])
    (raw / "empty.fits").touch()
    (raw / "notes.txt").write_text("clouds at three")
    (raw / ".hidden.fits").write_text("")
    Table({"ra": [150.0], "dec": [2.0], "r": [12.0]}).write(raw / "stars.fits")
    return root


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the tiny camera, to be copied."""
    repo = tmp_path_factory.mktemp("made") / "repo"
    initialise(str(repo), Camera.from_yaml(TINY))
    return repo


@pytest.fixture
def repo(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "repo")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(skyloom, ["process", *map(str, arguments)], terminal_width=300)


def refused(kind: type[SkyloomError], *arguments: object) -> str:
    result = call(*arguments)
    assert isinstance(result.exception, kind), result.output
    return str(result.exception)


def test_junk_is_named_and_left_out(folder: Path) -> None:
    raw = folder / "raw"
    paths, n_others = frame_paths([raw], [raw / "stars.fits"])
    inventory = look(Camera.from_yaml(TINY), paths, n_others=n_others)
    assert n_others == 1
    assert [(one.exposure, one.detector, one.kind) for one in inventory.frames] == [
        (1, 0, "science"),
        (1, 1, "science"),
        (2, 0, "science"),
        (2, 1, "science"),
        *((exposure, 0, "bias") for exposure in (11, 12, 13)),
    ]
    causes = {one.path.name: one.error.cause for one in inventory.rejections}
    assert set(causes) == {"twice.fits", "other.fits", "short.fits", "empty.fits"}
    assert "already there" in causes["twice.fits"]
    assert "'another'" in causes["other.fits"]
    assert inventory.new == 7


def test_what_is_in_the_repository_counts_too(folder: Path, repo: Path) -> None:
    camera = Camera.from_yaml(TINY)
    first = [folder / "raw" / "sky_1_0.fits", folder / "raw" / "cal" / "bias_11.fits"]
    with Butler.from_config(str(repo), writeable=True) as butler:
        ingest(butler, camera, first)
        alone = look(camera, [], butler=butler)
        both = look(camera, [first[0], folder / "raw" / "sky_2_0.fits"], butler=butler)
    assert [(one.exposure, one.kind, one.night) for one in alone.frames] == [
        (1, "science", 20260102),
        (11, "bias", 20260102),
    ]
    assert alone.frames[0].corners is not None
    assert abs(float(np.mean(alone.frames[0].corners[0])) - 150.0) < 0.1
    assert [one.exposure for one in both.frames] == [1, 2, 11]
    assert (both.n_known, both.new) == (2, 1)


def test_a_plan_writes_nothing(folder: Path, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    result = call(
        folder / "raw", "-o", repo, "-c", folder / "tiny.yaml", "--refcat", folder / "raw" / "stars.fits", "--plan"
    )
    assert result.exit_code == 0, result.output
    assert "4 frames calibrated one by one" in result.output
    assert "left out short.fits: the file is truncated" in result.output
    assert "left out other.fits: INSTRUME: is 'another'" in result.output
    assert "Ingest it with its own camera" in result.output
    assert "bias: from 3 frames" in result.output
    assert "plain mean in r (2 visits)" in result.output
    assert "Estimate:" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_repository_has_one_caller_and_its_own_camera(folder: Path, repo: Path) -> None:
    with (repo / "butler.yaml").open("rb") as file:  # as another call would hold it
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another 'skyloom process'" in refused(RepositoryError, folder / "raw" / "cal", "-o", repo)
    before = sorted(path.stat().st_mtime_ns for path in repo.rglob("*.yaml"))
    result = call(folder / "raw" / "sky_1_0.fits", "-o", repo, "--skip", "calibrate", "--plan")
    assert result.exit_code == 0, result.output
    assert "camera tiny, which fits 1 of 1" in result.output
    assert sorted(path.stat().st_mtime_ns for path in repo.rglob("*.yaml")) == before


def test_frames_of_no_known_camera(folder: Path, tmp_path: Path) -> None:
    text = refused(CameraError, folder / "raw", "-o", tmp_path / "repo", "--plan")
    assert "MegaPrime, sdss, simulated" in text
    assert "--camera" in text


def test_nothing_to_work_on(folder: Path, tmp_path: Path) -> None:
    empty, camera = tmp_path / "empty", ("-c", folder / "tiny.yaml")
    empty.mkdir()
    repo = tmp_path / "repo"
    assert "no FITS file" in refused(RepositoryError, empty, "-o", repo, *camera)
    (empty / "notes.txt").write_text("clouds")
    assert "1 other file" in refused(RepositoryError, empty, "-o", repo, *camera)
    assert "no such file or folder" in refused(RepositoryError, tmp_path / "absent", "-o", repo, *camera)
    assert "there is no repository" in refused(RepositoryError, "-o", repo)
    only_other = folder / "raw" / "other.fits"
    assert "none of 1 file" in refused(RepositoryError, only_other, "-o", repo, *camera)
    one = folder / "raw" / "sky_1_0.fits"
    assert "there are r" in refused(RepositoryError, one, "-o", repo, *camera, "--band", "g")
    assert not repo.exists()


def test_frames_of_the_sky_need_reference_stars(folder: Path, tmp_path: Path) -> None:
    text = refused(RefcatError, folder / "raw", "-o", tmp_path / "repo", "-c", folder / "tiny.yaml")
    assert "skyloom refcat query --ra 150.0" in text
    assert "--skip calibrate" in text
    assert not (tmp_path / "repo").exists()


def test_a_place_that_cannot_be_written_to(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryError, match="nothing can be written"):
        check_writeable(str(tmp_path / "file" / "repo"))
    check_writeable(str(tmp_path / "new" / "repo"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_repository_whose_making_is_stopped_is_made_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, repo = Camera.from_yaml(TINY), tmp_path / "repo"

    def stop(root: str, **_: object) -> None:
        Path(root).mkdir()
        (Path(root) / "butler.yaml").write_text("half: of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(Butler, "makeRepo", stop)
        with pytest.raises(KeyboardInterrupt):
            initialise(str(repo), camera)
    assert list(repo.iterdir()) == []
    (repo / ".making-killed").mkdir()
    (repo / ".making-killed" / "gen3.sqlite3").touch()
    os.utime(repo / ".making-killed", (0.0, 0.0))
    assert initialise(str(repo), camera) == (True, True)
    assert initialise(str(repo), camera) == (False, False)
    assert not list(repo.glob(".*"))


def test_a_write_that_was_killed_is_undone_by_the_next_call(folder: Path, repo: Path) -> None:
    killed = f"""
import os, sqlite3
file = sqlite3.connect({str(repo / "gen3.sqlite3")!r})
file.executescript("PRAGMA cache_size=1; BEGIN; CREATE TABLE half (x);")
file.executemany("INSERT INTO half VALUES (?)", [("long" * 1000,)] * 100)
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    with pytest.raises(OperationalError):
        Butler.from_config(str(repo))
    result = call(folder / "raw" / "sky_1_0.fits", "-o", repo, "--skip", "calibrate", "--plan")
    assert result.exit_code == 0, result.output
    assert not (repo / "gen3.sqlite3-journal").exists()


def test_a_repository_that_cannot_be_opened(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "butler.yaml").write_text("a: [")
    assert "cannot be opened" in refused(RepositoryError, folder / "raw", "-o", tmp_path, "--plan")


def test_a_catalogue_of_places_off_the_sky(repo: Path, tmp_path: Path) -> None:
    stars = tmp_path / "stars.csv"
    Table({"ra": [150.0, 151.0], "dec": [95.0, 96.0], "r": [12.0, 13.0]}).write(stars)
    with Butler.from_config(str(repo), writeable=True) as butler:
        with pytest.raises(RefcatError, match="no row has a usable position"):
            import_refcat(butler, [stars], RefcatImport(name="stars", system="AB"))
        assert not list(butler.collections.query("refcats/*"))


def test_a_camera_file_of_other_bytes(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "camera.yaml").write_bytes(b"\x00\xff\xfe")
    assert "not valid YAML" in refused(CameraError, folder / "raw", "-o", tmp_path, "-c", tmp_path / "camera.yaml")


def test_what_nobody_foresaw_ends_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("skyloom.execute.whole.prepare.frame_paths", break_down)
    monkeypatch.delenv("SKYLOOM_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as stop:
        main(["process", str(tmp_path), "-o", str(tmp_path / "repo")])
    assert stop.value.code == 1
    assert capsys.readouterr().err == (
        "skyloom: unexpected, SKYLOOM_TRACEBACK=1 shows where: ZeroDivisionError: by nothing\n"
    )
    monkeypatch.setenv("SKYLOOM_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(["process", str(tmp_path), "-o", str(tmp_path / "repo")])


def test_workers_do_not_hear_of_an_interrupt() -> None:
    told = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    with uninterrupted():
        inside = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert inside.stdout == "True\n"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_masters_alone_are_made(folder: Path, tmp_path: Path) -> None:
    """Of a folder without a frame of the sky; what is made is not counted again."""
    repo = tmp_path / "night.2026"
    result = call(folder / "raw" / "cal", "-o", repo, "-c", folder / "tiny.yaml", "--quiet")
    assert result.exit_code == 0, result.output
    assert result.output == "masters: 1 bias\n"
    with Butler.from_config(str(repo)) as butler:
        (bias,) = butler.query_datasets("bias", "tiny/calib", find_first=False)
        assert np.median(butler.get(bias).image.array) == pytest.approx(0.0, abs=1.0)
    again = call("-o", repo, "--plan")
    assert "Estimate for what is left: 0 quanta" in again.output
    more = call(folder / "raw" / "sky_1_0.fits", "-o", repo, "--skip", "calibrate", "--plan")
    assert "Estimate for all, less what is kept of earlier calls: 2 quanta" in more.output


def test_masters_of_the_repository_are_not_replaced(folder: Path, repo: Path, tmp_path: Path) -> None:
    camera = Camera.from_yaml(TINY)
    master = tmp_path / "bias.fits"
    fits.PrimaryHDU(np.full((30, 20), 7.0, np.float32), fits.Header({"INSTRUME": "tiny"})).writeto(master)
    with Butler.from_config(str(repo), writeable=True) as butler:
        always = parse_validity(None, None)
        (imported,) = import_calibrations(butler, camera, "bias", [master], validity=always, detector=0)
        assert imported.error is None
        assert certified_before(butler, camera) == {"bias"}
    result = call(folder / "raw" / "cal", "-o", repo, "--plan")
    assert "bias: those of the repository" in result.output
    assert "from 3 frames" not in result.output
