"""Coadds in a repository to sources, objects and light curves, through the shipped pipeline; with patches that lack
data, bands and sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import astropy.units as u
import numpy as np
import pytest
from astro_metadata_translator import ObservationInfo
from astropy.table import Table, vstack
from astropy.time import Time
from lsst.daf.butler import Butler, Config, DatasetType
from lsst.images import VisitImage
from lsst.pipe.base import NoWorkFound, Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from objects.coadd_scene import FRAME, VISITS, coadd, frame, sky_map, truth
from skyloom.catalog.matching import match_pixels
from skyloom.execute.graph import split_steps
from skyloom.images import bitmask, corner_polygon, to_coadd, to_visit_image
from skyloom.instruments import Camera
from skyloom.pipelines import find_pipeline
from skyloom.repo.skymap_store import register_sky_map
from skyloom.skymap import convex_polygon
from skyloom.tasks import DetectCoaddSourcesTask, MeasureObjectsTask

SKY = {"skymap": "field", "tract": 0}
SEEN = (1, 5)
"""Visits whose frames are in the repository."""
EMPTY, DARK, ONE_BAND = 3, 2, 1
"""Patches: with coadds without a pixel; with a g coadd without a pixel; with no g coadd."""


def camera() -> Camera:
    width, height = FRAME.x.size, FRAME.y.size
    box = f"{{x: [0, {width}], y: [0, {height}]}}"
    return Camera.from_yaml(f"""
name: x
telescope: Small
recognise: {{INSTRUME: x}}
position_unit: px
pixel_scale: 0.2 arcsec
pixel_size: 15 um
pointing_error: 30 arcsec
detectors:
  - id: 0
    name: c0
    size: [{width}, {height}]
    position: [0, 0]
    amplifiers:
      - {{name: A, box: {box}, raw: {{box: {box}, data: {box}}}, readout_corner: LL, gain: 1.0, read_noise: 1.0,
         saturation: 60000}}
filters:
  r: {{band: r}}
  g: {{band: g}}
header: {{exposure_id: EXPNUM, detector: DETNUM, exposure_time: EXPTIME, date: DATE-OBS, ra: RA, dec: DEC,
  filter: FILTER, observation_type: IMGTYPE}}
