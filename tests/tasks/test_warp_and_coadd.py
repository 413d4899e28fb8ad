"""From calibrated frames in a repository to warps and a coadd, through the tasks, held against the true sky."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.util import find_spec

import astropy.units as u
import numpy as np
import pytest
from astro_metadata_translator import ObservationInfo
from astropy.table import Table
from astropy.time import Time
from lsst.daf.butler import Butler, Config, DatasetType
from lsst.images import Box, SkyProjection, VisitImage
from lsst.images.psfs import GaussianPointSpreadFunction
from lsst.pipe.base import NoWorkFound, Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from skyloom.errors import AstrometryError
from skyloom.images import (
    CoaddImage,
    Exposure,
    bitmask,
    bits_of,
    corner_polygon,
    fits_header,
    from_coadd,
    from_visit_image,
    pixel_to_radec,
    radec_to_pixel,
    to_visit_image,
)
from skyloom.instruments import Camera
from skyloom.jointcal import WCS_COLUMNS, table_of
from skyloom.repo.regions import update_regions
from skyloom.repo.skymaps import make_sky_map
from skyloom.skymap import convex_polygon
from skyloom.tasks import AssembleCoaddTask, MakeDirectWarpTask

SIDE = 200
NOISE = 3.0
POINTINGS = {1: (150.0, 2.0, 0.0), 2: (150.001, 2.0008, 10.0), 3: (149.9992, 1.9991, 180.0), 4: (150.0004, 2.0, 33.0)}
SIGMA = {1: 1.6, 2: 1.7, 3: 1.9, 4: 1.75}
BAND = {1: "r", 2: "r", 3: "r", 4: "g"}
STARS = ((70.3, 60.8, 2e5), (120.6, 140.2, 1e5), (150.1, 85.5, 3e5))
"""Pixel positions (x, y) on detector 1 of visit 1, where all r visits overlap, and flux in nJy."""
TRAIL, HIT = 30, (50, 110)
"""Column of detector 1 of visit 2 with a trail; pixel of detector 1 of visit 1 hit by a cosmic ray."""
SKY = {"skymap": "field", "tract": 0, "patch": 0}


def camera() -> Camera:
    amplifier = f"""
      - name: A
        box: {{x: [0, {SIDE}], y: [0, {SIDE}]}}
        raw: {{box: {{x: [0, {SIDE}], y: [0, {SIDE}]}}, data: {{x: [0, {SIDE}], y: [0, {SIDE}]}}}}
        readout_corner: LL
        gain: 1.0
        read_noise: 1.0
        saturation: 60000"""
    detectors = "".join(
        f"""
  - id: {one}
    name: c{one}
    size: [{SIDE}, {SIDE}]
    position: [{210 * one - 105}, 0]
    amplifiers:{amplifier}"""
        for one in (0, 1)
    )
    return Camera.from_yaml(f"""
name: tiny
telescope: Small
recognise: {{INSTRUME: tiny}}
position_unit: px
pixel_scale: 0.25 arcsec
pixel_size: 15 um
pointing_error: 30 arcsec
detectors:{detectors}
filters:
  r: {{band: r}}
  g: {{band: g}}
header: {{exposure_id: EXPNUM, detector: DETNUM, exposure_time: EXPTIME, date: DATE-OBS, ra: RA, dec: DEC,
  filter: FILTER, observation_type: IMGTYPE}}
