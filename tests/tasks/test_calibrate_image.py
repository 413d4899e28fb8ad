"""The task hands the recipe its configuration, and writes what there is when a frame fails."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from lsst.images import VisitImage
from lsst.pex.config import FieldValidationError
from lsst.pipe.base import AnnotatedPartialOutputsError, Struct

from skyloom.calibrate import CalibrateSettings
from skyloom.catalog.htm import shard_ids
from skyloom.catalog.refcat import reference_table
from skyloom.errors import BadFrameError
from skyloom.images import Exposure, to_post_isr
from skyloom.instruments import Camera
from skyloom.tasks import CalibrateImageTask
from skyloom.tasks.calibrate_image import CalibrateImageConfig, CalibrateImageConnections
from skyloom.tasks.calibrate_image_config import to_settings
from skyloom.tasks.failure import FrameFailure

sys.path.insert(0, str(Path(__file__).parents[1] / "calibrate"))
from simulated_frame import CAMERA, SimulatedFrame, simulated_frame


class _Quantum:
    """Stands in for the butler of one quantum: hands out inputs, keeps what is put."""

    def __init__(self, frame: SimulatedFrame, exposure: Exposure) -> None:
        self.quantum = SimpleNamespace(dataId={"visit": 1, "detector": 3})
        self.written: dict[str, Any] = {}
        shards = _shards(frame.reference)
        self.inputs = {
            "exposures": [to_post_isr(exposure)],
            "camera": CAMERA,
            "astrometry_ref_cat": shards,
            "photometry_ref_cat": shards,
        }

    def get(self, refs: Any) -> dict[str, Any]:
        return self.inputs

    def put(self, values: Struct, refs: Any) -> None:
        self.written = {name: value for name, value in values.getDict().items() if value is not None}


def _shards(reference: Table) -> list[Any]:
    """Deferred handles of the catalogue's shards."""
    columns = {name: np.asarray(reference[name]) for name in reference.colnames}
    table = reference_table(columns | {"epoch": np.full(len(reference), 2026.0)}, filters=["g", "r", "i"])
    number = shard_ids(table["ra"], table["dec"])
    return [
        SimpleNamespace(dataId={"htm7": int(n)}, get=lambda n=n: table[number == n].copy()) for n in np.unique(number)
    ]


@pytest.fixture(scope="module")
def simulated() -> SimulatedFrame:
    return simulated_frame()


@pytest.fixture(scope="module")
def written(simulated: SimulatedFrame) -> dict[str, Any]:
    butler = _Quantum(simulated, simulated.exposure.copy())
    task = CalibrateImageTask()
    task.runQuantum(butler, None, None)  # type: ignore[arg-type]
    return butler.written | {"task": task}


def test_all_outputs_are_written(simulated: SimulatedFrame, written: dict[str, Any]) -> None:
    outputs = set(CalibrateImageConnections(config=CalibrateImageConfig()).outputs)
    assert outputs <= set(written)
    frame = written["output_exposure"]
    assert isinstance(frame, VisitImage)
    assert frame.summary_stats.zeroPoint == pytest.approx(simulated.visit.zero_point_mag, abs=0.008)
    assert written["applied_photo_calib"].zero_point_mag == frame.summary_stats.zeroPoint
    for name in ("wcs", "astrometry_rms_arcsec", "n_astrometry_matches"):
        assert name in frame.metadata


def test_ids_name_the_frame(written: dict[str, Any]) -> None:
    ids = np.asarray(written["stars"]["source_id"])
    assert len(np.unique(ids)) == len(ids)
    assert np.all(ids >> 22 == 1 * (CAMERA.detector_max + 1) + 3)


def test_task_metadata_hold_the_figures(written: dict[str, Any]) -> None:
    metadata = written["task"].metadata
    assert metadata["n_sources"] + metadata["n_sky_sources"] == len(written["sources"])
    assert metadata["n_stars"] + metadata["n_sky_sources"] == len(written["stars"])
    assert metadata["zero_point_mag"] > 29


