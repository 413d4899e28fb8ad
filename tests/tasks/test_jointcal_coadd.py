"""`JointcalCoaddTask`: warps of frames whose own calibration is wrong, against the sky that they were made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from lsst.daf.butler import Butler, Config, DatasetType
from lsst.images import BackgroundMap, Box
from lsst.images.fields import ChebyshevField
from lsst.pex.config import FieldValidationError
from lsst.pipe.base import NoWorkFound, Pipeline, Struct
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from skyloom.background.sky_correction import CORRECTION
from skyloom.background.sky_correction import SKY as CAMERA_SKY
from skyloom.coadd import ExposureHandle
from skyloom.errors import AstrometryError, FrameError, PhotometryError
from skyloom.images import (
    Exposure,
    PhotoCalib,
    bitmask,
    corner_polygon,
    from_warp,
    pixel_to_radec,
    radec_to_pixel,
    to_visit_image,
)
from skyloom.repo.skymap_store import register_sky_map
from skyloom.skymap import convex_polygon
from skyloom.tasks import JointcalCoaddTask, MakeCoaddTempExpTask
from skyloom.tasks.failure import FrameFailure
from skyloom.tasks.frame_reference import FrameReference, PatchReference
from skyloom.tasks.make_coadd_temp_exp_config import MakeCoaddTempExpConnections
from skyloom.tasks.select_images import PsfWcsSelectImagesTask
from tasks.joint_frames import (
    BOX,
    ELECTRON_NOISE,
    OWN_SCALE,
    OWN_SHIFT,
    SCALE,
    SKY,
    STARS,
    VISIT,
    frame,
    joint_tables,
    projection,
    sky,
    sky_map,
    true_scale,
    true_stars,
)

PATCH = PatchReference(sky_map=sky_map(), dataId={"tract": 0, "patch": 0})
KERNEL_SIZE = 15
RETARGET = """
from skyloom.tasks.select_images import PsfWcsSelectImagesTask
config.select.retarget(PsfWcsSelectImagesTask)
"""
NAMES = {"direct": "direct_warp", "psfMatched": "psf_matched_warp"}
SKY_INFO = MakeCoaddTempExpTask().getSkyInfo(PATCH)


def task(kind: type[MakeCoaddTempExpTask] = JointcalCoaddTask, **options: Any) -> MakeCoaddTempExpTask:
    """The task with some settings, checked; matched warps get a model that is little broader than the frames' PSF."""
    config = kind.ConfigClass()
    config.modelPsf.defaultFwhm = 6.0
    config.warpAndPsfMatch.psfMatch.spatial_order = 0
    config.warpAndPsfMatch.psfMatch.kernel_size = KERNEL_SIZE
    for name, value in options.items():
        setattr(config, name, value)
    config.validate()
    return kind(config=config)


def reference(detector: int, exposure: Exposure | None = None, **more: Any) -> FrameReference:
    """A frame with the joint tables."""
    own = frame(detector) if exposure is None else exposure
    return FrameReference(exposure=own, dataId={"visit": VISIT, "detector": detector}, **({**joint_tables()} | more))


def correction(detector: int, level: float = 40.0) -> BackgroundMap:
    """A sky of the camera of ``level`` nJy in the place of the frame's own, on its own scale."""
    camera_sky = ChebyshevField(BOX, np.array([[level, 0.1 * level]]), unit=u.nJy)
    own = OWN_SCALE * SKY[detector]
    difference = ChebyshevField(BOX, np.array([[level - own, 0.1 * level - 0.2 * own]]), unit=u.nJy)
    background = BackgroundMap()
    background.add(CORRECTION, difference, is_subtracted=True)
    background.add(CAMERA_SKY, camera_sky)
    return background


def flux_and_offset(warp: Exposure, x: float, y: float) -> tuple[float, float, float]:
    """Flux of the star at a position by its PSF, and its distance (x, y) from there."""
    stamp = warp.psf.compute_stellar_image(x=x, y=y)
    data = warp[stamp.bbox].image.array.astype(float)
    model = stamp.array
    slope_y, slope_x = np.gradient(model)
    design = np.stack([model, slope_x, slope_y]).reshape(3, -1).T
    flux, by_x, by_y = np.linalg.lstsq(design, data.ravel(), rcond=None)[0]
    return float(flux), float(-by_x / flux), float(-by_y / flux)


