"""The classic command line on a repository, and its products beside those of the pipelines."""

from __future__ import annotations

import logging
import pstats
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from lsst.daf.butler import Butler, CollectionType, DatasetType
from lsst.images import MaskedImage
from lsst.pipe.base import NoWorkFound, Struct
from lsst.utils.packages import Packages

from skyloom.cli import classic as scripts
from skyloom.errors import FrameError, RepositoryError
from skyloom.images import bitmask, bits_of, corner_polygon
from skyloom.skymap import convex_polygon
from skyloom.tasks import (
    AssembleCoaddTask,
    CfhtIsrTask,
    IsrTask,
    JointcalCoaddTask,
    SafeClipAssembleCoaddTask,
    classic_arguments,
)
from skyloom.tasks.classic import ClassicMismatchError
from skyloom.tasks.classic_runner import CoaddTaskRunner
from skyloom.tasks.classic_session import task_class_of
from skyloom.tasks.data_reference import ButlerDataRef, MissingDatasetError
from skyloom.tasks.frame_reference import PatchReference
from tasks.classic_survey import (
    DEADLY,
    LEVEL,
    MODERN,
    PATCH,
    VISITS,
    WITHOUT_FILE,
    DeadlyTask,
    make_survey,
    run_pipelines,
)
from tasks.joint_frames import BOX, OWN_SHIFT, STARS, projection, sky_map

WARPS = ["--id", "tract=0", "patch=0,0", "filter=r"]
FRAME = ["--id", "visit=1", "ccd=0"]
Run = Callable[..., Struct]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_survey(tmp_path_factory.mktemp("classic"))


@pytest.fixture(scope="module")
def butler(repository: str) -> Iterator[Butler]:
    with Butler.from_config(repository, writeable=True) as butler:
        yield butler


@pytest.fixture(scope="module", autouse=True)
def _opened_once(repository: str, butler: Butler) -> Iterator[None]:
    """To open a repository takes a good part of a command that does nothing else."""
    really, level = classic_arguments._open, logging.getLogger().level
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classic_arguments, "_open", lambda name: butler.clone() if name == repository else really(name))
        yield
    logging.getLogger().setLevel(level)


@pytest.fixture
def run(repository: str) -> Run:
    """Runs a task: (class, output, words ...)."""

    def parse_and_run(task: Any, output: str, *words: str, **kwargs: Any) -> Struct:
        given = [repository, "--input", "u/me/drp", "--output", output, *words]
        result: Struct = task.parseAndRun(args=given, **kwargs)
        return result

    return parse_and_run


@pytest.fixture(scope="module")
def made(repository: str) -> dict[str, Struct]:
    """Frames, warps and coadds of the classic commands in one output, with what the tasks returned."""
    found = {}
    for name, task, words in (
        ("isr", IsrTask, FRAME),
        ("warps", JointcalCoaddTask, WARPS),
        ("coadd", SafeClipAssembleCoaddTask, [*WARPS, "--selectId", "visit=1..3", "-c", "doWriteArtifactMasks=True"]),
    ):
        words = [repository, "--input", "u/me/drp", "--output", "u/me/c", *words]
        found[name] = task.parseAndRun(args=words, doReturnResults=True)
    return found


@pytest.fixture(scope="module")
def modern(repository: str, butler: Butler) -> Butler:
    run_pipelines(butler)
    return butler.clone(collections=MODERN)


def same(one: Any, other: Any) -> bool:
    """Whether two masked images have the same pixels."""
    return all(
        np.array_equal(getattr(one, name).array, getattr(other, name).array, equal_nan=name != "mask")
        for name in ("image", "variance", "mask")
    )


def test_corrected_frame_is_the_pipelines(made: dict[str, Struct], modern: Butler, butler: Butler) -> None:
    key = {"instrument": "tiny", "exposure": 1, "detector": 0}
    mine, theirs = (butler.get("post_isr", key, collections=where) for where in ("u/me/c", MODERN))
    assert same(mine, theirs)
    calibrations = [name for name in theirs.metadata if name.startswith("LSST CALIB")]
    assert calibrations
    assert all(mine.metadata[name] == theirs.metadata[name] for name in calibrations)
    (result,) = made["isr"].resultList
    np.testing.assert_array_equal(result.result.exposure.image.array, theirs.image.array)
    stored = butler.get("isr_metadata", key, collections="u/me/c")
    assert stored["isr"].to_dict().keys() >= modern.get("isr_metadata", key)["isr"].to_dict().keys() - {"quantum"}