def test_failed_frame_leaves_its_catalogue_and_no_exposure(simulated: SimulatedFrame) -> None:
    exposure = simulated.exposure.copy()
    exposure.image.array[...] = simulated_frame(seed=77).exposure.image.array
    butler, task = _Quantum(simulated, exposure), CalibrateImageTask()
    with pytest.raises(AnnotatedPartialOutputsError) as caught:
        task.runQuantum(butler, None, None)  # type: ignore[arg-type]
    assert isinstance(caught.value.__cause__, FrameFailure)
    assert caught.value.__cause__.metadata["stage"] == "astrometry"
    assert "output_exposure" not in butler.written
    assert {"sources", "stars", "stars_footprints", "psf_stars", "background"} <= set(butler.written)
    assert "ASTROMETRY" in butler.written["stars"].meta["failure"]
    assert task.metadata.get_dict("failure")["metadata"]["code"] == "ASTROMETRY"


def test_frame_without_shards_fails_for_want_of_references(simulated: SimulatedFrame) -> None:
    butler = _Quantum(simulated, simulated.exposure.copy())
    butler.inputs["astrometry_ref_cat"] = butler.inputs["photometry_ref_cat"] = []
    with pytest.raises(AnnotatedPartialOutputsError) as caught:
        CalibrateImageTask().runQuantum(butler, None, None)  # type: ignore[arg-type]
    assert caught.value.__cause__.metadata["code"] == "NO-REFERENCE"


def test_default_configuration_is_the_default_settings() -> None:
    assert to_settings(CalibrateImageConfig()) == CalibrateSettings()


def test_configuration_reaches_the_settings_and_the_camera_fills_in() -> None:
    config = CalibrateImageConfig()
    config.psf_measure_psf.psf_determiner.order_max = 1
    config.star_measurement.aperture_radii = [4.0, 8.0]
    config.star_detection.thresholdValue = 6.0
    config.astrometry.scale_error = 0.3
    settings = to_settings(config, pointing_error_deg=0.25, scale_error=0.01)
    assert settings.psf.order_max == 1
    assert settings.detection.threshold == 6.0
    assert settings.measurement.aperture_radii == (4.0, 8.0)
    assert settings.astrometry.scale_error == 0.3
    assert settings.astrometry.pointing_error_deg == 0.25


def test_colour_term_of_the_cameras_filter_reaches_the_zero_point(
    simulated: SimulatedFrame, written: dict[str, Any]
) -> None:
    own = "{band: r, reference: r, colour_term: {secondary: i, c0: 0.3, c1: -0.05}}"
    camera = Camera.from_yaml(CAMERA.to_yaml().replace("{band: r, reference: r}", own))
    assert camera != CAMERA
    corrected = CalibrateImageTask().run(
        exposures=simulated.exposure.copy(), astrometry_loader=simulated.loader, camera=camera
    )
    colour = -2.5 * np.log10(simulated.reference["flux_r"] / simulated.reference["flux_i"])
    shift = corrected.applied_photo_calib.zero_point_mag - written["applied_photo_calib"].zero_point_mag
    assert shift == pytest.approx(0.3 - 0.05 * np.median(colour), abs=0.02)


def test_settings_that_cannot_work_are_refused() -> None:
    by_catalogue, unmeasured = CalibrateImageConfig(), CalibrateImageConfig()
    by_catalogue.psf_measure_psf.star_selector.method = "catalogue"
    unmeasured.star_measurement.plugins = []
    for config in (by_catalogue, unmeasured):
        with pytest.raises(FieldValidationError):
            config.validate()


def test_unwanted_outputs_have_no_connection() -> None:
    config = CalibrateImageConfig()
    config.optional_outputs = ["psf_stars"]
    outputs = CalibrateImageConnections(config=config).outputs
    assert "psf_stars" in outputs
    assert "astrometry_matches" not in outputs


def test_snaps_are_summed_and_the_schema_adds_columns(simulated: SimulatedFrame) -> None:
    half = simulated.exposure.copy()
    half.image.array[...] /= 2
    half.variance.array[...] /= 2
    task = CalibrateImageTask(initial_stars_schema=Table({"extra": np.zeros(0, dtype="f4")}))
    result = task.run(exposures=[half, half.copy()], astrometry_loader=simulated.loader, camera=CAMERA)
    assert result.applied_photo_calib.zero_point_mag == pytest.approx(simulated.visit.zero_point_mag, abs=0.008)
    assert np.isnan(result.stars["extra"]).all()


def test_no_loader_or_too_many_snaps_are_errors(simulated: SimulatedFrame) -> None:
    with pytest.raises(ValueError, match="loader"):
        CalibrateImageTask().run(exposures=simulated.exposure)
    with pytest.raises(BadFrameError, match="3 exposures"):
        CalibrateImageTask().run(exposures=[simulated.exposure] * 3, astrometry_loader=simulated.loader)
