"""A repository of three visits of two detectors, raw and calibrated, on a sky map, with a joint fit and a bias."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import yaml
from astro_metadata_translator import ObservationInfo
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DatasetType, Timespan
from lsst.images import Image, Mask, MaskedImage
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from skyloom.images import MASK_SCHEMA, Exposure, bitmask, corner_polygon, to_visit_image
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.regions import update_regions
from skyloom.repo.setup import initialise
from skyloom.repo.skymap_store import register_sky_map
from skyloom.tasks import IsrTask
from tasks.joint_frames import BOX, CENTRE, NX, NY, STARS, camera, frame, joint_tables, projection, sky_map

VISITS = (1, 2, 3)
FLAT = 9
"""Exposure that is no frame of the sky."""
PATCH = {"skymap": "field", "tract": 0, "patch": 0}
WITHOUT_FILE = (3, 1)
"""Exposure and detector of the raw frame whose file is gone."""
MODERN = ["modern/isr", "modern/sky"]
"""Runs of the pipelines."""
DEADLY = (2, 1)
"""The one that `DeadlyTask` dies of."""
LEVEL = 1000
"""Counts of the raw frames, ADU; the bias has 100."""


class DeadlyTask(IsrTask):
    """Ends its process on one frame."""

    def runDataRef(self, sensorRef: Any) -> Any:  # noqa: N802, N803
        if (sensorRef.dataId["exposure"], sensorRef.dataId["detector"]) == DEADLY:
            os._exit(3)
        return super().runDataRef(sensorRef)


def make_survey(root: Path) -> str:
    """Make the repository, and say where it is."""
    repository = str(root / "repo")
    initialise(repository, camera())
    with Butler.from_config(repository, writeable=True) as butler:
        ingest_raws(butler, camera(), _raw_files(root / "raw"))
        exposure, detector = WITHOUT_FILE
        (root / "raw" / f"{exposure}_{detector}.fits").unlink()
        _certify_bias(butler)
        butler.collections.register("frames")
        _put_frames(butler.clone(run="frames"))
        update_regions(butler, "frames", "tiny")
        register_sky_map(butler, sky_map(250))
        _put_joint_fit(butler.clone(run="frames"))
        butler.collections.register("u/me/drp", CollectionType.CHAINED)
        butler.collections.redefine_chain("u/me/drp", ["frames", "tiny/defaults"])
    return repository


def _raw_files(folder: Path) -> list[Path]:
    folder.mkdir()
    paths = []
    for exposure in (*VISITS, FLAT):
        for detector in STARS:
            cards: dict[str, Any] = {
                "INSTRUME": "tiny", "EXPNUM": exposure, "DETNUM": detector, "FILTER": "r", "EXPTIME": 30.0,
                "DATE-OBS": f"2026-01-01T03:{exposure:02d}:00", "RA": CENTRE[0], "DEC": CENTRE[1],
                "IMGTYPE": "flat" if exposure == FLAT else "science",
            }  # fmt: skip
            pixels = np.random.default_rng([exposure, detector]).normal(LEVEL, 10, (NY, NX)).astype(np.uint16)
            path = folder / f"{exposure}_{detector}.fits"
            fits.PrimaryHDU(pixels, fits.Header(cards)).writeto(path)
            paths.append(path)
    return paths


def _certify_bias(butler: Butler) -> None:
    """A bias of detector 0 alone."""
    image = Image(np.full((NY, NX), 100, np.float32), bbox=BOX, unit=u.adu)
    variance = Image(np.zeros((NY, NX), np.float32), bbox=BOX, unit=u.adu**2)
    bias = MaskedImage(image, mask=Mask(0, schema=MASK_SCHEMA, bbox=BOX), variance=variance)
    butler.collections.register("biases")
    ref = butler.put(bias, "bias", instrument="tiny", detector=0, run="biases")
    butler.registry.certify("tiny/calib", [ref], Timespan(None, None))


def calibrated(visit: int, detector: int) -> Exposure:
    """A frame of a visit; detector 0 of visit 2 has a trail, which it has detected."""
    one = frame(detector)
    one.image.array[...] += np.random.default_rng([visit, detector]).normal(0.0, 1.0, BOX.shape)
    if (visit, detector) == (2, 0):
        one.image.array[:, 30:33] += 400.0
        one.bits[:, 12:51] |= bitmask("DETECTED")
    observed = ObservationInfo.makeObservationInfo(
        instrument="tiny",
        telescope="Small",
        physical_filter="r",
        exposure_id=visit,
        visit_id=visit,
        exposure_time=30.0 * u.s,
        datetime_begin=Time("2026-01-01T03:04:05", scale="tai"),
    )
    return replace(one, obs_info=observed, detector=camera().detector(detector, visit))


def _put_frames(butler: Butler) -> None:
    for name, dimensions, storage in (
        ("initial_pvi", ("instrument", "visit", "detector"), "VisitImage"),
        ("visit_summary", ("instrument", "visit"), "ArrowAstropy"),
        ("joint_wcs", ("instrument", "visit", "skymap", "tract"), "ArrowAstropy"),
        ("joint_photo_calib", ("instrument", "visit", "skymap", "tract"), "ArrowAstropy"),
    ):
        butler.registry.registerDatasetType(DatasetType(name, dimensions, storage, universe=butler.dimensions))
    corners = [corner_polygon(projection(detector), BOX) for detector in STARS]
    table = Table({"detector": list(STARS), "pixel_scale": [0.25] * len(STARS)})
    table["ra_corners"], table["dec_corners"] = (np.array([one[axis] for one in corners]) for axis in (0, 1))
    for visit in VISITS:
        key = {"instrument": "tiny", "visit": visit}
        butler.put(table, "visit_summary", key)
        for detector in STARS:
            butler.put(to_visit_image(calibrated(visit, detector)), "initial_pvi", key, detector=detector)


def _put_joint_fit(butler: Butler) -> None:
    for visit in VISITS:
        for name, table in joint_tables().items():
            butler.put(table, name, instrument="tiny", visit=visit, skymap="field", tract=0)


def run_pipelines(butler: Butler) -> None:
    """Make by pipelines a corrected frame, the warps, the coadd without artifacts and ``plain_coadd`` of medians."""
    drp = yaml.safe_load((files("skyloom.pipelines") / "drp.yaml").read_text())["tasks"]["isr"]["config"]
    corrections = Pipeline("isr")
    corrections.addTask("skyloom.tasks.IsrTask", "isr")
    _configure(corrections, "isr", drp)
    _execute(butler, MODERN[0], corrections, "instrument = 'tiny' AND exposure = 1 AND detector = 0")
    coadds = Pipeline("sky")
    coadds.addTask("skyloom.tasks.JointcalCoaddTask", "jointcal_coadd")
    coadds.addTask("skyloom.tasks.SafeClipAssembleCoaddTask", "safe")
    _configure(coadds, "safe", {"doWriteArtifactMasks": True})
    coadds.addTask("skyloom.tasks.AssembleCoaddTask", "plain")
    names = {f"connections.{name}": f"plain_{name}" for name in ("coadd", "n_image")}
    _configure(coadds, "plain", {"statistic": "MEDIAN", **names})
    _execute(butler, MODERN[1], coadds, "skymap = 'field' AND tract = 0 AND patch = 0")


def _configure(pipeline: Pipeline, label: str, settings: dict[str, Any]) -> None:
    for field, value in settings.items():
        pipeline.addConfigOverride(label, field, value)


def _execute(butler: Butler, run: str, pipeline: Pipeline, where: str) -> None:
    writer = butler.clone(run=run, collections=["u/me/drp"])
    executor = SimplePipelineExecutor.from_pipeline(pipeline, where=where, butler=writer)
    executor.run(register_dataset_types=True)