def test_warps_are_the_pipelines(made: dict[str, Struct], modern: Butler, butler: Butler) -> None:
    (result,) = made["warps"].resultList
    assert [ref.dataId["visit"] for ref in result.result] == list(VISITS)
    for visit, ref in zip(VISITS, result.result, strict=True):
        key = {"instrument": "tiny", "visit": visit, **PATCH}
        mine, theirs = (butler.get("direct_warp", key, collections=where) for where in ("u/me/c", MODERN))
        assert np.isfinite(mine.image.array).any()
        assert same(mine, theirs)
        assert same(ref.get(), mine)
        figures = butler.get("jointcal_coadd_metadata", key, collections="u/me/c")
        assert figures["jointcal_coadd:inputRecorder"].getArray("direct_detectors") == [0, 1]


def test_coadd_is_the_pipelines(made: dict[str, Struct], modern: Butler, butler: Butler) -> None:
    coadd, theirs = (butler.get("deep_coadd", PATCH, band="r", collections=where) for where in ("u/me/c", MODERN))
    assert same(coadd, theirs)
    assert (bits_of(coadd.mask) & bitmask("CLIPPED")).any()
    (result,) = made["coadd"].resultList
    np.testing.assert_array_equal(result.result.coaddExposure.image.array, coadd.image.array)
    for name in ("deep_coadd_n_image", "artifact_mask"):
        key = PATCH | ({"band": "r"} if name != "artifact_mask" else {"instrument": "tiny", "visit": 2})
        mine, theirs = (butler.get(name, key, collections=where) for where in ("u/me/c", MODERN))
        np.testing.assert_array_equal(mine.array, theirs.array)
    figures = butler.get("safeClipAssembleCoadd_metadata", PATCH, band="r", collections="u/me/c")
    assert figures["safeClipAssembleCoadd"].getArray("visits") == list(VISITS)
    ref = butler.find_dataset("deep_coadd", PATCH, band="r", collections="u/me/c")
    assert ref is not None
    assert str(ref.id) in figures["quantum"].getArray("outputs")


def test_legacy_coadd_is_the_plain_task(
    made: dict[str, Struct], modern: Butler, butler: Butler, repository: str
) -> None:
    words = [repository, "--input", "u/me/c", "--output", "u/me/plain", *WARPS, "-c", "statistic=MEDIAN"]
    scripts.assemble_coadd([*words, "--legacyCoadd"])
    mine = butler.get("deep_coadd", PATCH, band="r", collections="u/me/plain/classic")
    assert mine.metadata["coadd_statistic"] == "MEDIAN"
    assert same(mine, modern.get("plain_coadd", PATCH, band="r"))
    assert butler.get("assemble_coadd_config", collections="u/me/plain").statistic == "MEDIAN"
    with pytest.raises(SystemExit, match="2"):
        scripts.assemble_coadd(words)  # the other task has no statistic but the mean


def test_run_takes_a_patch_or_warps(made: dict[str, Struct], butler: Butler) -> None:
    task = SafeClipAssembleCoaddTask()
    writer = butler.clone(collections=["u/me/c"], run="u/me/c/classic")
    patch = task.data_reference(writer, **PATCH, band="r")
    frames = [task.data_reference(writer, "exposures", instrument="tiny", visit=visit, detector=0) for visit in VISITS]
    task.config.doWrite = False
    by_patch = task.run(patch, frames)
    sky_info = task.getSkyInfo(patch)
    warps = [one.get(immediate=False) for one in task.getTempExpRefList(patch, frames)]
    by_warps = task.run(warps, box=sky_info.bbox, projection=sky_info.wcs, band="r")
    np.testing.assert_array_equal(by_patch.coaddExposure.image.array, by_warps.coadd.image.array)
    assert task.run(patch, []) is None
    none_there = patch.of("sky_map", patch=1)
    assert task.run(none_there, frames) is None


# ---- methods of the tasks


@pytest.fixture(scope="module")
def sensor(butler: Butler) -> ButlerDataRef:
    return _isr().data_reference(butler.clone(collections=["u/me/drp"]), instrument="tiny", exposure=1, detector=0)


def _isr(**changes: Any) -> IsrTask:
    config = IsrTask.ConfigClass()
    config.update(doBias=None, doDark=None, doFlat=None, doDefect=None, **changes)
    return IsrTask(config=config)


