"""Defects from the frames of a repository: found, certified, replaced, refused."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from click.testing import CliRunner
from lsst.daf.butler import Butler, CollectionType
from tiny_camera import WriteFrame

from skyloom.calibs import DefectSettings, map_from_boxes
from skyloom.cli.calibs import command
from skyloom.errors import RepositoryError
from skyloom.images import Exposure, bitmask, to_post_isr
from skyloom.instruments import Camera
from skyloom.repo.calibrations import parse_validity
from skyloom.repo.defects import make_defects
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.setup import read_camera

HOT = (7, 12)
ALWAYS = parse_validity(None, None)


def sky(rng: np.random.Generator, *, hot: bool) -> np.ndarray:
    pixels = 1000 + rng.normal(0, 4, (30, 24))
    pixels[:, :20] += 100
    y, x = rng.integers(2, 28), rng.integers(2, 18)
    pixels[y - 1 : y + 2, x - 1 : x + 2] += 300
    if hot:
        pixels[HOT] += 90
    return np.rint(pixels).astype(np.uint16)


@pytest.fixture
def with_frames(butler: Butler, write_frame: WriteFrame) -> Camera:
    """Eight exposures; detector 0 has a hot pixel, detector 1 only three frames."""
    rng = np.random.default_rng(1)
    files = [write_frame(n, 0, pixels=sky(rng, hot=True)) for n in range(1, 9)]
    files += [write_frame(n, 1, pixels=sky(rng, hot=False)) for n in range(1, 4)]
    camera = read_camera(butler)
    assert ingest_raws(butler, camera, files).ingested == 11
    return camera


def certified(butler: Butler, detector: int = 0) -> np.ndarray | None:
    ref = butler.find_dataset(
        "defects", instrument="tiny", detector=detector, collections="tiny/calib", timespan=ALWAYS
    )
    return None if ref is None else map_from_boxes(butler.get(ref), (30, 20))


def test_raw_frames(butler: Butler, with_frames: Camera) -> None:
    good, short = make_defects(butler, with_frames, validity=ALWAYS)
    assert (good.detector, good.frames, good.error) == (0, 8, None)
    found = certified(butler)
    assert found is not None
    assert found[HOT]
    assert found.sum() <= 3
    assert short.found is None
    assert "5 are needed" in str(short.error)
    assert certified(butler, 1) is None


def test_once_more_replaces(butler: Butler, with_frames: Camera) -> None:
    make_defects(butler, with_frames, validity=ALWAYS, detectors=[0])
    with pytest.raises(RepositoryError, match="--replace"):
        make_defects(butler, with_frames, validity=ALWAYS, detectors=[0])
    (before,) = butler.query_datasets("defects", collections="*", find_first=False)
    make_defects(butler, with_frames, validity=ALWAYS, detectors=[0], replace=True)
    assert butler.query_datasets("defects", collections="*", find_first=False) == [before]
    make_defects(
        butler, with_frames, validity=ALWAYS, detectors=[0], settings=DefectSettings(threshold=99), replace=True
    )
    found = certified(butler)
    assert found is not None
    assert not found.any()


def test_post_isr_frames_keep_what_is_masked(butler: Butler, with_frames: Camera) -> None:
    rng = np.random.default_rng(2)
    butler.collections.register("tiny/post_isr", CollectionType.RUN)
    for exposure in range(1, 9):
        frame = Exposure.from_arrays(
            sky(rng, hot=True)[:, :20].astype(np.float32), unit=u.electron, detector=with_frames.detector(0)
        )
        frame.bits[3, 4] = bitmask("BAD", "INTRP")
        data_id = {"instrument": "tiny", "exposure": exposure, "detector": 0}
        butler.put(to_post_isr(frame), "post_isr", data_id, run="tiny/post_isr")
    make_defects(butler, with_frames, validity=ALWAYS, detectors=[0], frame_type="post_isr")
    found = certified(butler)
    assert found is not None
    assert found[HOT]
    assert found[3, 4]
    assert found.sum() <= 4


def test_selection(butler: Butler, with_frames: Camera) -> None:
    (result,) = make_defects(butler, with_frames, validity=ALWAYS, detectors=[0], where="exposure > 2")
    assert result.frames == 6
    (result,) = make_defects(butler, with_frames, validity=ALWAYS, detectors=[0], max_frames=5, replace=True)
    assert result.frames == 5
    with pytest.raises(RepositoryError, match="no raw or post_isr frame"):
        make_defects(butler, with_frames, validity=ALWAYS, where="exposure > 1000")


def test_command_line(repo: Path, butler: Butler, with_frames: Camera) -> None:
    result = CliRunner().invoke(command, ["defects", str(repo), "--detector", "0", "-d", "exposure > 1"])
    assert result.exit_code == 0, result.output
    assert "detector 0:" in result.output
    assert "from 7 frames" in result.output
    failed = CliRunner().invoke(command, ["defects", str(repo), "--detector", "1"])
    assert failed.exit_code == 1
    assert "BAD-FRAME" in failed.output