""")


def projection_of(tiny: Camera, visit: int, detector: int) -> SkyProjection:
    ra, dec, rotation = POINTINGS[visit]
    return tiny.projection(detector, ra=ra, dec=dec, rotation_deg=rotation, visit=visit)


def star_positions(tiny: Camera) -> list[tuple[float, float, float]]:
    """Right ascension, declination, flux."""
    x, y, flux = np.transpose(STARS)
    return list(zip(*pixel_to_radec(projection_of(tiny, 1, 1), x, y), flux, strict=True))


def frame(tiny: Camera, visit: int, detector: int) -> VisitImage:
    projection = projection_of(tiny, visit, detector)
    rng = np.random.default_rng(10 * visit + detector)
    image = rng.normal(0.0, NOISE, (SIDE, SIDE))
    y, x = np.indices(image.shape)
    sigma = SIGMA[visit]
    for a, d, flux in star_positions(tiny):
        px, py = radec_to_pixel(projection, a, d)
        image += flux * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    if (visit, detector) == (2, 1):
        image[:, TRAIL : TRAIL + 2] += 500.0
    hit = (np.hypot(x - HIT[0], y - HIT[1]) < 3) & ((visit, detector) == (1, 1))
    exposure = Exposure.from_arrays(
        image,
        np.where(hit, bitmask("CR", "INTRP"), 0),
        np.where(hit, np.inf, NOISE**2),
        unit=u.nJy,
        detector=tiny.detector(detector, visit),
        projection=projection,
        psf=None,
        band=BAND[visit],
        obs_info=ObservationInfo.makeObservationInfo(
            instrument="tiny",
            telescope="Small",
            physical_filter=BAND[visit],
            exposure_id=visit,
            visit_id=visit,
            exposure_time=30.0 * u.s,
            datetime_begin=Time("2026-01-01T03:04:05", scale="tai"),
        ),
    )
    exposure.psf = GaussianPointSpreadFunction(sigma, exposure.bbox, 25)
    return to_visit_image(exposure)


def fill(butler: Butler) -> None:
    """Four visits of two detectors, one of which is missing, with regions from headers far off."""
    tiny = camera()
    insert = butler.registry.insertDimensionData
    insert("instrument", {"name": "tiny", "visit_max": 99, "detector_max": 9, "class_name": "x"})
    for band in "gr":
        insert("physical_filter", {"instrument": "tiny", "name": band, "band": band})
    insert("detector", *({"instrument": "tiny", "id": one, "full_name": f"{one}"} for one in (0, 1)))
    insert("day_obs", {"instrument": "tiny", "id": 20260101})
    for name, dimensions, storage in (
        ("initial_pvi", ("instrument", "visit", "detector"), "VisitImage"),
        ("visit_summary", ("instrument", "visit"), "ArrowAstropy"),
    ):
        butler.registry.registerDatasetType(DatasetType(name, dimensions, storage, universe=butler.dimensions))
    wrong = convex_polygon(np.array([10.0, 11.0, 11.0]), np.array([0.0, 0.0, 1.0]))
    for visit, band in BAND.items():
        key = {"instrument": "tiny", "visit": visit}
        insert(
            "visit",
            {
                "instrument": "tiny",
                "id": visit,
                "name": str(visit),
                "physical_filter": band,
                "day_obs": 20260101,
                "region": wrong,
            },
        )
        detectors = (0,) if visit >= 3 else (0, 1)
        corners = []
        for detector in detectors:
            insert("visit_detector_region", {**key, "detector": detector, "region": wrong})
            image = frame(tiny, visit, detector)
            corners.append(corner_polygon(image.sky_projection, image.bbox))
            butler.put(image, "initial_pvi", key, detector=detector)
        table = Table({"detector": detectors, "pixel_scale": [0.25] * len(detectors)})
        table["ra_corners"], table["dec_corners"] = (np.array([c[axis] for c in corners]) for axis in (0, 1))
        butler.put(table, "visit_summary", key)


def put_joint_wcs(butler: Butler, visit: int) -> None:
    """The table of a joint fit that found the true WCSs."""
    dimensions = ("instrument", "visit", "skymap", "tract")
    kind = DatasetType("joint_wcs", dimensions, "ArrowAstropy", universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    box, rows = Box.from_shape((SIDE, SIDE)), []
    for detector in (0, 1):
        header, residual = fits_header(projection_of(camera(), visit, detector), box)
        text = header.tostring(sep="\n", endcard=False, padding=False)
        row = dict.fromkeys(WCS_COLUMNS, 0) | {"x1": SIDE, "y1": SIDE, "detector": detector}
        rows.append(row | {"wcs": text, "wcs_residual": residual, "reason": ""})
    key = {"instrument": "tiny", "visit": visit, "skymap": "field", "tract": 0}
    butler.put(table_of(rows, WCS_COLUMNS), "joint_wcs", key, run="frames")


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    root = str(tmp_path_factory.mktemp("coadd") / "repo")
    Butler.makeRepo(root, config=Config(str(files("skyloom.repo") / "seed.yaml")))
    with Butler.from_config(root, writeable=True, run="frames") as butler:
        fill(butler)
        update_regions(butler, "frames", "tiny")
        make_sky_map(butler, "field", "frames", instrument="tiny", patch_size=600, border=30)
        put_joint_wcs(butler, 2)
        pipeline = Pipeline("coadd")
        pipeline.addTask("skyloom.tasks.MakeDirectWarpTask", "make_direct_warp")
        pipeline.addConfigOverride("make_direct_warp", "n_noise_realisations", 1)
        pipeline.addConfigOverride("make_direct_warp", "do_masked_fraction", True)
        pipeline.addTask("skyloom.tasks.MakePsfMatchedWarpTask", "make_psf_matched_warp")
        pipeline.addConfigOverride("make_psf_matched_warp", "match.spatial_order", 0)
        pipeline.addTask("skyloom.tasks.AssembleCoaddTask", "assemble_coadd")
        writer = butler.clone(run="coadds", collections=["frames", "skymaps"])
        executor = SimplePipelineExecutor.from_pipeline(pipeline, where="skymap = 'field'", butler=writer)
        executor.run(register_dataset_types=True)
        yield butler.clone(collections=["coadds", "frames", "skymaps"])


@pytest.fixture(scope="module")
def streamed(butler: Butler) -> Butler:
    """The coadds made in one step, in strips of a few rows."""
    pipeline = Pipeline("streamed")
    pipeline.addTask("skyloom.tasks.MakeCoaddFromFramesTask", "streamed")
    pipeline.addConfigOverride("streamed", "assemble_coadd.max_memory_mb", 0.6)
    writer = butler.clone(run="streamed", collections=["frames", "skymaps"])
    SimplePipelineExecutor.from_pipeline(pipeline, where="skymap = 'field'", butler=writer).run(
        register_dataset_types=True
    )
    return butler.clone(collections=["streamed"])


@pytest.fixture(scope="module")
def documented(butler: Butler) -> Butler:
    """The coadd of chosen visits as the reference pages describe it."""
    choices = dict.fromkeys(("doOnlineForMean", "doInterp", "doMaskBrightObjects", "doSelectVisits"), True)
    choices |= {"statistic": "MEAN", "doInputMap": find_spec("healsparse") is not None, "inputMapper.nside": 1 << 17}
    pipeline = Pipeline("documented")
    pipeline.addTask("skyloom.tasks.AssembleCoaddTask", "documented")
    for name, choice in choices.items():
        pipeline.addConfigOverride("documented", name, choice)
    for name in ("coadd", "n_image", "inputMap"):
        pipeline.addConfigOverride("documented", f"connections.{name}", f"documented_{name}")
    writer = butler.clone(run="documented", collections=["coadds", "frames", "skymaps"])
    _put_choices(writer)
    SimplePipelineExecutor.from_pipeline(pipeline, where="skymap = 'field' AND band = 'r'", butler=writer).run(
        register_dataset_types=True
    )
    return butler.clone(collections=["documented"])


def _put_choices(butler: Butler) -> None:
    """Visits 3 and 2, one that there is not, and the bright object that is the first star."""
    patch = ("skymap", "tract", "patch", "band")
    visits = DatasetType("deep_visits", ("instrument", *patch), "StructuredDataDict", universe=butler.dimensions)
    objects = DatasetType("bright_object_mask", patch, "ArrowAstropy", universe=butler.dimensions)
    for kind in (visits, objects):
        butler.registry.registerDatasetType(kind)
    key = SKY | {"band": "r"}
    butler.put({3: 1.0, 2: 1.0, 99: 1.0}, "deep_visits", key, instrument="tiny", run="frames")
    ra, dec, _ = star_positions(camera())[0]
    row = {"id": 1, "ra": ra, "dec": dec, "type": "circle", "radius": 10 * 0.25}
    butler.put(Table([row]), "bright_object_mask", key, run="frames")


def test_documented_switches_in_a_pipeline(butler: Butler, documented: Butler) -> None:
    coadd = documented.get("documented_coadd", SKY, band="r")
    assert sorted(set(coadd.inputs["visit"])) == [2, 3]
    assert coadd.metadata["coadd_statistic"] == "MEAN"
    bits = bits_of(coadd.mask)
    missing = bits & bitmask("NO_DATA") != 0
    assert 0.1 < missing.mean() < 0.9
    assert (bits[missing] & bitmask("INTRP") != 0).all()
    assert np.isfinite(coadd.image.array).all()
    assert np.isinf(coadd.variance.array[missing]).all()
    assert (coadd.variance.array > 0).all()
    assert abs((bits & bitmask("BRIGHT_OBJECT") != 0).sum() - 317) <= 40
    ra, dec, _ = star_positions(camera())[0]
    x, y = (round(float(v)) for v in radec_to_pixel(coadd.sky_projection, ra, dec))
    here = coadd[Box.factory[y - 3 : y + 4, x - 3 : x + 4]]
    assert (bits_of(here.mask) & bitmask("BRIGHT_OBJECT") != 0).all()
    n_image = documented.get("documented_n_image", SKY, band="r")
    assert ((n_image.array > 0) == np.isfinite(coadd.variance.array)).all()
    both = n_image.array == 2
    warps = [butler.get("direct_warp", SKY, instrument="tiny", visit=visit) for visit in (2, 3)]
    expected = np.full(coadd.bbox.shape, 0.0)
    weights = [float(coadd.inputs["weight"][coadd.inputs["visit"] == visit][0]) for visit in (2, 3)]
    for one, weight in zip(warps, weights, strict=True):
        expected[one.bbox.slice_within(coadd.bbox)] += weight / sum(weights) * one.image.array
    np.testing.assert_allclose(coadd.image.array[both], expected[both], rtol=1e-4, atol=1e-4)


def test_map_of_the_inputs_in_a_repository(documented: Butler) -> None:
    pytest.importorskip("healsparse")
    found, coadd = (
        documented.get("documented_inputMap", SKY, band="r"),
        documented.get("documented_coadd", SKY, band="r"),
    )
    names = [(found.metadata[f"B{bit:04d}VIS"], found.metadata[f"B{bit:04d}CCD"]) for bit in range(3)]
    assert names == [(2, 0), (2, 1), (3, 0)]
    ra, dec, _ = star_positions(camera())[1]
    x, y = (float(v) for v in radec_to_pixel(coadd.sky_projection, ra, dec))
    inside = [(part.visit, part.detector) for part in coadd.psf.inputs_at(x, y)]
    assert [names[bit] for bit in range(3) if found.check_bits_pos(ra, dec, [bit])] == inside


def coadd_of(butler: Butler, band: str = "r") -> CoaddImage:
    return butler.get("deep_coadd", SKY, band=band)


def test_each_visit_has_its_warp_on_the_patch(butler: Butler) -> None:
    patch = butler.get("sky_map", skymap="field").tract(0).patch(0)
    detectors = {}
    for visit in POINTINGS:
        warp = butler.get("direct_warp", SKY, instrument="tiny", visit=visit)
        assert patch.outer_bbox.contains(warp.bbox)
        held = bits_of(warp.mask) != bitmask("NO_DATA")
        assert all(line.any() for line in (held[0], held[-1], held[:, 0], held[:, -1]))
        assert (warp.band, warp.unit) == (BAND[visit], u.nJy)
        detectors[visit] = [int(detector) for detector in warp.inputs["detector"]]
        figures = butler.get("make_direct_warp_metadata", SKY, instrument="tiny", visit=visit)["make_direct_warp"]
        assert figures["n_pixels"] == int(np.isfinite(warp.image.array).sum())
        assert 0.9 * SIDE**2 * len(detectors[visit]) < figures["n_pixels"] < SIDE**2 * len(detectors[visit])
    assert detectors == {1: [0, 1], 2: [0, 1], 3: [0], 4: [0]}


def test_joint_fit_is_used_where_there_is_one_and_noise_and_bad_pixels_are_warped(butler: Butler) -> None:
    for visit in POINTINGS:
        key = SKY | {"instrument": "tiny", "visit": visit}
        figures = butler.get("make_direct_warp_metadata", key)["make_direct_warp"]
        assert (figures["has_joint_wcs"], figures["has_joint_photo_calib"]) == (visit == 2, False)
        warp, noise = butler.get("direct_warp", key), butler.get("direct_warp_noise0", key)
        held = np.isfinite(warp.image.array)
        np.testing.assert_array_equal(np.isfinite(noise.image.array), held)
        assert noise.image.array[held].std() == pytest.approx(NOISE * 0.9, rel=0.1)
        share = butler.get("direct_warp_masked_fraction", key)
        assert share.bbox == warp.bbox
        assert share.array[held].sum() == pytest.approx(25.0 if visit == 1 else 0.0, abs=0.01)


def test_matched_warps_have_the_psf_of_the_model(butler: Butler) -> None:
    key = SKY | {"instrument": "tiny", "visit": 2}
    warp, matched = butler.get("direct_warp", key), butler.get("psf_matched_warp", key)
    assert matched.bbox == warp.bbox
    assert {(part.visit, part.detector) for part in matched.psf.components} == {(2, 0), (2, 1)}
    assert np.isnan(matched.image.array).sum() > np.isnan(warp.image.array).sum()
    for ra, dec, flux in star_positions(camera()):
        x, y = (float(v) for v in radec_to_pixel(matched.sky_projection, ra, dec))
        stamp = matched.psf.compute_stellar_image(x=x, y=y)
        residual = matched[stamp.bbox].image.array / flux - stamp.array
        assert np.nanmax(np.abs(residual)) < 0.01 * stamp.array.max() + NOISE / flux
    figures = butler.get("make_psf_matched_warp_metadata", key)["make_psf_matched_warp"]
    assert figures.getArray("detectors") == [0, 1]
    assert max(figures.getArray("residuals")) < 0.01


def test_stars_are_at_their_places_with_their_fluxes_and_the_psf(butler: Butler) -> None:
    coadd = coadd_of(butler)
    for ra, dec, flux in star_positions(camera()):
        x, y = (float(v) for v in radec_to_pixel(coadd.sky_projection, ra, dec))
        stamp = coadd.psf.compute_stellar_image(x=x, y=y)
        part = coadd[stamp.bbox]
        assert not (bits_of(part.mask) & bitmask("INEXACT_PSF", "NO_DATA")).any()
        assert part.image.array.sum() == pytest.approx(flux, abs=4 * NOISE * np.sqrt(part.bbox.area / 3))
        residual = part.image.array / flux - stamp.array
        assert np.abs(residual).max() < 2e-3 * stamp.array.max() + 5 * NOISE / np.sqrt(3) / flux
        rows, columns = np.mgrid[part.bbox.y.start : part.bbox.y.stop, part.bbox.x.start : part.bbox.x.stop]
        core = np.where(np.hypot(rows - y, columns - x) < 6, part.image.array, 0.0)
        assert (core * (columns - x)).sum() / core.sum() == pytest.approx(0.0, abs=0.02)
        assert (core * (rows - y)).sum() / core.sum() == pytest.approx(0.0, abs=0.02)


def test_trail_is_clipped_and_interpolated_pixels_are_left_out(butler: Butler) -> None:
    coadd, n_image = coadd_of(butler), butler.get("deep_coadd_n_image", SKY, band="r")
    bits, tiny = bits_of(coadd.mask), camera()
    rows = np.arange(50.0, 105.0, 5)
    for visit, x, y, plane in ((2, TRAIL + 0.5, rows, "CLIPPED"), (1, *map(float, HIT), "REJECTED")):
        sky = pixel_to_radec(projection_of(tiny, visit, 1), x, y)
        px, py = radec_to_pixel(coadd.sky_projection, *sky)
        at = np.rint(np.atleast_1d(py)).astype(int), np.rint(np.atleast_1d(px)).astype(int)
        assert (bits[at] & bitmask(plane)).all()
        assert (bits[at] & bitmask("INEXACT_PSF")).all()
        assert (n_image.array[at] == 2).all()
        assert np.abs(coadd.image.array[at]).max() < 5 * NOISE


def test_coadd_reads_back_with_inputs_psf_and_numbers(butler: Butler) -> None:
    coadd, n_image = coadd_of(butler), butler.get("deep_coadd_n_image", SKY, band="r")
    assert n_image.array.dtype == np.uint16
    assert n_image.array.max() == 3
    assert ((n_image.array == 0) == np.isinf(coadd.variance.array)).all()
    names = [(int(row["visit"]), int(row["detector"])) for row in coadd.inputs]
    assert names == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]
    assert [(part.visit, part.detector) for part in coadd.psf.components] == names
    assert from_coadd(coadd).band == "r"
    assert set(coadd_of(butler, "g").inputs["visit"]) == {4}


def test_metadata_name_the_inputs(butler: Butler) -> None:
    figures = butler.get("assemble_coadd_metadata", SKY, band="r")["assemble_coadd"]
    assert figures.getArray("visits") == [1, 2, 3]
    assert figures.getArray("detectors") == ["1/0", "1/1", "2/0", "2/1", "3/0"]


@pytest.mark.parametrize("band", ["r", "g"])
def test_coadd_without_stored_warps_is_the_same(butler: Butler, streamed: Butler, band: str) -> None:
    stored, made = coadd_of(butler, band), coadd_of(streamed, band)
    assert stored.bbox == made.bbox
    np.testing.assert_array_equal(made.image.array, stored.image.array)
    np.testing.assert_array_equal(made.variance.array, stored.variance.array)
    np.testing.assert_array_equal(bits_of(made.mask), bits_of(stored.mask))
    assert made.psf == stored.psf
    assert made.inputs.colnames == stored.inputs.colnames
    for name in made.inputs.colnames:
        np.testing.assert_array_equal(made.inputs[name], stored.inputs[name])
    assert not streamed.query_datasets("direct_warp", collections="streamed", explain=False)


def test_too_few_warps_are_no_work() -> None:
    config = AssembleCoaddTask.ConfigClass()
    config.min_inputs = 2
    with pytest.raises(NoWorkFound, match="0 of 0 warps can take part, 2 needed"):
        AssembleCoaddTask(config=config).run([], box=Box.from_shape((5, 5)), projection=None, band="r")


def test_visit_without_a_pixel_on_the_patch_is_no_work() -> None:
    tiny = camera()
    far = projection_of(tiny, 1, 0)
    task = MakeDirectWarpTask(config=MakeDirectWarpTask.ConfigClass())
    frames = [(0, from_visit_image(frame(tiny, 1, 0)))]
    with pytest.raises(NoWorkFound, match="No detector of visit 1"):
        task.run(frames, visit=1, box=Box.factory[5000:5010, 0:10], projection=far)
    frames[0][1].projection = None
    with pytest.raises(AstrometryError, match="no WCS"):
        task.run(frames, visit=1, box=Box.factory[0:10, 0:10], projection=far)