def test_calibrations_are_read_as_the_settings_want(sensor: ButlerDataRef) -> None:
    raw = sensor.get()
    before = raw.image.copy()
    data = _isr().readIsrData(sensor, raw)
    assert isinstance(data.bias, MaskedImage)
    assert data.bias.image.array.mean() == 100
    assert (data.dark, data.flat, data.crosstalkSources, data.fringes) == (None,) * 4
    np.testing.assert_array_equal(raw.image, before)
    config = IsrTask.ConfigClass()
    config.update(doBias=False, doDark=None, doFlat=None, doDefect=None)
    without = IsrTask(config=config)
    assert without.readIsrData(sensor, raw).bias is None
    task = _isr()
    exposure = task.run(sensor.get("camera").complete(raw, detector_id=0), **data.getDict()).exposure
    assert np.median(exposure.image.array) == pytest.approx(LEVEL - 100, abs=2)
    with pytest.raises(TypeError, match="not a dict"):
        task.readIsrData(sensor, {})  # type: ignore[arg-type]


def test_calibration_frames_one_by_one(sensor: ButlerDataRef, caplog: pytest.LogCaptureFixture) -> None:
    task = _isr()
    later = task.getIsrExposure(sensor, "bias", immediate=False)
    assert same(later(), task.getIsrExposure(sensor, "bias"))
    with pytest.raises(RuntimeError, match=r"no flat of instrument=tiny detector=0 exposure=1\. Import"):
        task.getIsrExposure(sensor, "flat")
    with pytest.raises(RuntimeError, match="nor of the fallback r"):
        _isr(fallbackFilterName="r").getIsrExposure(sensor, "flat")


def test_calibrations_of_another_filter(
    sensor: ButlerDataRef, butler: Butler, caplog: pytest.LogCaptureFixture
) -> None:
    butler.registry.syncDimensionData("physical_filter", {"instrument": "tiny", "name": "clear", "band": "w"})
    butler.collections.register("flats")
    flat = sensor.get("bias")
    butler.put(flat, "flat", instrument="tiny", detector=0, physical_filter="clear", run="flats")
    ref = butler.find_dataset("flat", instrument="tiny", detector=0, physical_filter="clear", collections="flats")
    assert ref is not None
    butler.registry.certify("tiny/calib", [ref], sensor.dataId.timespan)
    found = _isr(fallbackFilterName="clear").getIsrExposure(sensor, "flat")
    assert found.image.array.mean() == 100
    assert "using fallback clear for the flat" in caplog.text


def test_frames_are_selected_by_their_place(made: dict[str, Struct], butler: Butler) -> None:
    task, base = SafeClipAssembleCoaddTask(), JointcalCoaddTask()
    reader = butler.clone(collections=["u/me/c"])
    patch = task.data_reference(reader, **PATCH, band="r")
    frames = [
        base.data_reference(reader, "exposures", instrument="tiny", visit=visit, detector=one)
        for visit in (2, 1)
        for one in (0, 1)
    ]
    for one in (task, base):
        chosen = one.selectExposures(patch, selectDataList=frames)
        assert [(ref.visit, ref.detector) for ref in chosen] == [(1, 0), (1, 1), (2, 0), (2, 1)]
        config = type(one).ConfigClass()
        config.select.excludeDetectors = [1]
        kept = type(one)(config=config).selectExposures(patch, one.getSkyInfo(patch), frames)
        assert {ref.detector for ref in kept} == {0}
    # Smaller patches than those of the repository, most of which hold one detector or none.
    tiles, numbers = sky_map(60, 4), set()
    shapes = {one: convex_polygon(*corner_polygon(projection(one, OWN_SHIFT), BOX)) for one in STARS}
    for tile in tiles.tract(0).patches():
        away = PatchReference(sky_map=tiles, dataId={"tract": 0, "patch": tile.id})
        found = {ref.detector for ref in task.selectExposures(away, selectDataList=chosen[:2])}
        assert found == {one for one, shape in shapes.items() if tile.region.intersects(shape)}
        numbers.add(frozenset(found))
    assert {frozenset(), frozenset({0}), frozenset({1})} <= numbers
    # A data reference does for the methods on frames, with the joint fit of the tract in its data id.
    whole = frames[0].of("exposures", skymap="field", tract=0)
    calexp = base.getCalExp(whole, True)
    assert calexp.projection.pixel_to_sky(x=10.0, y=20.0).separation(
        projection(0).pixel_to_sky(x=10.0, y=20.0)
    ).arcsec == pytest.approx(0.0, abs=1e-3)