""")


def visit_image(visit: int) -> VisitImage:
    exposure = frame(visit)
    exposure.detector = camera().detector(0, visit)
    exposure.obs_info = ObservationInfo.makeObservationInfo(
        instrument="x",
        telescope="Small",
        physical_filter=VISITS[visit][0],
        exposure_id=visit,
        visit_id=visit,
        exposure_time=30.0 * u.s,
        datetime_begin=Time(61000.0 + visit, format="mjd", scale="tai"),
    )
    return to_visit_image(exposure)


def fill(butler: Butler) -> None:
    """The coadds of four patches, and frames of two visits, one a band."""
    insert = butler.registry.insertDimensionData
    insert("instrument", {"name": "x", "visit_max": 99, "detector_max": 9, "class_name": "x"})
    insert("physical_filter", *({"instrument": "x", "name": band, "band": band} for band in "gr"))
    insert("detector", {"instrument": "x", "id": 0, "full_name": "c0"})
    insert("day_obs", {"instrument": "x", "id": 20260101})
    register_sky_map(butler, sky_map())
    for name, dimensions, storage in (
        ("deep_coadd", ("skymap", "tract", "patch", "band"), "CoaddImage"),
        ("initial_pvi", ("instrument", "visit", "detector"), "VisitImage"),
    ):
        butler.registry.registerDatasetType(DatasetType(name, dimensions, storage, universe=butler.dimensions))
    for patch in range(4):
        for band in "gr"[patch == ONE_BAND :]:
            exposure = coadd(patch, band)
            if patch == EMPTY or (patch == DARK and band == "g"):
                exposure.image.array[...], exposure.variance.array[...] = np.nan, np.inf
                exposure.bits[...] |= bitmask("NO_DATA")
            butler.put(to_coadd(exposure), "deep_coadd", SKY, patch=patch, band=band)
    for visit in SEEN:
        image = visit_image(visit)
        region = convex_polygon(*corner_polygon(image.sky_projection, image.bbox))
        key = {"instrument": "x", "visit": visit}
        record = {"instrument": "x", "id": visit, "name": str(visit), "physical_filter": VISITS[visit][0]}
        insert("visit", {**record, "day_obs": 20260101, "region": region})
        insert("visit_detector_region", {**key, "detector": 0, "region": region})
        butler.put(image, "initial_pvi", key, detector=0)


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    root = str(tmp_path_factory.mktemp("catalogues") / "repo")
    Butler.makeRepo(root, config=Config(str(files("skyloom.repo") / "seed.yaml")))
    with Butler.from_config(root, writeable=True, run="images") as butler:
        butler.collections.register("coadd_sources")
        fill(butler)
        pipeline = Pipeline.from_uri(str(find_pipeline("catalogues")))
        pipeline.addConfigOverride("measure_objects", "bands", ["g", "r"])
        for step in split_steps(pipeline):
            writer = butler.clone(run=step.label, collections=["coadd_sources", "images", "skymaps"])
            executor = SimplePipelineExecutor.from_pipeline(
                step.pipeline, where="skymap = 'field' AND instrument = 'x'", butler=writer
            )
            executor.run(register_dataset_types=True)
        yield butler.clone(collections=["coadd_sources", "light_curves", "images", "skymaps"])


def objects_of(butler: Butler, patch: int) -> Table:
    return butler.get("objects", SKY, patch=patch)


def test_coadds_without_a_pixel_have_no_tables_and_the_rest_goes_on(butler: Butler) -> None:
    refs = butler.query_datasets("deep_coadd_sources", limit=None)
    assert {(ref.dataId["patch"], ref.dataId["band"]) for ref in refs} == {(0, "g"), (0, "r"), (1, "r"), (2, "r")}
    assert {ref.dataId["patch"] for ref in butler.query_datasets("objects")} == {0, 1, 2}
    exposure = coadd(0)
    exposure.image.array[...] = np.nan
    with pytest.raises(NoWorkFound, match="No pixel of the coadd of patch 0"):
        DetectCoaddSourcesTask(config=DetectCoaddSourcesTask.ConfigClass()).run(
            exposure, patch=sky_map().tract(0).patch(0), sky_map=sky_map()
        )
    with pytest.raises(NoWorkFound, match="No band of patch 0"):
        MeasureObjectsTask(config=MeasureObjectsTask.ConfigClass()).run(
            {}, {}, patch=sky_map().tract(0).patch(0), sky_map=sky_map()
        )


def test_objects_lack_the_bands_that_the_patch_lacks(butler: Butler) -> None:
    for patch, there in ((0, True), (ONE_BAND, False), (DARK, False)):
        table = objects_of(butler, patch)
        assert np.all(np.asarray(table["g_flag_no_coadd"]) != there)
        assert np.all(np.isfinite(table["g_psf_flux"]) == there)
        assert np.isfinite(table["r_psf_flux"]).all()
        assert len(table) > 90
    metadata = butler.get("measure_objects_metadata", SKY, patch=ONE_BAND)["measure_objects"]
    assert list(metadata.getArray("missing_bands")) == ["g"]
    assert metadata["n_objects"] == len(objects_of(butler, ONE_BAND))


def test_errors_on_disk_are_those_of_the_scaled_variance(butler: Butler) -> None:
    sources = butler.get("deep_coadd_sources", SKY, patch=0, band="r")
    assert sources["variance_factor"][0] > 1.15
    table = objects_of(butler, 0)
    mine = np.asarray(table["r_source_id"]) > 0
    rows = np.searchsorted(sources["source_id"], table["r_source_id"][mine])
    ratio = table["r_psf_flux_err"][mine] / sources["psf_flux_err"][rows]
    assert np.median(ratio) == pytest.approx(1.0, abs=1e-3)
    footprints = butler.get("deep_coadd_footprints", SKY, patch=0, band="r")
    assert sum(len(one.peaks) for one in footprints) == np.sum(~np.asarray(sources["flag_sky_source"]))
    assert butler.get("deep_coadd_background", SKY, patch=0, band="r").subtracted is not None


def test_tables_of_all_patches_are_one_catalogue(butler: Butler) -> None:
    table = vstack([objects_of(butler, patch) for patch in (0, 1, 2)])
    primary = table[np.asarray(table["is_primary"])]
    assert len(np.unique(table["object_id"])) == len(table)
    _, which, _ = match_pixels(primary["x"], primary["y"], truth().x, truth().y, 2.0)
    assert len(np.unique(which)) == len(which) >= len(primary) - 3
    assert not [name for name in table.colnames if not table[name].description]
    assert str(table["r_kron_flux"].unit) == "nJy"


def test_light_curves_are_of_every_object_on_a_frame(butler: Butler) -> None:
    primary = vstack([objects_of(butler, patch) for patch in (0, 1, 2)])
    primary = primary[np.asarray(primary["is_primary"])]
    for visit in SEEN:
        table = butler.get("forced_sources", SKY, instrument="x", visit=visit, detector=0)
        assert list(table["object_id"]) == sorted(primary["object_id"])  # the frames hold all of the tract
        assert table["mjd"][0] == pytest.approx(61000.0 + visit + 15.0 / 86400.0, abs=1e-9)
        band = VISITS[visit][0]
        by_id = primary[np.argsort(np.asarray(primary["object_id"]))]
        here, there, _ = match_pixels(by_id["x"], by_id["y"], truth().x, truth().y, 2.0)
        good = ~np.asarray(table["flag_psf_flux"] | table["flag_blended"])[here] & ~truth().galaxy[there]
        pull = np.asarray((table["psf_flux"][here] - truth().flux[band][there]) / table["psf_flux_err"][here])[good]
        assert good.sum() > 250
        assert 0.85 < 1.4826 * np.median(np.abs(pull)) < 1.15


def test_frames_without_a_joint_fit_keep_their_own_calibration(butler: Butler) -> None:
    metadata = butler.get("forced_phot_visit_metadata", SKY, instrument="x", visit=1, detector=0)["forced_phot_visit"]
    assert not metadata["has_joint_wcs"]
    assert not metadata["has_joint_photo_calib"]
