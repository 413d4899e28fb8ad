"""Calibrations built from the frames of a repository: made, certified, kept, made anew, refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from click.testing import CliRunner, Result
from lsst.daf.butler import Butler, CollectionType, Timespan
from lsst.images import MaskedImage
from tiny_camera import TINY, WriteFrame, frame_writer

from skyloom.calibs import map_from_boxes
from skyloom.cli import skyloom
from skyloom.images import Exposure, bitmask, to_post_isr
from skyloom.instruments import Camera
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.setup import initialise, read_camera

HOT = (7, 12)
ALWAYS = Timespan(None, None)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(skyloom, [str(one) for one in arguments], terminal_width=300)


def sky(rng: np.random.Generator, *, hot: bool) -> np.ndarray:
    pixels = 1000 + rng.normal(0, 4, (30, 24))
    pixels[:, :20] += 100
    y, x = rng.integers(2, 28), rng.integers(2, 18)
    pixels[y - 1 : y + 2, x - 1 : x + 2] += 300
    if hot:
        pixels[HOT] += 90
    return np.rint(pixels).astype(np.uint16)


def counts(rng: np.random.Generator, level: float) -> np.ndarray:
    pixels = 1000 + rng.normal(0, 2, (30, 24))
    pixels[:, :20] += rng.poisson(2.0 * level, (30, 20)) / 2.0
    return np.rint(pixels).astype(np.uint16)


def afternoon(write_frame: WriteFrame, first: int = 100, **changes: Any) -> list[Path]:
    """Four biases, three darks and four flats of detector 0."""
    rng = np.random.default_rng(first)
    plan = [("bias", 0.0, 0.0)] * 4 + [("dark", 5.0, 100.0)] * 3 + [("flat", 8000.0, 1.0)] * 4
    return [
        write_frame(first + n, 0, pixels=counts(rng, level), IMGTYPE=kind, EXPTIME=seconds, **changes)
        for n, (kind, level, seconds) in enumerate(plan)
    ]


def night(write_frame: WriteFrame) -> list[Path]:
    """Eight exposures of the sky; detector 0 has a hot pixel, detector 1 only three frames."""
    rng = np.random.default_rng(1)
    files = [write_frame(n, 0, pixels=sky(rng, hot=True)) for n in range(1, 9)]
    return files + [write_frame(n, 1, pixels=sky(rng, hot=False)) for n in range(1, 4)]


def with_frames(empty_repo: Path, root: Path, frames: Callable[[WriteFrame], list[Path]]) -> Path:
    """A repository with such frames; copy it before writing to it."""
    repo, files = Path(shutil.copytree(empty_repo, root / "repo")), frames(frame_writer(root / "raw"))
    with opened(repo) as butler:
        assert ingest_raws(butler, read_camera(butler), files).ingested == len(files)
    return repo


@pytest.fixture(scope="module")
def of_afternoon(tmp_path_factory: pytest.TempPathFactory, empty_repo: Path) -> Path:
    return with_frames(empty_repo, tmp_path_factory.mktemp("afternoon"), afternoon)


@pytest.fixture(scope="module")
def of_night(tmp_path_factory: pytest.TempPathFactory, empty_repo: Path) -> Path:
    return with_frames(empty_repo, tmp_path_factory.mktemp("night"), night)


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory, of_afternoon: Path) -> tuple[Path, Result]:
    """The masters of the afternoon, and what was told; copy them before writing to them."""
    repo = Path(shutil.copytree(of_afternoon, tmp_path_factory.mktemp("masters") / "repo"))
    return repo, call("calibs", "build", repo, "-j", 2)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, of_night: Path) -> tuple[Path, Result]:
    """The defects of the night, and what was told; copy them before writing to them."""
    repo = Path(shutil.copytree(of_night, tmp_path_factory.mktemp("found") / "repo"))
    return repo, call("calibs", "defects", repo)


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    return lambda repo: Path(shutil.copytree(repo, tmp_path / "copy"))


def opened(repo: Path) -> Butler:
    return Butler.from_config(str(repo), writeable=True)


def certified(butler: Butler, kind: str, detector: int = 0, **data_id: Any) -> Any:
    found = butler.find_dataset(
        kind, instrument="tiny", detector=detector, collections="tiny/calib", timespan=ALWAYS, **data_id
    )
    return None if found is None else butler.get(found)


def defects(butler: Butler, detector: int = 0) -> np.ndarray | None:
    boxes = certified(butler, "defects", detector)
    return None if boxes is None else map_from_boxes(boxes, (30, 20))


def test_masters_of_an_afternoon(masters: tuple[Path, Result]) -> None:
    repo, result = masters
    assert result.exit_code == 0, result.output
    for text in (
        "bias of detector 0: 4 frames",
        "dark of detector 0: 3 frames",
        "flat of detector 0 physical_filter r",
    ):
        assert text in result.output
    with opened(repo) as butler:
        bias, dark = certified(butler, "bias"), certified(butler, "dark")
        flat = certified(butler, "flat", physical_filter="r")
    assert isinstance(bias, MaskedImage)
    assert bias.unit == u.adu
    assert abs(np.median(bias.image.array)) < 1.0
    assert dark.unit == u.electron / u.s
    assert np.median(dark.image.array) == pytest.approx(0.1, abs=0.02)  # 5 ADU of 2 electrons in 100 s
    assert np.median(flat.image.array) == pytest.approx(1.0, abs=1e-3)
    assert bias.metadata["LSST CALIB FRAMES"] == "100 101 102 103"


def test_once_more_keeps_and_new_frames_make_anew(
    masters: tuple[Path, Result], copy_of: Callable[[Path], Path], write_frame: WriteFrame
) -> None:
    repo = copy_of(masters[0])
    with opened(repo) as butler:

        def refs() -> tuple[Any, Any]:
            butler.registry.refresh()
            names = {"instrument": "tiny", "detector": 0, "physical_filter": "r"}
            bias, flat = (
                butler.find_dataset(kind, names, collections="tiny/calib", timespan=ALWAYS) for kind in ("bias", "flat")
            )
            return bias, flat

        def built() -> tuple[Any, Any]:
            assert call("calibs", "build", repo, "--kind", "bias", "--kind", "flat").exit_code == 0
            return refs()

        first = refs()
        assert None not in first
        assert built() == first
        rng = np.random.default_rng(9)
        new = write_frame(300, 0, pixels=counts(rng, 0.0), IMGTYPE="bias", EXPTIME=0.0)
        ingest_raws(butler, read_camera(butler), [new])
        second = built()
        assert second[0] != first[0]
        assert second[1] != first[1]
        assert butler.get(second[0]).metadata["LSST CALIB FRAMES"].endswith("300")


def test_masters_hold_until_new_ones_are_there(masters: tuple[Path, Result], copy_of: Callable[[Path], Path]) -> None:
    repo = copy_of(masters[0])
    with opened(repo) as butler:
        before = certified(butler, "bias")
        assert before is not None
        result = call("calibs", "build", repo, "--kind", "bias", "--where", "exposure IN (100, 101)")
        assert result.exit_code == 1
        assert "2 usable bias frames" in " ".join(result.output.split())
        butler.registry.refresh()
        np.testing.assert_array_equal(certified(butler, "bias").image.array, before.image.array)


def test_masters_for_other_dates_than_their_frames(of_afternoon: Path, copy_of: Callable[[Path], Path]) -> None:
    repo = copy_of(of_afternoon)
    result = call("calibs", "build", repo, "--begin", "2026-02-01", "--end", "2026-02-02")
    assert result.exit_code == 0, result.output
    assert "without a bias" not in result.output
    alone = call("calibs", "build", repo, "--begin", "2026-03-01", "--kind", "flat")
    assert "corrected without a bias" in alone.output


def test_too_few_and_saturated_frames_are_refused(repo: Path, butler: Butler, write_frame: WriteFrame) -> None:
    rng = np.random.default_rng(2)
    files = [write_frame(n, 0, pixels=counts(rng, 0.0), IMGTYPE="bias", EXPTIME=0.0) for n in (1, 2)]
    files += [write_frame(n, 0, pixels=counts(rng, 60000.0), IMGTYPE="flat") for n in (11, 12, 13)]
    ingest_raws(butler, read_camera(butler), files)
    result = call("calibs", "build", repo)
    assert result.exit_code == 1
    output = " ".join(result.output.split())
    assert "2 usable bias frames; 3 are the least" in output
    assert "0 usable flat frames; 3 are the least" in output
    assert "saturated as a whole" in output
    butler.registry.refresh()
    assert certified(butler, "bias") is None


def test_frames_of_another_mode_are_refused(tmp_path: Path, write_frame: WriteFrame) -> None:
    repo = tmp_path / "moded"
    initialise(str(repo), Camera.from_yaml(TINY.replace("exposure_max", "  mode: [SPEED]\nexposure_max")))
    files = afternoon(write_frame, SPEED="slow")[4:] + afternoon(write_frame, 200, SPEED="fast")[:4]
    with Butler.from_config(str(repo), writeable=True) as butler:
        camera = read_camera(butler)
        ingest_raws(butler, camera, files)
        refused = call("calibs", "build", repo)
        assert refused.exit_code == 1
        assert "different read-out modes: SPEED fast and slow" in " ".join(str(refused.exception).split())
        assert call("calibs", "build", repo, "--pedestal-only").exit_code == 0
        butler.registry.refresh()
        bias = certified(butler, "bias")
        assert np.ptp(bias.image.array) == 0
        assert bias.metadata["LSST CALIB PEDESTAL ONLY"] is True
        assert bias.metadata["LSST CALIB MODE SPEED"] == "fast"
        ingest_raws(butler, camera, [write_frame(900, 0, IMGTYPE="flat", SPEED="fast")])
        mixed = call("calibs", "build", repo, "--kind", "flat", "--pedestal-only")
        assert "flat frames of different read-out modes" in str(mixed.exception)


def test_defects_of_raw_frames(found: tuple[Path, Result]) -> None:
    repo, result = found
    assert result.exit_code == 1  # detector 1 has too few frames
    assert "detector 0: 1 hot and 0 cold" in result.output
    assert "from 8 frames" in result.output
    assert "5 are needed" in result.output
    with opened(repo) as butler:
        boxes = defects(butler)
        assert boxes is not None
        assert boxes[HOT]
        assert boxes.sum() <= 3
        assert defects(butler, 1) is None


def test_other_thresholds_make_them_anew(found: tuple[Path, Result], copy_of: Callable[[Path], Path]) -> None:
    repo = copy_of(found[0])
    assert "detector 0: 0 hot and 0 cold" in call("calibs", "defects", repo, "--threshold", 99).output
    with opened(repo) as butler:
        boxes = defects(butler)
    assert boxes is not None
    assert not boxes.any()


def test_what_was_imported_gives_way_when_told(of_night: Path, tmp_path: Path, copy_of: Callable[[Path], Path]) -> None:
    repo, table = copy_of(of_night), tmp_path / "mine.csv"
    table.write_text("x0,y0,width,height\n1,2,3,4\n")
    assert call("calibs", "import", repo, "defects", table, "--detector", 0).exit_code == 0
    refused = call("calibs", "defects", repo, "--detector", 0)
    assert "certified already" in str(refused.exception)
    assert call("calibs", "defects", repo, "--detector", 0, "--replace").exit_code == 0
    with opened(repo) as butler:
        boxes = defects(butler)
    assert boxes is not None
    assert boxes[HOT]
    assert not boxes[3, 2]


def test_post_isr_frames_keep_what_is_masked(repo: Path, butler: Butler, tiny: Camera, write_frame: WriteFrame) -> None:
    rng = np.random.default_rng(2)
    files = [write_frame(n, 1, pixels=sky(rng, hot=False)) for n in range(1, 9)]
    ingest_raws(butler, tiny, files)
    butler.collections.register("other", CollectionType.RUN)
    for exposure in range(1, 9):
        frame = Exposure.from_arrays(
            sky(rng, hot=True)[:, :20].astype(np.float32), unit=u.electron, detector=tiny.detector(0)
        )
        frame.bits[3, 4] = bitmask("BAD", "INTRP")
        butler.put(to_post_isr(frame), "post_isr", instrument="tiny", exposure=exposure, detector=0, run="other")
    result = call("calibs", "defects", repo, "--detector", 0, "--collections", "other,tiny/camera")
    assert result.exit_code == 0, result.output
    butler.registry.refresh()
    found = defects(butler)
    assert found is not None
    assert found[HOT]
    assert found[3, 4]
    assert found.sum() <= 4


def test_selection(of_night: Path, copy_of: Callable[[Path], Path]) -> None:
    repo = copy_of(of_night)
    assert "from 6 frames" in call("calibs", "defects", repo, "--detector", 0, "-d", "exposure > 2").output
    assert "from 5 frames" in call("calibs", "defects", repo, "--detector", 0, "--max-frames", 5).output
    nothing = call("calibs", "defects", repo, "-d", "exposure > 1000")
    assert "no science or dark frame" in str(nothing.exception)