def test_warps_of_frames(made: dict[str, Struct], butler: Butler) -> None:
    task = SafeClipAssembleCoaddTask()
    reader = butler.clone(collections=["u/me/c"])
    patch = task.data_reference(reader, **PATCH, band="r")
    frames = [
        task.data_reference(reader, "exposures", instrument="tiny", visit=visit, detector=one)
        for visit, one in ((3, 0), (1, 0), (3, 1))
    ]
    warps = task.getTempExpRefList(patch, frames)
    assert [ref.dataId["visit"] for ref in warps] == [1, 3]
    assert all(ref.kind == "direct_warp" and ref.datasetExists() for ref in warps)
    assert not task.getTempExpRefList(patch.of("sky_map", patch=1), frames)[0].datasetExists()
    config = SafeClipAssembleCoaddTask.ConfigClass()
    config.warpType = "psfMatched"
    other = SafeClipAssembleCoaddTask(config=config)
    matched = other.data_reference(reader, **PATCH, band="r")
    assert other.getTempExpRefList(matched, frames)[0].kind == "psf_matched_warp"


def test_scaler_of_the_reference_warp(made: dict[str, Struct], butler: Butler) -> None:
    reader = butler.clone(collections=["u/me/c"])
    patch = SafeClipAssembleCoaddTask().data_reference(reader, **PATCH, band="r")
    assert SafeClipAssembleCoaddTask().getBackgroundReferenceScaler(patch) is None

    def chosen(visit: int) -> SafeClipAssembleCoaddTask:
        config = SafeClipAssembleCoaddTask.ConfigClass()
        config.autoReference = False
        config.matchBackgrounds.refWarpVisit = visit
        return SafeClipAssembleCoaddTask(config=config)

    scaler = chosen(2).getBackgroundReferenceScaler(patch)
    assert scaler is not None
    assert scaler.scale == pytest.approx(10 ** (-0.4 * (31.4 - 27.0)))
    with pytest.raises(RuntimeError, match="no warp of visit 3, to whose sky"):
        chosen(3).getBackgroundReferenceScaler(patch.of("sky_map", patch=1))
    with pytest.raises(RuntimeError, match="no visit 99"):
        chosen(99).getBackgroundReferenceScaler(patch)