class Stored:
    """A dataset that is read when it is asked for."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.dataId = {"visit": VISIT, "detector": 0}

    def get(self, *, component: str | None = None, parameters: dict[str, Any] | None = None) -> Any:
        part = self.dataset[parameters["bbox"]] if parameters else self.dataset
        return part if component is None else getattr(part, component)


def summary() -> Table:
    """The summary of the visit, by which the PSF of detector 1 is made of too few stars."""
    names = ("psf_sigma", "pixel_scale", "psf_e1_residual", "psf_e2_residual", "psf_scaled_size_scatter")
    names += ("psf_trace_radius_range", "psf_aperture_flux_range", "aperture_correction_range", "star_ellipticity")
    table = Table({name: [1e-3, 1e-3] for name in names} | {"detector": [0, 1], "n_psf_stars": [9, 5]})
    corners = [corner_polygon(projection(detector), BOX) for detector in (0, 1)]
    table["ra_corners"], table["dec_corners"] = (np.array([one[axis] for one in corners]) for axis in (0, 1))
    return table


def middle_of(warp: Exposure) -> float:
    """Mean about the centre of detector 0, where the slopes of its sky and of its flux scale vanish."""
    ra, dec = pixel_to_radec(projection(0), (BOX.x.size - 1) / 2, (BOX.y.size - 1) / 2)
    x, y = (round(float(one)) for one in radec_to_pixel(warp.projection, ra, dec))
    return float(warp[Box.factory[y - 3 : y + 4, x - 3 : x + 4]].image.array.mean())


@pytest.fixture(scope="module")
def both() -> Struct:
    """Both warps of the visit."""
    return task(makePsfMatched=True).run([reference(0), reference(1)], SKY_INFO, VISIT)


@pytest.mark.parametrize("kind", ["direct", "psfMatched"])
def test_stars_are_where_and_as_bright_as_the_joint_fit_says(both: Struct, kind: str) -> None:
    warp = both.exposures[kind]
    assert (warp.unit, warp.band) == (u.nJy, "r")
    assert SKY_INFO.bbox.contains(warp.bbox)
    assert warp.inputs["detector"].tolist() == [0, 1]
    assert warp.inputs["calibration_mean"].tolist() == pytest.approx([SCALE[0], SCALE[1]], rel=1e-6)
    assert int(warp.inputs["n_pixels"].sum()) == int(np.isfinite(warp.image.array).sum())
    for detector in STARS:
        for x, y, flux in true_stars(warp, detector):
            measured, dx, dy = flux_and_offset(warp, x, y)
            assert measured == pytest.approx(flux, rel=2e-3)
            assert max(abs(dx), abs(dy)) < 0.01
    assert not both.left_out


def test_warps_have_the_psfs_that_they_say(both: Struct) -> None:
    for kind, limit in (("direct", 2e-3), ("psfMatched", 6e-3)):
        warp = both.exposures[kind]
        for x, y, flux in true_stars(warp, 0) + true_stars(warp, 1):
            stamp = warp.psf.compute_stellar_image(x=x, y=y)
            residual = warp[stamp.bbox].image.array / flux - stamp.array
            assert np.abs(residual).max() < limit * stamp.array.max() + 12.0 * ELECTRON_NOISE / flux
    (x, y, _), *_ = true_stars(warp, 0)
    model = warp.psf.compute_kernel_image(x=x, y=y).array
    peak, beside = model.max(), model[model.shape[0] // 2 + 3, model.shape[1] // 2]
    assert beside / peak == pytest.approx(0.5, rel=0.01)  # a FWHM of 6 px


def test_without_the_joint_fit_frames_keep_their_own_calibration() -> None:
    warp = task(MakeCoaddTempExpTask).run([frame(0), frame(1)], SKY_INFO, VISIT).exposures["direct"]
    for detector in STARS:
        for (x, y, flux), (at, _, _) in zip(true_stars(warp, detector), STARS[detector], strict=True):
            measured, dx, dy = flux_and_offset(warp, x, y + OWN_SHIFT * 3600 / 0.25)
            scale = float(true_scale(detector).scale(at, 0.0))
            assert measured == pytest.approx(flux * OWN_SCALE / scale, rel=2e-3)
            assert max(abs(dx), abs(dy)) < 0.01


def test_flux_scales_of_the_joint_fit_can_be_left_out() -> None:
    warp = task(doApplyJointPhotoCalib=False).run([reference(0)], SKY_INFO, VISIT).exposures["direct"]
    assert warp.inputs["calibration_mean"].tolist() == [OWN_SCALE]
    (x, y, flux), _ = true_stars(warp, 0)
    measured, dx, dy = flux_and_offset(warp, x, y)
    assert measured == pytest.approx(flux * OWN_SCALE / float(true_scale(0).scale(STARS[0][0][0], 0.0)), rel=2e-3)
    assert max(abs(dx), abs(dy)) < 0.01


def test_result_does_not_depend_on_the_order_nor_on_the_other_warp(both: Struct) -> None:
    turned = task().run([reference(1), reference(0)], SKY_INFO, VISIT)
    assert list(turned.exposures) == ["direct"]
    for name in ("image", "variance", "bits"):
        mine, other = (getattr(one.exposures["direct"], name) for one in (turned, both))
        np.testing.assert_array_equal(*(getattr(one, "array", one) for one in (mine, other)))


def test_where_detectors_overlap_the_first_one_counts() -> None:
    second = reference(1, replace(frame(1), projection=projection(0)))
    warp = task(MakeCoaddTempExpTask).run([second, reference(0)], SKY_INFO, VISIT).exposures["direct"]
    alone = task(MakeCoaddTempExpTask).run([reference(0)], SKY_INFO, VISIT).exposures["direct"]
    held = np.isfinite(alone.image.array)
    at = alone.bbox.slice_within(warp.bbox)
    np.testing.assert_array_equal(warp.image.array[at][held], alone.image.array[held])


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (reference(0, **joint_tables(0)), "no WCS of it: too few stars"),
        (reference(0, **joint_tables(missing=(0,))), "the joint fit has no stars of it"),
        (reference(0, joint_wcs=None), "no joint fit of the WCSs"),
        (reference(0, joint_photo_calib=None), "no joint fit of the flux scales"),
        (reference(0, joint_photo_calib=joint_tables(0)["joint_photo_calib"]), "no flux scale of it: too few stars"),
        (reference(0, replace(frame(0), projection=None)), "It has no WCS"),
        (reference(0, replace(frame(0), photo_calib=None)), "without a calibration"),
    ],
)
def test_detector_that_fails_is_named_and_the_other_stays(broken: FrameReference, words: str) -> None:
    one = task()
    result = one.run([broken, reference(1)], SKY_INFO, VISIT)
    assert result.exposures["direct"].inputs["detector"].tolist() == [1]
    assert list(result.left_out) == ["0"]
    assert words in result.left_out["0"]
    assert words in one.metadata.getArray("left_out")[0]
    none = one.run([broken], SKY_INFO, VISIT)
    assert none.exposures == {"direct": None}


def test_frame_with_a_psf_broader_than_the_model_has_no_matched_warp() -> None:
    broad = reference(0, frame(0, psf_sigma=4.0))
    result = task(makePsfMatched=True).run([broad, reference(1)], SKY_INFO, VISIT)
    assert result.exposures["direct"].inputs["detector"].tolist() == [0, 1]
    assert result.exposures["psfMatched"].inputs["detector"].tolist() == [1]
    assert list(result.left_out) == ["0 (psfMatched)"]
    assert "cannot be turned into the model" in result.left_out["0 (psfMatched)"]
    result = task(makeDirect=False, makePsfMatched=True).run([broad], SKY_INFO, VISIT)
    assert result.exposures == {"psfMatched": None}


def test_matched_warps_reach_the_border_of_the_patch(both: Struct) -> None:
    tiles, whole = sky_map(170, 4), both.exposures["psfMatched"]
    config = {"makeDirect": False, "makePsfMatched": True}
    patches = [one for one in tiles.tract(0).patches() if (one.ix, one.iy) in ((0, 1), (1, 1))]
    shift = _first_pixel(tiles) - _first_pixel(sky_map())
    for patch in patches:
        info = task().getSkyInfo(PatchReference(sky_map=tiles, dataId={"tract": 0, "patch": patch.id}))
        warp = task(**config).run([reference(0), reference(1)], info, VISIT).exposures["psfMatched"]
        same = whole[Box.from_shape(warp.bbox.shape, start=tuple(np.array(warp.bbox.start) + shift))]
        assert info.bbox.contains(warp.bbox)
        assert np.isfinite(warp.image.array).mean() > 0.3
        np.testing.assert_array_equal(np.isfinite(warp.image.array), np.isfinite(same.image.array))
        np.testing.assert_allclose(warp.image.array, same.image.array, atol=0.05)
        assert int(warp.inputs["n_pixels"].sum()) == int(np.isfinite(warp.image.array).sum())


def _first_pixel(tiles: Any) -> np.ndarray:
    """How far to the lower left of the centre a tract begins, pixels (y, x), negative."""
    tract = tiles.tract(0)
    x, y = tract.pixels_of(np.array([tract.ra]), np.array([tract.dec]))
    return np.rint([-y[0], -x[0]]).astype(int)


def test_pixels_of_bad_planes_are_left_out() -> None:
    exposure = frame(0)
    exposure.bits[70:74, 20:30] = bitmask("SAT")
    options = {"makePsfMatched": True, "badMaskPlanes": ["NO_DATA", "SAT"]}
    result = task(**options).run([reference(0, exposure)], SKY_INFO, VISIT)
    plain = task(makePsfMatched=True).run([reference(0, exposure)], SKY_INFO, VISIT)
    for kind, warp in result.exposures.items():
        saturated = (plain.exposures[kind].bits & bitmask("SAT")) != 0
        assert saturated.sum() >= 40
        assert np.isfinite(plain.exposures[kind].image.array[saturated]).any()
        assert np.isnan(warp.image.array[saturated]).all()
        assert np.isposinf(warp.variance.array[saturated]).all()
        assert (warp.bits[saturated] & bitmask("NO_DATA")).all()
        held = np.isfinite(warp.image.array)
        np.testing.assert_array_equal(held, np.isfinite(plain.exposures[kind].image.array) & ~saturated)
        assert int(warp.inputs["n_pixels"].sum()) == pytest.approx(int(held.sum()), abs=20)
    assert task(**options).getBadPixelMask() == bitmask("NO_DATA", "SAT")


def test_detector_without_a_good_pixel_is_no_input() -> None:
    exposure = frame(1)
    exposure.bits[...] = bitmask("BAD")
    one = task(badMaskPlanes=["NO_DATA", "BAD"])
    warp = one.run([reference(0), reference(1, exposure)], SKY_INFO, VISIT).exposures["direct"]
    assert warp.inputs["detector"].tolist() == [0]
    assert [part.detector for part in warp.psf.components] == [0]
    assert one.inputRecorder.metadata.getArray("direct_empty_detectors") == [1]
    assert one.run([reference(1, exposure)], SKY_INFO, VISIT).exposures == {"direct": None}


def test_calexp_has_its_background_back_on_the_joint_scale() -> None:
    one, given = task(), reference(0, background=sky(0))
    with_sky, without = one.getCalExp(given, False), one.getCalExp(given, True)
    x = (2 * np.arange(BOX.x.size) + 1 - BOX.x.size) / BOX.x.size
    expected = SKY[0] * (1 + 0.2 * x) * true_scale(0).scale_pixels(BOX)
    np.testing.assert_allclose(with_sky.image.array - without.image.array, expected, rtol=1e-3)
    in_electrons = one.getCalExp(reference(0, background=sky(0, u.electron)), False)
    np.testing.assert_allclose(in_electrons.image.array, with_sky.image.array, rtol=1e-4)
    with pytest.raises(FrameError, match="no background"):
        one.getCalExp(reference(0), False)
    warp = task(bgSubtracted=False).run([given], SKY_INFO, VISIT).exposures["direct"]
    own = one.run([given], SKY_INFO, VISIT).exposures["direct"]
    assert middle_of(warp) - middle_of(own) == pytest.approx(SKY[0] * SCALE[0], rel=0.01)


def test_sky_of_the_camera_takes_the_place_of_the_background() -> None:
    one, given = task(), reference(0, background=sky(0), sky_correction=correction(0))
    truth = one.getCalExp(given, False)
    stored = FrameReference(
        exposure=Stored(to_visit_image(frame(0))),
        background=Stored(sky(0)),
        sky_correction=Stored(correction(0)),
        **joint_tables(),
    )
    x = (2 * np.arange(BOX.x.size) + 1 - BOX.x.size) / BOX.x.size
    camera_sky = 40.0 * (1 + 0.1 * x) * true_scale(0).scale_pixels(BOX) / OWN_SCALE
    for background_stays_off in (True, False):
        calexp = one.getCalExp(stored, background_stays_off)
        assert one.applySkyCorr(stored, calexp) is None
        np.testing.assert_allclose(calexp.image.array, truth.image.array - camera_sky, atol=2e-2)
        assert calexp.photo_calib == true_scale(0)
    with pytest.raises(FrameError, match="no sky correction"):
        one.applySkyCorr(reference(0), truth)
    warp = task(doApplySkyCorr=True).run([given], SKY_INFO, VISIT).exposures["direct"]
    plain = task().run([given], SKY_INFO, VISIT).exposures["direct"]
    change = middle_of(warp) - middle_of(plain)
    assert change == pytest.approx((OWN_SCALE * SKY[0] - 40.0) * SCALE[0] / OWN_SCALE, rel=0.01)


def test_joint_calibration_is_put_on_a_given_frame_in_place() -> None:
    one, given = task(), reference(0)
    calexp = given.get()
    assert one.applyJointcalResultsExposure(given, calexp).exposure is calexp
    expected = frame(0).image.array * true_scale(0).scale_pixels(BOX) / OWN_SCALE
    np.testing.assert_allclose(calexp.image.array, expected, rtol=1e-5)
    assert calexp.photo_calib == true_scale(0)
    ra, dec = corner_polygon(calexp.projection, BOX)
    np.testing.assert_allclose((ra, dec), corner_polygon(projection(0), BOX), atol=1e-8)
    loaded = one.applyJointcalResultsExposure(given).exposure
    np.testing.assert_array_equal(loaded.image.array, calexp.image.array)
    # What fails has changed nothing, and nothing changes what a reference stands for.
    other = given.get()
    with pytest.raises(PhotometryError):
        one.applyJointcalResultsExposure(reference(0, joint_photo_calib=None), other)
    np.testing.assert_array_equal(other.image.array, frame(0).image.array)
    with pytest.raises(AstrometryError, match="doApplyUberCal"):
        one.applyJointcalResultsExposure(ExposureHandle(frame(0), VISIT))


def test_frames_in_electrons_are_calibrated() -> None:
    exposure = replace(frame(0), unit=u.electron, photo_calib=PhotoCalib(3.0, 0.0))
    warp = task(MakeCoaddTempExpTask).run([ExposureHandle(exposure, VISIT)], SKY_INFO).exposures["direct"]
    usual = task(MakeCoaddTempExpTask).run([frame(0)], SKY_INFO).exposures["direct"]
    held = np.isfinite(warp.image.array)
    assert warp.unit == u.nJy
    np.testing.assert_allclose(warp.image.array[held], 3.0 * usual.image.array[held], rtol=1e-4, atol=1e-3)
    without = task(MakeCoaddTempExpTask).run([replace(exposure, photo_calib=None)], SKY_INFO)
    assert without.left_out == {"0": without.left_out["0"]}
    assert "without a flux scale" in without.left_out["0"]


def test_recorder_tells_of_detectors_that_are_not_in_the_warp() -> None:
    config = JointcalCoaddTask.ConfigClass()
    config.inputRecorder.saveEmptyCcds = config.inputRecorder.saveErrorCcds = True
    one = JointcalCoaddTask(config=config)
    hidden = frame(1)
    hidden.image.array[...] = np.nan
    refused = replace(reference(0, **joint_tables(0)), dataId={"visit": VISIT, "detector": 0})
    shown = replace(reference(0), dataId={"visit": VISIT, "detector": 2}, **_renamed(2))
    result = one.run([refused, reference(1, hidden), shown], SKY_INFO, VISIT)
    warp = result.exposures["direct"]
    assert warp.metadata["empty_detectors"] == [1]
    assert warp.metadata["failed_detectors"] == [f"0: {result.left_out['0']}"]
    figures = one.inputRecorder.metadata
    assert figures.getArray("direct_detectors") == [2]
    assert figures["direct_n_pixels"] == int(np.isfinite(warp.image.array).sum())
    assert figures["direct_filled_fraction"] == pytest.approx(figures["direct_n_pixels"] / SKY_INFO.bbox.area)


def _renamed(detector: int) -> dict[str, Table]:
    """The joint tables, with detector 0 under another number."""
    tables = joint_tables(missing=(1,))
    for table in tables.values():
        table["detector"] = detector
    return tables


def test_frames_are_selected_by_place() -> None:
    far = reference(1, replace(frame(1), projection=projection(1, 0.5)))
    nowhere = replace(reference(0, replace(frame(0), projection=None)), dataId={"visit": VISIT, "detector": 3})
    one = task()
    chosen = one.selectExposures(PATCH, selectDataList=[far, nowhere, reference(0)])
    assert [frame.detector for frame in chosen] == [0]
    reasons = one.metadata.getArray("not_selected")
    assert reasons == [f"{VISIT}/1: does not overlap the patch", f"{VISIT}/3: no finite position of its corners"]
    config = JointcalCoaddTask.ConfigClass()
    config.select.excludeDetectors = [0]
    assert JointcalCoaddTask(config=config).selectExposures(PATCH, SKY_INFO, [reference(0)]) == []


def test_frames_are_selected_by_psf() -> None:
    config = JointcalCoaddTask.ConfigClass()
    config.select.retarget(PsfWcsSelectImagesTask)
    one = JointcalCoaddTask(config=config)
    table = summary()
    frames = [reference(0, visit_summary=table), reference(1, visit_summary=table)]
    assert [frame.detector for frame in one.selectExposures(PATCH, SKY_INFO, frames)] == [0]
    assert one.metadata.getArray("not_selected") == [f"{VISIT}/1: number of PSF stars 5 is below 6"]
    assert one.selectExposures(PATCH, SKY_INFO, [reference(0)]) == []
    assert one.metadata.getArray("not_selected") == [f"{VISIT}/0: no row in the visit's summary"]


def test_patches_are_found_by_number_and_by_pair() -> None:
    tiles = sky_map(170, 4)
    by_pair, by_words, by_number = (
        task().getSkyInfo(PatchReference(sky_map=tiles, dataId={"tract": 0, "patch": patch}))
        for patch in ((1, 2), "1,2", 2 * tiles.tract(0).n_patches[0] + 1)
    )
    assert by_pair.patchInfo == by_words.patchInfo == by_number.patchInfo
    assert (by_pair.patchInfo.ix, by_pair.patchInfo.iy) == (1, 2)
    assert by_pair.bbox == by_pair.patchInfo.outer_bbox
    assert by_pair.skyMap is tiles
    assert by_pair.wcs == by_pair.tractInfo.projection
    with pytest.raises(IndexError):
        task().getSkyInfo(PatchReference(sky_map=tiles, dataId={"tract": 1, "patch": 0}))


def test_documented_names() -> None:
    one = task(coaddName="goodSeeing", makePsfMatched=True)
    assert one.getWarpTypeList() == ["direct", "psfMatched"]
    assert [one.getTempExpDatasetName(kind) for kind in one.getWarpTypeList()] == [
        "goodSeeingCoadd_directWarp",
        "goodSeeingCoadd_psfMatchedWarp",
    ]
    assert (one.getCoaddDatasetName(), one.getCoaddDatasetName("psfMatched")) == (
        "goodSeeingCoadd",
        "goodSeeingCoaddPsfMatched",
    )
    assert (one.getFullName(), one.canMultiprocess) == (one.getName(), True)
    subtasks = {f"{one.getName()}.{name}" for name in ("select", "inputRecorder", "warpAndPsfMatch")}
    assert set(one.getTaskDict()) == {one.getName()} | subtasks
    one.run([reference(0)], SKY_INFO, VISIT)
    recorder = f"{one.getName()}:inputRecorder"
    assert one.getFullMetadata()[recorder]["direct_n_pixels"] > 0
    one.emptyMetadata()
    assert "direct_n_pixels" not in one.getFullMetadata()[recorder]
    assert JointcalCoaddTask(reuse=True).reuse
    assert JointcalCoaddTask.makeField("warps").target is JointcalCoaddTask


def test_configuration_decides_what_is_read_and_written() -> None:
    base, joint = MakeCoaddTempExpTask.ConfigClass(), JointcalCoaddTask.ConfigClass()
    assert set(MakeCoaddTempExpConnections(config=base).inputs) == {"exposures", "sky_map"}
    assert set(MakeCoaddTempExpConnections(config=joint).inputs) == {
        "exposures",
        "sky_map",
        "joint_wcs",
        "joint_photo_calib",
    }
    joint.doApplyJointPhotoCalib, joint.bgSubtracted, joint.doApplySkyCorr = False, False, True
    joint.select.retarget(PsfWcsSelectImagesTask)
    joint.makePsfMatched, joint.connections.prefix = True, "good_seeing_"
    connections = MakeCoaddTempExpConnections(config=joint)
    assert set(connections.inputs) == {
        "exposures",
        "sky_map",
        "joint_wcs",
        "backgrounds",
        "sky_corrections",
        "visit_summary",
    }
    assert (connections.direct.name, connections.psfMatched.name) == (
        "good_seeing_direct_warp",
        "good_seeing_psf_matched_warp",
    )
    joint.doWrite = False
    assert not MakeCoaddTempExpConnections(config=joint).outputs


def test_configurations_that_make_no_sense_are_refused() -> None:
    with pytest.raises(FieldValidationError, match="makeDirect or makePsfMatched"):
        task(makeDirect=False)
    with pytest.raises(FieldValidationError, match="matchingKernelSize"):
        task(matchingKernelSize=20)
    with pytest.raises(FieldValidationError, match="badMaskPlanes"):
        task(badMaskPlanes=["NONE_SUCH"])
    config = JointcalCoaddTask.ConfigClass()
    config.warpAndPsfMatch.warp.kernel = "lanczos5"
    config.validate()
    config.coaddPsf.warpingKernelName = "lanczos3"
    with pytest.raises(FieldValidationError, match="PSFs resampled with lanczos3"):
        config.validate()
    config.warpAndPsfMatch.warp.kernel = "square"
    with pytest.raises(FieldValidationError, match="square"):
        config.validate()
    with pytest.warns(FutureWarning, match="makePsfMatched"):
        assert task(makeDirect=False, doPsfMatch=True).getWarpTypeList() == ["psfMatched"]


def test_matching_kernels_are_as_wide_as_asked_or_wider() -> None:
    one = task(makeDirect=False, makePsfMatched=True, matchingKernelSize=23)
    one.config.warpAndPsfMatch.psfMatch.kernel_size = None
    one.run([reference(0)], SKY_INFO, VISIT)
    assert one.warpAndPsfMatch.metadata.getArray("kernel_sizes") == [23]
    assert one.warpAndPsfMatch.metadata.getArray("residuals")[0] < 0.006


def _fill(butler: Butler) -> None:
    """A visit of two calibrated frames on a sky map."""
    insert = butler.registry.insertDimensionData
    key = {"instrument": "tiny", "visit": VISIT}
    corners = {detector: corner_polygon(projection(detector), BOX) for detector in STARS}
    insert("instrument", {"name": "tiny", "visit_max": 99, "detector_max": 9, "class_name": "x"})
    insert("physical_filter", {"instrument": "tiny", "name": "r", "band": "r"})
    insert("detector", *({"instrument": "tiny", "id": one, "full_name": f"{one}"} for one in STARS))
    insert("day_obs", {"instrument": "tiny", "id": 20260101})
    hull = convex_polygon(*np.concatenate(list(corners.values()), axis=1))
    record = {"instrument": "tiny", "id": VISIT, "name": "v", "physical_filter": "r", "day_obs": 20260101}
    insert("visit", record | {"region": hull})
    per_visit = ("instrument", "visit", "skymap", "tract")
    for name, dimensions, storage in (
        ("initial_pvi", ("instrument", "visit", "detector"), "VisitImage"),
        ("sky_correction", ("instrument", "visit", "detector"), "BackgroundMap"),
        ("initial_pvi_background", ("instrument", "visit", "detector"), "BackgroundMap"),
        ("visit_summary", ("instrument", "visit"), "ArrowAstropy"),
        ("joint_wcs", per_visit, "ArrowAstropy"),
        ("joint_photo_calib", per_visit, "ArrowAstropy"),
    ):
        butler.registry.registerDatasetType(DatasetType(name, dimensions, storage, universe=butler.dimensions))
    for detector in STARS:
        region = convex_polygon(*corners[detector])
        insert("visit_detector_region", {**key, "detector": detector, "region": region})
        butler.put(to_visit_image(frame(detector)), "initial_pvi", key, detector=detector)
        butler.put(correction(detector), "sky_correction", key, detector=detector)
        butler.put(sky(detector), "initial_pvi_background", key, detector=detector)
    butler.put(summary(), "visit_summary", key)
    register_sky_map(butler, sky_map())
    for run, refused in (("joint", ()), ("refused", (0, 1))):
        butler.collections.register(run)
        for name, table in joint_tables(*refused).items():
            butler.put(table, name, key, skymap="field", tract=0, run=run)


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    root = str(tmp_path_factory.mktemp("joint") / "repo")
    Butler.makeRepo(root, config=Config(str(files("skyloom.repo") / "seed.yaml")))
    with Butler.from_config(root, writeable=True, run="frames") as butler:
        _fill(butler)
        yield butler


def _execute(butler: Butler, run: str, pipeline: Pipeline, tables: str) -> Butler:
    """Run the task, and others of a pipeline, with the tables of the joint fit from one collection."""
    pipeline.addTask("skyloom.tasks.JointcalCoaddTask", "jointcal_coadd")
    for name, value in {
        "connections.prefix": "joint_",
        "makePsfMatched": True,
        "modelPsf.defaultFwhm": 6.0,
        "warpAndPsfMatch.psfMatch.spatial_order": 0,
        "warpAndPsfMatch.psfMatch.kernel_size": KERNEL_SIZE,
    }.items():
        pipeline.addConfigOverride("jointcal_coadd", name, value)
    writer = butler.clone(run=run, collections=["frames", tables, "skymaps"])
    SimplePipelineExecutor.from_pipeline(pipeline, where="skymap = 'field'", butler=writer).run(
        register_dataset_types=True
    )
    return butler.clone(collections=[run])


def test_through_a_repository(butler: Butler, both: Struct) -> None:
    pipeline = Pipeline("warps")
    pipeline.addTask("skyloom.tasks.MakeDirectWarpTask", "make_direct_warp")
    pipeline.addTask("skyloom.tasks.JointcalCoaddTask", "chosen")
    for name, value in {"connections.prefix": "chosen_", "bgSubtracted": False, "doApplySkyCorr": True}.items():
        pipeline.addConfigOverride("chosen", name, value)
    pipeline.addConfigPython("chosen", RETARGET)
    found = _execute(butler, "warps", pipeline, "joint")
    key = {"instrument": "tiny", "visit": VISIT, "skymap": "field", "tract": 0, "patch": 0}
    stored = {kind: found.get(f"joint_{name}", key) for kind, name in NAMES.items()}
    for kind, warp in both.exposures.items():
        mine = from_warp(stored[kind])
        assert mine.bbox == warp.bbox
        np.testing.assert_allclose(mine.image.array, warp.image.array, atol=0.02)
        np.testing.assert_array_equal(mine.bits, warp.bits)
        assert mine.inputs["n_pixels"].tolist() == warp.inputs["n_pixels"].tolist()
    # The pixels are those of the task that makes direct warps alone.
    sibling = from_warp(found.get("direct_warp", key))
    for name in ("image", "variance", "mask"):
        np.testing.assert_array_equal(getattr(stored["direct"], name).array, getattr(sibling, name).array)
    # One detector was chosen, and has the sky of the camera in the place of its own.
    chosen = from_warp(found.get("chosen_direct_warp", key))
    assert chosen.inputs["detector"].tolist() == [0]
    change = middle_of(chosen) - middle_of(both.exposures["direct"])
    assert change == pytest.approx((OWN_SCALE * SKY[0] - 40.0) * SCALE[0] / OWN_SCALE, rel=0.01)
    figures = found.get("jointcal_coadd_metadata", key)
    assert figures["jointcal_coadd:inputRecorder"].getArray("direct_detectors") == [0, 1]


def test_visit_that_the_joint_fit_refused_fails_by_name(butler: Butler) -> None:
    with pytest.raises(FrameFailure) as caught:
        _execute(butler, "none", Pipeline("warps"), "refused")
    words = r"Visit 42 has no direct and psfMatched warp: 0: .*too few stars.; 1: .*too few stars."
    assert re.search(words, str(caught.value))
    empty = task()
    with pytest.raises(NoWorkFound, match="No frame of visit 42"):
        empty._end_quantum(VISIT, empty.run([], SKY_INFO, VISIT))
