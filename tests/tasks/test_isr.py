"""`IsrTask` on simulated frames: as a function of values, and through a repository."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from lsst.daf.butler import Butler, CollectionType, Timespan
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from skyloom.errors import BadFrameError
from skyloom.images import RawExposure, bitmask, from_post_isr
from skyloom.instruments import Camera
from skyloom.isr import IsrSettings
from skyloom.pipelines import load_pipeline
from skyloom.repo.calibrations import certify, import_calibrations
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.setup import initialise
from skyloom.simulate import (
    CalibrationSettings,
    Mosaic,
    SkySettings,
    Survey,
    SurveySettings,
    VisitSettings,
    simulate_survey,
)
from skyloom.simulate.signature import make_signature
from skyloom.tasks import IsrTask
from skyloom.tasks.failure import FrameFailure
from skyloom.tasks.isr import IsrConfig

SURVEY = SurveySettings(
    detectors=(0,),
    sky=SkySettings(stars_per_square_arcmin=1.0, galaxies_per_square_arcmin=0.0, saturated_stars=0),
    visits=VisitSettings(visits_per_band=2, sky_gradient=0.0),
    calibrations=CalibrationSettings(biases=0, darks=0, flats=0),
)
OPEN = Timespan(None, None)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return simulate_survey(tmp_path_factory.mktemp("survey"), SURVEY)


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.read("simulated")


@pytest.fixture(scope="module")
def raw(survey: Survey, camera: Camera) -> RawExposure:
    path = survey.raw_files[0]
    frame = RawExposure(image=fits.getdata(path), header=fits.getheader(path), file=path.name)
    return camera.complete(frame)


@pytest.fixture(scope="module")
def repo(survey: Survey, camera: Camera, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one good frame, one empty one, and calibrations."""
    root = tmp_path_factory.mktemp("isr") / "repo"
    initialise(str(root), camera)
    with fits.open(survey.raw_files[1], mode="update") as hdus:
        hdus[0].data[:] = 0
    with Butler.from_config(str(root), writeable=True) as butler:
        assert ingest_raws(butler, camera, survey.raw_files).ingested == 2
        for kind in ("bias", "dark", "flat"):
            files = [path for path in survey.master_files if path.name.startswith(kind)]
            results = import_calibrations(butler, camera, kind, files, validity=OPEN)
            assert [result.error for result in results] == [None]
        butler.collections.register("found", CollectionType.RUN)
        boxes = Table(rows=[(10, 20, 3, 4)], names=("x0", "y0", "width", "height"))
        certify(butler, "defects", boxes, {"instrument": "simulated", "detector": 0}, run="found", validity=OPEN)
    return root


def execute(repo: Path, output: str, where: str, **options: object) -> Butler:
    config = recommended(**options)
    butler = SimplePipelineExecutor.prep_butler(str(repo), inputs=["simulated/defaults"], output=output)
    executor = SimplePipelineExecutor.from_task_class(IsrTask, config=config, where=where, butler=butler)
    executor.run(register_dataset_types=True)
    return butler


def recommended(**changes: object) -> IsrConfig:
    """The settings of the shipped pipeline."""
    config: IsrConfig = load_pipeline("drp").to_graph().tasks["isr"].config.copy()
    for name, value in changes.items():
        group, _, field = name.rpartition(".")
        setattr(getattr(config, group) if group else config, field, value)
    return config


def test_the_settings_of_the_pipeline_are_those_of_the_algorithm() -> None:
    assert recommended(**{"overscan.order": 16, "parallel_overscan.order": 16}).settings() == IsrSettings()


def test_run_takes_and_gives_values(raw: RawExposure, camera: Camera) -> None:
    task = IsrTask(config=recommended())
    exposure = task.run(raw, camera=camera).exposure
    assert exposure.unit == u.electron
    assert exposure.band == "r"
    assert exposure.projection is raw.projection
    assert task.metadata["LSST ISR PEDESTAL SOURCE A"] == "serial overscan"
    assert 4.5 < task.metadata["LSST ISR READNOISE B"] < 5.5
    assert task.metadata["LSST ISR BIAS APPLIED"] is False


def test_run_says_what_is_missing(raw: RawExposure) -> None:
    with pytest.raises(BadFrameError, match="require flat"):
        IsrTask(config=recommended(doFlat=True)).run(raw)
    with pytest.raises(BadFrameError, match="require bias"):
        IsrTask().run(raw)


def test_through_a_repository(repo: Path, survey: Survey) -> None:
    with execute(repo, "good", "exposure = 1 AND instrument = 'simulated'") as butler:
        frame = butler.get("post_isr", instrument="simulated", exposure=1, detector=0)
        metadata = butler.get("isr_metadata", instrument="simulated", exposure=1, detector=0)
    exposure = from_post_isr(frame)
    assert exposure.band == "r"
    assert exposure.detector is not None
    assert exposure.detector.id == 0
    assert all(exposure.metadata[f"LSST ISR {kind} APPLIED"] for kind in ("BIAS", "DARK", "FLAT", "DEFECTS"))
    assert metadata["isr"]["LSST ISR FLAT APPLIED"]
    assert (exposure.bits[20:24, 10:13] & bitmask("BAD", "INTRP") == bitmask("BAD", "INTRP")).all()
    # The sky of this visit is flat, so that what is left is noise: photons, reading, and 0.1 % in the flat.
    mosaic = Mosaic.of(Camera.read("simulated"))
    good = (exposure.bits == 0) & ~make_signature(SURVEY.detector, SURVEY.seed, mosaic, mosaic.ccds[0], "r").bad
    sky = survey.visits[0].sky_electrons
    pull = (exposure.image.array[good] - sky) / np.sqrt(exposure.variance.array[good])
    assert np.median(pull) == pytest.approx(0.0, abs=0.05)
    assert 0.7413 * np.subtract(*np.percentile(pull, [75, 25])) == pytest.approx(1.0, abs=0.05)


def test_switched_off_calibrations_are_not_looked_for(repo: Path) -> None:
    with execute(repo, "plain", "exposure = 1 AND instrument = 'simulated'", doBias=False, doFlat=False) as butler:
        frame = butler.get("post_isr", instrument="simulated", exposure=1, detector=0)
    assert frame.metadata["LSST ISR BIAS APPLIED"] is False
    assert frame.metadata["LSST ISR DEFECTS APPLIED"] is True


def test_an_empty_frame_fails_with_its_reason(repo: Path) -> None:
    with pytest.raises(FrameFailure, match="the frame is empty") as caught:
        execute(repo, "empty", "exposure = 2 AND instrument = 'simulated'")
    assert caught.value.metadata["code"] == "BAD-FRAME"
    assert caught.value.metadata["stage"] == "isr"
