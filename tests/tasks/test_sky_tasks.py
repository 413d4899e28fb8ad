"""From calibrated frames in a repository to sky cells, sky frames and sky corrections, held against the true sky."""

from __future__ import annotations

from collections.abc import Iterator

import astropy.units as u
import numpy as np
import pytest
from astro_metadata_translator import ObservationInfo
from astropy.time import Time
from lsst.daf.butler import Butler, DatasetType, Timespan
from lsst.images import BackgroundMap
from lsst.images.psfs import GaussianPointSpreadFunction
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from skyloom.background import apply_sky_correction, fit_background
from skyloom.execute.masters import BuildRequest, Built, build_masters
from skyloom.images import Exposure, PhotoCalib, from_visit_image, to_visit_image
from skyloom.instruments import Camera
from skyloom.pipelines import load_pipeline
from skyloom.repo.setup import initialise
from skyloom.skymap import convex_polygon

SIDE = 128
LEVELS = {1: 900.0, 2: 400.0, 3: 600.0, 4: 750.0, 5: 500.0, 6: 820.0}
"""Sky of each visit, electrons; of visit 4 detector 0 is missing."""
ZERO_POINTS = {0: 3.0, 1: 3.2}
"""nJy an electron."""
NOISE = 2.0
NAMES = {"instrument": "tiny"}


def camera() -> Camera:
    detectors = "".join(
        f"""
  - id: {one}
    name: c{one}
    size: [{SIDE}, {SIDE}]
    position: [{140 * one - 70}, 0]
    amplifiers:
      - name: A
        box: {{x: [0, {SIDE}], y: [0, {SIDE}]}}
        raw: {{box: {{x: [0, {SIDE}], y: [0, {SIDE}]}}, data: {{x: [0, {SIDE}], y: [0, {SIDE}]}}}}
        readout_corner: LL
        gain: 1.0
        read_noise: 1.0
        saturation: 60000"""
        for one in (0, 1)
    )
    return Camera.from_yaml(f"""
name: tiny
telescope: Small
recognise: {{INSTRUME: tiny}}
position_unit: px
pixel_scale: 0.25 arcsec
pixel_size: 120 um
pointing_error: 30 arcsec
detectors:{detectors}
filters:
  r: {{band: r}}
header: {{exposure_id: EXPNUM, detector: DETNUM, exposure_time: EXPTIME, date: DATE-OBS, ra: RA, dec: DEC,
  filter: FILTER, observation_type: IMGTYPE}}
""")


