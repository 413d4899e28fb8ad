"""Raw frames come in once; what is broken is told and left out."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from lsst.daf.butler import Butler
from tiny_camera import TINY, WriteFrame, tiny_header

from skyloom.cli.ingest import command
from skyloom.errors import RepositoryError
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.repo.frame_files import find_files
from skyloom.repo.ingest import ingest_raws


def reasons(result: Any) -> list[str]:
    return [str(rejection.error) for rejection in result.rejected]


def test_frames_come_in_with_their_exposures(butler: Butler, tiny: Camera, write_frame: WriteFrame) -> None:
    paths = [write_frame(5, detector) for detector in (0, 1)] + [write_frame(6, 0, FILTER="g")]
    result = ingest_raws(butler, tiny, paths, workers=2)
    assert (result.ingested, result.known, result.visits, reasons(result)) == (3, 0, 2, [])
    raw = butler.get("raw", instrument="tiny", exposure=5, detector=1, collections="tiny/defaults")
    assert isinstance(raw, RawExposure)
    assert raw.header["DETNUM"] == 1
    assert raw.file == str(paths[1])
    np.testing.assert_array_equal(raw.image, np.full((30, 24), 1005))
    assert tiny.complete(raw).projection is not None
    records = {record.id: record for record in butler.query_dimension_records("exposure", instrument="tiny")}
    five = records[5]
    assert (five.physical_filter, five.day_obs, five.exposure_time) == ("r", 20260102, 12.0)
    assert (five.observation_type, five.target_name, five.has_simulated) == ("science", "field", True)
    assert five.tracking_ra == pytest.approx(150.0)
    assert five.timespan.begin.utc.isot.startswith("2026-01-02T03:05:00.000")
    assert records[6].physical_filter == "g"


def test_a_second_call_brings_nothing_new(butler: Butler, tiny: Camera, write_frame: WriteFrame) -> None:
    paths = [write_frame(5, 0), write_frame(5, 1)]
    ingest_raws(butler, tiny, paths)
    again = ingest_raws(butler, tiny, paths)
    assert (again.ingested, again.known, again.visits, reasons(again)) == (0, 2, 0, [])


def test_ids_are_those_of_any_other_repository(
    butler: Butler, tiny: Camera, write_frame: WriteFrame, empty_repo: Path, tmp_path: Path
) -> None:
    path = write_frame(5, 0)
    twin = Path(shutil.copytree(empty_repo, tmp_path / "twin"))
    ids = []
    with Butler.from_config(str(twin), writeable=True) as other:
        for one in (butler, other):
            ingest_raws(one, tiny, [path])
            ids.append(one.query_datasets("raw", collections="tiny/raw/all")[0].id)
    assert ids[0] == ids[1]


@pytest.mark.parametrize("transfer", ["copy", "symlink"])
def test_transfers(butler: Butler, tiny: Camera, write_frame: WriteFrame, repo: Path, transfer: str) -> None:
    path = write_frame(5, 0)
    ingest_raws(butler, tiny, [path], transfer=transfer)
    place = Path(butler.getURI("raw", instrument="tiny", exposure=5, detector=0, collections="tiny/raw/all").ospath)
    assert place.is_relative_to(repo)
    assert place.is_symlink() == (transfer == "symlink")
    again = ingest_raws(butler, tiny, [path], transfer=transfer)
    assert (again.ingested, again.known, reasons(again)) == (0, 1, [])


def break_file(kind: str, path: Path) -> None:
    """Damage a good frame in one way."""
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[:-2000])
    elif kind == "header only":
        path.write_bytes(content[:2880])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "no FITS":
        path.write_bytes(b"hello world\n" * 500)
    elif kind == "no image":
        fits.PrimaryHDU(None, fits.getheader(path)).writeto(path, overwrite=True)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", "truncated"),
        ("header only", "truncated"),
        ("empty", "is empty"),
        ("no FITS", "not a whole FITS file"),
        ("no image", "no two-dimensional image"),
    ],
)
def test_broken_files_are_left_out(
    butler: Butler, tiny: Camera, write_frame: WriteFrame, kind: str, words: str
) -> None:
    good, bad = write_frame(5, 0), write_frame(6, 0)
    break_file(kind, bad)
    result = ingest_raws(butler, tiny, [good, bad])
    assert result.ingested == 1
    assert result.succeeded
    (reason,) = reasons(result)
    assert words in reason
    assert bad.name in reason
    assert [record.id for record in butler.query_dimension_records("exposure", instrument="tiny")] == [5]


def test_truncated_packed_files_are_left_out(butler: Butler, tiny: Camera, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 60000, (30, 24)).astype(np.uint16)
    plain, squeezed = tmp_path / "a.fits.gz", tmp_path / "b.fits.fz"
    fits.PrimaryHDU(pixels, tiny_header(5, 0)).writeto(plain)
    image = fits.CompImageHDU(pixels.astype(np.int32), tiny_header(6, 0), compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(squeezed)
    assert ingest_raws(butler, tiny, [plain, squeezed]).ingested == 2
    loaded = butler.get("raw", instrument="tiny", exposure=6, detector=0, collections="tiny/raw/all")
    np.testing.assert_array_equal(loaded.image, pixels)
    halves = [tmp_path / "c.fits.gz", tmp_path / "d.fits.fz"]
    whole = gzip.decompress(plain.read_bytes())
    with gzip.open(halves[0], "wb") as file:
        file.write(whole[: len(whole) // 2])
    halves[1].write_bytes(squeezed.read_bytes()[:-2880])
    result = ingest_raws(butler, tiny, halves)
    assert result.ingested == 0
    assert len(result.rejected) == 2
    cut = tmp_path / "e.fits.gz"
    cut.write_bytes(plain.read_bytes()[:-700])
    assert len(ingest_raws(butler, tiny, [cut]).rejected) == 1


def test_corrupt_packed_files_are_left_out(butler: Butler, tiny: Camera, tmp_path: Path) -> None:
    plain = tmp_path / "a.fits.gz"
    pixels = np.random.default_rng(1).integers(0, 60000, (30, 24)).astype(np.uint16)
    fits.PrimaryHDU(pixels, tiny_header(5, 0)).writeto(plain)
    whole = plain.read_bytes()
    broken = []
    for number, place in enumerate(np.linspace(40, len(whole) - 6, 40).astype(int)):
        broken.append(tmp_path / f"broken_{number}.fits.gz")
        broken[-1].write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
    result = ingest_raws(butler, tiny, [*broken, plain])
    assert result.ingested == 1
    assert len(result.rejected) == len(broken)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"EXPTIME": None}, "EXPTIME: the header lacks it, and the exposure time"),
        ({"INSTRUME": "other"}, "frames of tiny have"),
        ({"FILTER": "z"}, "none of the camera's filters"),
        ({"DETNUM": 7}, "none of tiny"),
        ({"pixels": np.zeros((30, 20), np.uint16)}, "(30, 20)"),
        ({"pixels": np.zeros((30, 0), np.uint16)}, "no two-dimensional image"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_unusable_headers_are_left_out(
    butler: Butler, tiny: Camera, write_frame: WriteFrame, changes: dict[str, Any], words: str
) -> None:
    result = ingest_raws(butler, tiny, [write_frame(6, 0, **changes)])
    assert not result.succeeded
    (reason,) = reasons(result)
    assert words in reason
    assert "tiny_6_0.fits" in reason
    assert list(butler.query_dimension_records("exposure", instrument="tiny", explain=False)) == []


def test_doubles_and_contradictions_are_left_out(butler: Butler, tiny: Camera, write_frame: WriteFrame) -> None:
    first = write_frame(5, 0)
    double = write_frame(5, 0, name="z_double.fits")
    other = write_frame(5, 1, name="z_other.fits", FILTER="g")
    result = ingest_raws(butler, tiny, [first, double, other])
    assert result.ingested == 1
    told = reasons(result)
    assert "already there, from" in told[0]
    assert "'g', 'science', 12.0" in told[1]
    later = ingest_raws(butler, tiny, [double, other])
    assert (later.ingested, len(later.rejected)) == (0, 2)


def test_calibration_frames_make_no_visits(butler: Butler, tiny: Camera, write_frame: WriteFrame) -> None:
    path = write_frame(9, 0, IMGTYPE="zero", RA=None, DEC=None, FILTER=None)
    result = ingest_raws(butler, tiny, [path])
    assert (result.ingested, result.visits) == (1, 0)
    (record,) = butler.query_dimension_records("exposure", instrument="tiny")
    assert (record.observation_type, record.physical_filter, record.tracking_ra) == ("bias", "none", None)
    assert list(butler.query_dimension_records("visit", instrument="tiny", explain=False)) == []


@pytest.mark.parametrize("transfer", ["direct", "copy", "move"])
def test_files_of_several_detectors(tmp_path: Path, transfer: str) -> None:
    from skyloom.repo.setup import initialise

    text = TINY.replace("name: left\n", "name: left\n    hdu: 1\n").replace("name: right,", "name: right, hdu: EAST,")
    camera = Camera.from_yaml(text.replace("  detector: DETNUM\n", ""))
    primary = tiny_header(5, 0)
    del primary["DETNUM"]
    images = [
        fits.ImageHDU(np.full((30, 24), value, np.int16), name=name) for value, name in ((7, "WEST"), (8, "EAST"))
    ]
    fits.HDUList([fits.PrimaryHDU(None, primary), *images]).writeto(tmp_path / "both.fits")
    initialise(str(tmp_path / "repo"), camera)
    with Butler.from_config(str(tmp_path / "repo"), writeable=True) as butler:
        result = ingest_raws(butler, camera, [tmp_path / "both.fits"], transfer=transfer)
        assert (result.ingested, reasons(result)) == (2, [])
        assert len(list((tmp_path / "repo").rglob("*.fits"))) == (0 if transfer == "direct" else 1)
        for detector, value in ((0, 7), (1, 8)):
            raw = butler.get("raw", instrument="tiny", exposure=5, detector=detector, collections="tiny/raw/all")
            assert raw.image[0, 0] == value
            assert raw.header["EXPNUM"] == 5
            header = butler.get(
                "raw.header", instrument="tiny", exposure=5, detector=detector, collections="tiny/raw/all"
            )
            assert header["EXTNAME"] == ("WEST", "EAST")[detector]
        assert (tmp_path / "both.fits").exists() == (transfer != "move")
        if transfer != "move":
            assert ingest_raws(butler, camera, [tmp_path / "both.fits"], transfer=transfer).known == 2


def test_finding_files(tmp_path: Path, write_frame: WriteFrame) -> None:
    path = write_frame(5, 0)
    (path.parent / "notes.txt").write_text("x")
    (path.parent / "deep").mkdir()
    deep = write_frame(6, 0, name="deep/x.FIT")
    assert find_files([path.parent, path]) == sorted([path, deep])
    with pytest.raises(RepositoryError, match="no such file"):
        find_files([tmp_path / "nothing"])
    (tmp_path / "void").mkdir()
    with pytest.raises(RepositoryError, match="no FITS file"):
        find_files([tmp_path / "void"])


def test_command_tells_what_was_left_out(repo: Path, write_frame: WriteFrame) -> None:
    good, bad = write_frame(5, 0), write_frame(6, 0, EXPTIME=None)
    first = CliRunner().invoke(command, [str(repo), str(good.parent)])
    assert first.exit_code == 0, first.output
    assert "1 frame(s) ingested, 0 known already, 1 visit(s) defined, 1 left out." in first.output
    assert bad.name in first.output
    assert "EXPTIME" in first.output
    second = CliRunner().invoke(command, [str(repo), str(good)])
    assert "Nothing new, 1 known already" in second.output
    only_bad = CliRunner().invoke(command, [str(repo), str(bad)])
    assert only_bad.exit_code == 1