def test_bright_objects_of_a_patch(butler: Butler, caplog: pytest.LogCaptureFixture) -> None:
    task = SafeClipAssembleCoaddTask()
    patch = task.data_reference(butler.clone(collections=["u/me/drp"]), **PATCH, band="r")
    assert task.readBrightObjectMasks(patch) is None
    assert "there is no bright_object_mask" in caplog.text
    dimensions = ("skymap", "tract", "patch", "band")
    kind = DatasetType("bright_object_mask", dimensions, "ArrowAstropy", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    table = Table({"id": [1], "ra": [150.0], "dec": [2.0], "type": ["circle"], "radius": [2.0]})
    ref = butler.put(table, kind, patch.dataId, run="frames")
    found = task.readBrightObjectMasks(replace(patch, known={}))
    assert found is not None
    assert found["radius"].tolist() == [2.0]
    Path(butler.getURI(ref).ospath).write_bytes(b"no table")
    assert task.readBrightObjectMasks(replace(patch, known={})) is None


def test_supplementary_data_are_a_hook(made: dict[str, Struct], butler: Butler) -> None:
    calls: list[Any] = []

    class Prepared(AssembleCoaddTask):
        def makeSupplementaryData(self, *given: Any) -> None:  # noqa: N802
            calls.append(given)

    config = Prepared.ConfigClass()
    config.doWrite, config.statistic = False, "MEAN"
    task = Prepared(config=config)
    reader = butler.clone(collections=["u/me/c"])
    patch = task.data_reference(reader, **PATCH, band="r")
    frames = [task.data_reference(reader, "exposures", instrument="tiny", visit=1, detector=0)]
    found = task.runDataRef(patch, frames)
    assert calls == [(patch, frames)]
    assert found is not None
    assert set(found.coaddExposure.inputs["visit"]) == {1}
    assert AssembleCoaddTask().makeSupplementaryData(patch, frames) is None  # type: ignore[func-returns-value]


def test_settings_are_changed_in_order(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: str
) -> None:
    seen = []

    def hook(config: Any) -> None:
        seen.append((config.doBias, config.doDark))
        config.doDark, config.expectWcs = False, False

    monkeypatch.setattr(IsrTask, "applyOverrides", hook)
    folder = Path(repository) / "config" / "tiny"
    folder.mkdir(parents=True)
    (folder / "isr.py").write_text("config.doDark = True\n")
    file = tmp_path / "mine.py"
    file.write_text("config.overscan.order = 2\nconfig.expectWcs = True\n")
    words = ["-c", "overscan.order=3", "-C", str(file), "-c", "qa.saveStats=True", "--no-versions"]
    config = run(IsrTask, "u/me/order", *words).parsedCmd.config
    assert seen == [(None, True)]  # the pipeline of the camera, then the file of the repository
    assert (config.doDark, config.expectWcs, config.overscan.order, config.qa.saveStats) == (False, True, 2, True)
    (folder / "isr.py").unlink()
    backwards = ["-C", str(file), "-c", "overscan.order=3", "--no-versions"]
    assert run(IsrTask, "u/me/backwards", *backwards).parsedCmd.config.overscan.order == 3


def test_a_class_can_name_its_overrides() -> None:
    class Mine(CfhtIsrTask):
        classic_overrides = {"overscan.order": 4, "doFlat": False}  # noqa: RUF012

    config = Mine.ConfigClass()
    Mine.applyOverrides(config)
    assert (config.overscan.order, config.doFlat) == (4, False)
    assert Mine(config=config).getSchemaCatalogs() == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-c", "doBias"], "'doBias' changes nothing"),
        (["-c", "noSuch=1"], "noSuch=1: cannot be applied"),
        (["-c", "overscan.fitType=WORST"], "cannot be applied"),
        (["-C", "/no/file.py"], "no such configuration file"),
        (["--id", "planet=3"], "there is no 'planet' in data ids"),
        (["--id", "filter=zz"], "tiny has no filter zz. It has"),
        (["--show", "everything"], "--show knows config, data, tasks, run"),
        (["--rerun", "a:b"], "--rerun says what"),
        (["-L", "loud"], "'loud' is no level"),
        (["-j", "0"], "0 is no number of processes"),
        (["-j", "2", "--profile", "x"], "a profile is of one process"),
        (["--instrument", "other"], "has the instruments tiny. Choose"),
    ],
)
def test_commands_that_make_no_sense(run: Run, capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(IsrTask, "u/me/nothing", *words)
    assert says in capsys.readouterr().err


def test_missing_places_are_named(repository: str, butler: Butler, capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in (
        ([repository + "_not"], "is no repository. Make one"),
        ([repository, "--input", "u/nobody"], "there is no collection u/nobody"),
        ([repository, "--output", "frames"], "'frames' is a RUN collection"),
    ):
        with pytest.raises(SystemExit, match="2"):
            IsrTask.parseAndRun(args=words)
        assert says in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        scripts.run_isr([repository + "_not", *FRAME])


def test_patches_that_are_not_there(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for ids, says in (
        (["patch=0"], "a coadd needs its tract"),
        (["tract=0"], "a coadd needs its filter"),
        (["tract=7", "filter=r"], "tract"),
        (["tract=0", "patch=5,5", "filter=r"], "List them"),
        (["tract=0", "visit=1", "filter=r"], "a patch has no visit"),
        (["tract=0", "skymap=other", "filter=r"], "has the sky maps field"),
    ):
        with pytest.raises(SystemExit, match="2"):
            run(SafeClipAssembleCoaddTask, "u/me/nothing", "--id", *ids)
        assert says in capsys.readouterr().err


def test_show(run: Run, butler: Butler, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run(IsrTask, "u/me/shown", "--id", "ccd=1", "--show", "config=*saveSTATS*", "data")
    shown = capsys.readouterr().out.splitlines()
    assert "config.qa.saveStats=False" in shown
    assert [line for line in shown if line.startswith("config.")] == ["config.qa.saveStats=False"]
    # Frames of the sky and the flat, the raw frame without its file among them.
    assert [line for line in shown if line.startswith("id ")] == [
        f"id instrument=tiny detector=1 exposure={exposure}" for exposure in (1, 2, 3, 9)
    ]
    with pytest.raises(SystemExit, match="0"):
        run(SafeClipAssembleCoaddTask, "u/me/shown", "--id", "tract=0", "filter=r", "--show", "tasks", "data")
    shown = capsys.readouterr().out.splitlines()
    assert "clipDetection: skyloom.tasks.clip_detection.ClipDetectionTask" in shown
    assert sum(line.startswith("id ") for line in shown) == 4
    with pytest.raises(SystemExit, match="0"):
        run(SafeClipAssembleCoaddTask, "u/me/shown", "--show", "config=statistic")
    assert "config.statistic='MEAN'" in capsys.readouterr().out
    assert not [name for name in butler.collections.query("*") if name.startswith("u/me/shown")]


# ---- running


def test_one_bad_data_id_does_not_stop_the_others(run: Run, butler: Butler, caplog: pytest.LogCaptureFixture) -> None:
    words = ["--id", "visit=3^88", "--id", "visit=1", "ccd=1", "--no-versions"]
    with pytest.raises(SystemExit) as caught:
        run(IsrTask, "u/me/bad", *words)
    assert caught.value.code == 1
    assert "failed on instrument=tiny detector=1 exposure=3: FileNotFoundError" in caplog.text
    assert "there is no raw of exposure=88" in caplog.text
    log = butler.get("isr_log", instrument="tiny", exposure=3, detector=1, collections="u/me/bad")
    assert [record.levelname for record in log] == ["INFO", "ERROR"]
    there = {(ref.dataId["exposure"], ref.dataId["detector"]) for ref in butler.query_datasets("post_isr", "u/me/bad")}
    assert there == {(1, 1), (3, 0)}
    result = run(IsrTask, "u/me/bad", *words, "--noExit")
    assert [one.exitStatus for one in result.resultList] == [0, 0, 1]
    assert (result.taskRunner.config, type(result.parsedCmd.id.refList[0])) == (result.parsedCmd.config, ButlerDataRef)
    assert result.argumentParser.prog
    with pytest.raises(FileNotFoundError):
        run(IsrTask, "u/me/bad", "--id", "visit=3", "ccd=1", "--no-versions", "--doraise")


def test_several_processes(run: Run, butler: Butler) -> None:
    """One data id ends its process, one has no file."""
    words = ["--id", "visit=2^3", "--no-versions", "--noExit", "-j", "2"]
    result = run(DeadlyTask, "u/me/several", *words, doReturnResults=True)
    refs = result.parsedCmd.id.refList
    assert [(ref.dataId["exposure"], ref.dataId["detector"]) for ref in refs] == [(2, 0), (3, 0), DEADLY, WITHOUT_FILE]
    assert [one.exitStatus for one in result.resultList] == [0, 0, 1, 1]
    assert [one.dataRef for one in result.resultList] == refs
    assert all(one.result is None and one.metadata["isr"] for one in result.resultList[:2])  # no WCS can be pickled
    task = IsrTask(config=result.parsedCmd.config)
    for ref in refs[:2]:
        raw = ref.get("camera").complete(ref.get(), detector_id=0)
        exposure = task.run(raw, camera=ref.get("camera"), **task.readIsrData(ref, raw).getDict()).exposure
        np.testing.assert_array_equal(exposure.image.array, ref.get("postISRCCD").image.array)
    assert not refs[2].datasetExists("postISRCCD")
    late = run(DeadlyTask, "u/me/several", *words, "-t", "0")
    assert [one.exitStatus for one in late.resultList] == [1] * 4


def test_frames_of_other_types_are_left_alone(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    result = run(IsrTask, "u/me/flat", "--id", "visit=9", "--no-versions", doReturnResults=True)
    assert [(one.exitStatus, one.result) for one in result.resultList] == [(0, None)] * 2
    assert "it is a flat, and observation_types has science" in caplog.text
    with pytest.raises(NoWorkFound, match="it is a flat"):
        _isr().runDataRef(result.parsedCmd.id.refList[0])


def test_nothing_to_run_on(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    assert run(IsrTask, "u/me/flat", "--id", "visit=77", "--no-versions").resultList == []
    assert "there is nothing to run on" in caplog.text
    result = run(JointcalCoaddTask, "u/me/flat", *WARPS, "--selectId", "visit=77", doReturnResults=True)
    assert [(one.exitStatus, one.result) for one in result.resultList] == [(0, None)]
    assert "no frame is selected for" in caplog.text


def test_visits_that_fail_do_not_sink_the_others(run: Run, butler: Butler, caplog: pytest.LogCaptureFixture) -> None:
    """Visit 2 has no joint fit here."""
    wanted = [
        ref
        for name in ("initial_pvi", "joint_wcs", "joint_photo_calib")
        for ref in butler.query_datasets(name, "frames", find_first=False)
        if name == "initial_pvi" or ref.dataId["visit"] != 2
    ]
    butler.collections.register("partial_tagged", type=CollectionType.TAGGED)
    butler.registry.associate("partial_tagged", wanted)
    words = ["--no-versions", "--noExit", "--input", "partial_tagged"]
    result = run(JointcalCoaddTask, "u/me/partial", *WARPS, *words, doReturnResults=True)
    (one,) = result.resultList
    assert [ref.dataId["visit"] for ref in one.result] == [1, 3]
    assert "There is no joint fit of the WCSs of its visit" in caplog.text
    only = run(JointcalCoaddTask, "u/me/partial", *WARPS, *words, "--selectId", "visit=2")
    assert [one.exitStatus for one in only.resultList] == [1]
    with pytest.raises(FrameError, match="visit 2: detector 0"):
        run(JointcalCoaddTask, "u/me/partial", *WARPS, *words, "--selectId", "visit=2", "--doraise")


def test_warps_that_are_there_are_kept(made: dict[str, Struct], run: Run, butler: Butler) -> None:
    before = {ref.id for ref in butler.query_datasets("direct_warp", "u/me/c")}
    result = run(JointcalCoaddTask, "u/me/c", *WARPS, "--reuse", doReturnResults=True)
    assert len(result.resultList[0].result) == 3
    assert {ref.id for ref in butler.query_datasets("direct_warp", "u/me/c")} == before
    targets = result.taskRunner.getTargetList(result.parsedCmd)
    assert isinstance(result.taskRunner, CoaddTaskRunner)
    assert [len(kwargs["selectDataList"]) for _, kwargs in targets] == [6]
    assert SafeClipAssembleCoaddTask.RunnerClass is CoaddTaskRunner


def test_debug_and_profile(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "debug", raising=False)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    words = ["--id", "visit=9", "ccd=0", "--no-versions"]
    with pytest.raises(SystemExit, match="2"):
        run(IsrTask, "u/me/flat", *words, "-d")
    (tmp_path / "debug.py").write_text("debug_frames = {'exposure': 3}\n")
    result = run(IsrTask, "u/me/flat", *words, "-d", "--profile", "figures")
    assert result.taskRunner.makeTask().debug_frames == {"exposure": 3}
    assert pstats.Stats(str(tmp_path / "figures")).total_calls > 0  # type: ignore[attr-defined]
    monkeypatch.delitem(sys.modules, "debug")


def test_an_output_has_one_configuration(run: Run, butler: Butler) -> None:
    words = ["--id", "visit=9", "ccd=0", "--no-versions"]
    run(IsrTask, "u/me/once", *words)
    run(IsrTask, "u/me/once", *words)
    with pytest.raises(ClassicMismatchError, match=r"another isr_config: doBias: False != None\. Write to"):
        run(IsrTask, "u/me/once", *words, "-c", "doBias=False")
    run(IsrTask, "u/me/once", *words, "-c", "doBias=False", "--clobber-config")
    ref = butler.find_dataset("isr_config", collections="u/me/once/classic")
    assert ref is not None
    assert butler.get(ref).doBias is False
    file = Path(butler.getURI(ref).ospath)
    assert "config.doBias=None" in (file.parent / f"{file.name}~1").read_text()
    run(IsrTask, "u/me/once", *words, "--clobber-config", "--no-backup-config")
    assert not (file.parent / f"{file.name}~2").exists()
    with pytest.raises(SystemExit, match="2"):
        run(IsrTask, "u/me/once", "--id", "planet=1", "--clobber-output")
    assert butler.get("isr_config", collections="u/me/once/classic").doBias is None
    run(IsrTask, "u/me/once", *words, "-c", "doBias=False", "--clobber-output")
    assert butler.get("isr_config", collections="u/me/once/classic").doBias is False


def test_an_output_has_one_set_of_versions(run: Run, butler: Butler, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--id", "visit=9", "ccd=0"]
    run(IsrTask, "u/me/versions", *words, "--no-versions")
    assert butler.find_dataset("isr_config", collections="u/me/versions") is not None
    assert not butler.query_datasets("packages", "u/me/versions/classic", explain=False)
    now = Packages.fromSystem()
    run(IsrTask, "u/me/versions", *words)
    monkeypatch.setattr(Packages, "fromSystem", lambda: Packages({**now, "numpy": "99", "new": "1"}))
    with pytest.raises(ClassicMismatchError, match=f"packages: numpy 99, not {now['numpy']}"):
        run(IsrTask, "u/me/versions", *words)
    run(IsrTask, "u/me/versions", *words, "--clobber-versions")
    monkeypatch.setattr(Packages, "fromSystem", lambda: Packages({"numpy": "99", "newer": "1"}))
    run(IsrTask, "u/me/versions", *words)
    stored = butler.get("packages", collections="u/me/versions/classic")
    assert (stored["numpy"], stored["new"], stored["newer"]) == ("99", "1", "1")


def test_schemas_are_written_once(butler: Butler) -> None:
    class Measured(IsrTask):
        schema = Table(names=["x"], dtype=["f4"])

        def getSchemaCatalogs(self) -> dict[str, Any]:  # noqa: N802
            return {"measured_schema": self.schema}

    butler.collections.register("schemas")
    writer = butler.clone(run="schemas")
    task = Measured(config=_isr().config)
    assert list(task.getAllSchemaCatalogs()) == ["measured_schema"]
    task.writeSchemas(writer)
    task.writeSchemas(writer)
    task.schema = Table(names=["x", "y"], dtype=["f8", "f4"])
    with pytest.raises(ClassicMismatchError, match="x is float64, not float32; y is float32, not nothing"):
        task.writeSchemas(writer)
    task.writeSchemas(writer, clobber=True)
    assert butler.get("measured_schema", collections="schemas").colnames == ["x", "y"]
    with pytest.raises(Exception, match="isr_config has no run"):
        task.writeConfig(butler)


def test_metadata_of_a_data_id(made: dict[str, Struct], butler: Butler) -> None:
    writer = butler.clone(collections=["u/me/c"], run="u/me/c/classic")
    task = JointcalCoaddTask()
    task.metadata["mark"] = 5
    patch = task.data_reference(writer, **PATCH)
    task.writeMetadata(patch)  # visits have metadata, patches none
    assert not patch.written
    task.writeMetadata(patch.of("direct", instrument="tiny", visit=1))
    stored = butler.get("jointcal_coadd_metadata", PATCH, instrument="tiny", visit=1, collections="u/me/c")
    assert stored["jointcal_coadd"]["mark"] == 5


def test_data_references(made: dict[str, Struct], butler: Butler) -> None:
    task = JointcalCoaddTask()
    reader = butler.clone(collections=["u/me/c"])
    warp = task.data_reference(reader, "direct", instrument="tiny", visit=1, **PATCH)
    assert same(warp.get(), warp.get("deepCoadd_directWarp"))
    assert warp.get(component="bbox") == warp.get(immediate=False).get(component="bbox")
    assert warp.datasetExists()
    assert not warp.datasetExists("deepCoadd_psfMatchedWarp")
    with pytest.raises(MissingDatasetError, match=r"no psf_matched_warp of instrument=tiny .* visit=1 in u/me/c"):
        warp.get("deepCoadd_psfMatchedWarp")
    with pytest.raises(MissingDatasetError, match="has no detector, which initial_pvi needs"):
        warp.get("calexp")
    with pytest.raises(RepositoryError, match="no dataset type nonsense"):
        warp.put(1, "nonsense")


def test_inputs_are_the_newest_chain_unless_named(repository: str, butler: Butler) -> None:
    for name in ("u/me/old/20260101T000000Z", "u/me/new/20260201T000000Z", "tiny/build/20270101T000000Z"):
        chain = name.rpartition("/")[0]
        butler.collections.register(name)
        butler.collections.register(chain, type=CollectionType.CHAINED)
        butler.collections.redefine_chain(chain, [name])
    words = [repository, "--id", "visit=9", "ccd=0", "--no-versions"]
    parsed = IsrTask.parseAndRun(args=[*words, "--output", "u/me/fresh"]).parsedCmd
    assert parsed.collections.inputs == ("u/me/new", "tiny/defaults")
    assert butler.collections.get_info("u/me/fresh").children == ("u/me/fresh/classic", "u/me/new", "tiny/defaults")
    parsed = IsrTask.parseAndRun(args=[*words, "--rerun", "u/me/drp:u/me/again"]).parsedCmd
    assert parsed.collections.inputs == ("u/me/drp", "tiny/defaults")
    parsed = IsrTask.parseAndRun(args=[*words, "--rerun", "u/me/again"]).parsedCmd
    assert parsed.collections.inputs == ("u/me/drp", "tiny/defaults")


def test_scripts_take_the_task_of_the_camera(repository: str, butler: Butler, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scripts.run_isr([repository, "--output", "u/me/script", "--id", "visit=9", "ccd=0", "--no-versions"])
    assert type(butler.get("isr_config", collections="u/me/script")) is IsrTask.ConfigClass
    assert task_class_of("megaprime", "isr") == "skyloom.tasks.CfhtIsrTask"
    assert "nothing to do for instrument=tiny detector=0 exposure=9" in caplog.text


@pytest.mark.parametrize("script", ["run_isr", "jointcal_coadd", "make_coadd_temp_exp", "safe_clip_assemble_coadd"])
def test_help(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], []):
        with pytest.raises(SystemExit, match="0"):
            getattr(scripts, script)(words)
        assert "--clobber-config" in capsys.readouterr().out


def test_a_mismatch_ends_a_script_with_its_line(repository: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [repository, "--output", "u/me/script", "--id", "visit=9", "ccd=0", "--no-versions"]
    with pytest.raises(SystemExit, match="1"):
        scripts.run_isr([*words, "-c", "doFlat=False"])
    assert "[MISMATCH] u/me/script/classic has another isr_config: doFlat: False != None" in capsys.readouterr().err