def sky(visit: int, detector: int) -> np.ndarray:
    """A tilted sky, with a step and a wave that are the detector's own, electrons ``[y, x]``."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    tilt = 0.02 * (visit - 2) * (x + 1.1 * detector) + 0.01 * y
    pattern = 0.03 * detector + 0.01 * np.sin(9 * x + detector) * np.cos(8 * y)
    return LEVELS[visit] * (1 + tilt + pattern)


def put_frame(butler: Butler, visit: int, detector: int) -> None:
    """A calibrated frame, its own background subtracted, and that background."""
    rng = np.random.default_rng([visit, detector])
    pixels = (sky(visit, detector) + NOISE * rng.standard_normal((SIDE, SIDE))).astype(np.float32)
    found, calib = fit_background(pixels, np.zeros(pixels.shape, np.int32)), PhotoCalib(ZERO_POINTS[detector], 0.01)
    background = BackgroundMap()
    background.add("sky", calib.calibrate_field(found.field * u.electron), is_subtracted=True)
    tiny, scale = camera(), ZERO_POINTS[detector]
    exposure = Exposure.from_arrays(
        (pixels - found.render()) * scale,
        variance=np.full(pixels.shape, (NOISE * scale) ** 2),
        unit=u.nJy,
        detector=tiny.detector(detector, visit),
        projection=tiny.projection(detector, ra=150.0, dec=2.0, visit=visit),
        psf=None,
        band="r",
        photo_calib=calib,
        obs_info=ObservationInfo.makeObservationInfo(instrument="tiny", physical_filter="r", visit_id=visit),
    )
    exposure.psf = GaussianPointSpreadFunction(1.5, exposure.bbox, 15)
    key = {**NAMES, "visit": visit, "detector": detector}
    butler.put(to_visit_image(exposure), "initial_pvi", key, run="frames")
    butler.put(background, "initial_pvi_background", key, run="frames")


def fill(butler: Butler) -> None:
    dimensions = ("instrument", "visit", "detector")
    for name, storage in (("initial_pvi", "VisitImage"), ("initial_pvi_background", "BackgroundMap")):
        butler.registry.registerDatasetType(DatasetType(name, dimensions, storage, universe=butler.dimensions))
    butler.registry.insertDimensionData("day_obs", {**NAMES, "id": 20260101})
    butler.registry.registerRun("frames")
    anywhere = convex_polygon(np.array([10.0, 11.0, 11.0]), np.array([0.0, 0.0, 1.0]))
    for visit in LEVELS:
        taken = Timespan(Time("2026-01-01T03:00:00", scale="tai"), Time("2026-01-01T03:01:00", scale="tai"))
        record = {**NAMES, "id": visit, "name": str(visit), "physical_filter": "r", "day_obs": 20260101}
        record |= {"timespan": taken}
        butler.registry.insertDimensionData("visit", record)
        for detector in (0, 1) if visit != 4 else (1,):
            place = {**NAMES, "visit": visit, "detector": detector, "region": anywhere}
            butler.registry.insertDimensionData("visit_detector_region", place)
            put_frame(butler, visit, detector)


def run_task(butler: Butler, task: str, changes: dict[str, int], inputs: list[str], output: str) -> None:
    pipeline = Pipeline(output)
    pipeline.addTask(f"skyloom.tasks.{task}", output)
    for name, value in changes.items():
        pipeline.addConfigOverride(output, name, value)
    writer = butler.clone(run=output, collections=inputs)
    SimplePipelineExecutor.from_pipeline(pipeline, butler=writer).run(register_dataset_types=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("sky") / "repo")
    initialise(folder, camera())
    with Butler.from_config(folder, writeable=True) as butler:
        fill(butler)
        run_task(butler, "BinSkyTask", {"cells.bin_size": 16, "cells.grow": 2}, ["frames"], "cells")
    return folder


@pytest.fixture(scope="module")
def built(root: str) -> Built:
    request = BuildRequest(
        repository=root,
        pipeline=load_pipeline("masters", ["make_sky_frame:combine.passes=2"]),
        validity=Timespan(None, None),
        kinds=["sky_frame"],
        inputs=["cells"],
    )
    return build_masters(request)


@pytest.fixture(scope="module")
def corrected(root: str, built: Built) -> Iterator[Butler]:
    assert not built.failures
    with Butler.from_config(root, writeable=True) as butler:
        inputs = ["cells", "frames", "tiny/calib", "tiny/camera"]
        run_task(butler, "SkyCorrectionTask", {}, inputs, "skies")
        yield butler.clone(collections=["skies", *inputs])


def test_sky_frames_are_built_and_certified(built: Built) -> None:
    assert [(one.kind, one.data_id) for one in built.masters] == [
        ("sky_frame", {"detector": one, "physical_filter": "r"}) for one in (0, 1)
    ]
    figures = built.masters[0].figures
    assert len(figures["frames"]) == 6
    assert figures["ratio_scatter"] < 0.1


@pytest.mark.parametrize("detector", [0, 1])
def test_corrected_frames_have_no_sky_and_no_step(corrected: Butler, detector: int) -> None:
    for visit in (1, 2, 3):
        key = {**NAMES, "visit": visit, "detector": detector}
        exposure = from_visit_image(corrected.get("initial_pvi", key))
        apply_sky_correction(exposure, corrected.get("sky_correction", key))
        left = exposure.image.array.reshape(8, 16, 8, 16).mean(axis=(1, 3)) / ZERO_POINTS[detector]
        assert np.sqrt(np.mean(left**2)) < 0.5  # of 400 to 900 electrons; the noise of a cell is 0.125
        assert abs(np.mean(left)) < 0.2


def test_a_visit_with_a_missing_detector_is_corrected_where_there_are_frames(corrected: Butler) -> None:
    refs = corrected.query_datasets("sky_correction", where="visit = 4", instrument="tiny")
    assert [ref.dataId["detector"] for ref in refs] == [1]
    table = corrected.get("sky_correction_figures", NAMES, visit=4)
    assert list(table["detector"]) == [1]
    assert table["sky_level"].unit == u.electron


def test_figures_of_a_visit_tell_its_sky(corrected: Butler) -> None:
    for visit in (1, 2, 3):
        table = corrected.get("sky_correction_figures", NAMES, visit=visit)
        assert not table["flag_odd"].any()
        assert not table["flag_no_sky_frame"].any()
        expected = [np.median(sky(visit, detector)) for detector in (0, 1)]
        np.testing.assert_allclose(table["sky_level"], expected, rtol=2e-3)
        assert table["visit_pattern_strength"][0] == pytest.approx(table["visit_sky_level"][0], rel=0.15)
