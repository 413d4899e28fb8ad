"""Frames on their way from disk to a warp: joint calibrations, skies, selection, noise; handles are in memory."""

from __future__ import annotations

import re
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astro_metadata_translator import ObservationInfo
from astropy.table import Table
from astropy.time import Time
from lsst.images import BackgroundMap, Box, Image, SkyProjection, TractFrame
from lsst.images.fields import ChebyshevField
from lsst.images.psfs import GaussianPointSpreadFunction
from lsst.pipe.base import NoWorkFound

from skyloom.images import Exposure, PhotoCalib, bitmask, fits_header, pixel_to_radec, radec_to_pixel, to_visit_image
from skyloom.instruments import Camera
from skyloom.jointcal import PHOTO_CALIB_COLUMNS, WCS_COLUMNS, table_of
from skyloom.skymap.polygons import convex_polygon
from skyloom.tasks import MakeDirectWarpTask
from skyloom.tasks.make_direct_warp_config import MakeDirectWarpConnections
from skyloom.tasks.warp_frames import DetectorHandles, detector_handles
from skyloom.warp import PsfSelectionSettings
from warp.sky import centroid, tan

SIDE = 120
SIGMA, FLUX, STAR = 1.8, 1e5, (60.4, 55.7)
CAMERA = f"""
name: tiny
telescope: Small
recognise: {{INSTRUME: tiny}}
position_unit: px
pixel_scale: 0.25 arcsec
pixel_size: 15 um
pointing_error: 30 arcsec
detectors:
  - id: ID
    name: c0
    size: [{SIDE}, {SIDE}]
    position: [0, 0]
    amplifiers:
      - name: A
        box: {{x: [0, {SIDE}], y: [0, {SIDE}]}}
        raw: {{box: {{x: [0, {SIDE}], y: [0, {SIDE}]}}, data: {{x: [0, {SIDE}], y: [0, {SIDE}]}}}}
        readout_corner: LL
        gain: 1.0
        read_noise: 1.0
        saturation: 60000
filters: {{r: {{band: r}}}}
header: {{exposure_id: EXPNUM, detector: DETNUM, exposure_time: EXPTIME, date: DATE-OBS, ra: RA, dec: DEC,
  filter: FILTER, observation_type: IMGTYPE}}
"""
BOX = Box.from_shape((SIDE, SIDE))
PATCH = Box.factory[-30:160, -25:150]
REGION = convex_polygon(np.array([149.9, 150.1, 150.1, 149.9]), np.array([1.9, 1.9, 2.1, 2.1]))


class Handle:
    """A dataset in memory, read as the butler's deferred handles are."""

    def __init__(self, dataset: Any, detector: int = 0) -> None:
        self.dataset = dataset
        self.dataId = {"visit": 42, "detector": detector}

    def get(self, *, component: str | None = None, parameters: dict[str, Any] | None = None) -> Any:
        part = self.dataset[parameters["bbox"]].copy() if parameters else self.dataset
        return part if component is None else getattr(part, component)


def projection(dec: float = 2.0, detector: int = 0) -> SkyProjection:
    camera = Camera.from_yaml(CAMERA.replace("ID", str(detector)))
    return camera.projection(detector, ra=150.0, dec=dec, rotation_deg=0.0, visit=42)


TRACT = tan((150.0, 2.0), (60.5, 60.5), frame=TractFrame(skymap="s", tract=0, bbox=PATCH))


def frame(detector: int = 0, dec: float = 2.0) -> Exposure:
    """A star on noise of 1 nJy; two pixels are bad."""
    rng = np.random.default_rng(detector)
    y, x = np.indices((SIDE, SIDE))
    star = np.exp(-((x - STAR[0]) ** 2 + (y - STAR[1]) ** 2) / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2)
    exposure = Exposure.from_arrays(
        FLUX * star + rng.normal(0.0, 1.0, star.shape),
        variance=np.ones(star.shape),
        unit=u.nJy,
        detector=Camera.from_yaml(CAMERA.replace("ID", str(detector))).detector(detector, 42),
        projection=projection(dec, detector),
        psf=GaussianPointSpreadFunction(SIGMA, BOX, 21),
        band="r",
        photo_calib=PhotoCalib(2.0, 0.02),
        obs_info=ObservationInfo.makeObservationInfo(
            instrument="tiny",
            telescope="Small",
            physical_filter="r",
            exposure_id=42,
            visit_id=42,
            exposure_time=30.0 * u.s,
            datetime_begin=Time("2026-01-01T03:04:05", scale="tai"),
        ),
    )
    exposure.bits[20, 30:32] = bitmask("BAD")
    exposure.image.array[20, 30:32] = 5000.0
    return exposure


def sky(level: float, name: str = "sky") -> BackgroundMap:
    background = BackgroundMap()
    background.add(name, ChebyshevField(BOX, np.array([[level, 0.2 * level]]), unit=u.nJy), is_subtracted=True)
    return background


def handles(*detectors: int, **more: Any) -> dict[int, DetectorHandles]:
    images = {detector: to_visit_image(frame(detector)) for detector in detectors}
    return {
        detector: DetectorHandles(exposure=Handle(image), **{name: Handle(value) for name, value in more.items()})
        for detector, image in images.items()
    }


def wcs_table(refused: bool = False, dec: float = 2.0) -> Table:
    header, residual = fits_header(projection(dec), BOX)
    row = dict.fromkeys(WCS_COLUMNS, 0) | {"x1": SIDE, "y1": SIDE, "wcs_residual": residual, "detector": 0}
    row |= {"wcs": header.tostring(sep="\n", endcard=False, padding=False), "refused": refused, "reason": ""}
    return table_of([row | ({"reason": "too few stars"} if refused else {})], WCS_COLUMNS)


def scale_table(mean: float = 2.2, refused: bool = False) -> Table:
    row = dict.fromkeys(PHOTO_CALIB_COLUMNS, 0) | {"x1": SIDE, "y1": SIDE, "refused": refused, "reason": ""}
    row |= {"calibration_mean": mean, "calibration_err": 0.01, "chebyshev": np.array([1.0, 0.05, 0.0, 0.0])}
    return table_of([row], PHOTO_CALIB_COLUMNS)


def warp_of(
    own: dict[int, DetectorHandles], inputs: dict[str, Any] | None = None, **options: Any
) -> tuple[Any, MakeDirectWarpTask]:
    """What the task makes of frames, and the task."""
    config = MakeDirectWarpTask.ConfigClass()
    for name, value in options.items():
        setattr(config, name, value)
    config.validate()
    task = MakeDirectWarpTask(config=config)
    frames = task.visit_frames(42, own, inputs or {}, REGION, "r")
    exposures = frames.frames(PATCH, TRACT)
    return task.run(exposures, visit=42, box=PATCH, projection=TRACT, left_out=frames.left_out), task


def star_of(warp: Exposure, dec: float = 2.0) -> tuple[float, float, float]:
    """Flux of the star, and its distance (x, y) from where it is."""
    ra, at_dec = pixel_to_radec(projection(dec), *STAR)
    x, y = (float(v) for v in radec_to_pixel(TRACT, ra, at_dec))
    i, j = round(x), round(y)
    stamp = warp[Box.factory[j - 12 : j + 13, i - 12 : i + 13]].image.array.astype(float)
    dx, dy = centroid(stamp, SIGMA)
    return stamp.sum(), dx + i - x, dy + j - y


def test_frames_keep_their_own_calibration_without_a_joint_one() -> None:
    result, task = warp_of(handles(0), {"joint_wcs": [], "joint_photo_calib": []})
    flux, dx, dy = star_of(result.warp)
    assert flux == pytest.approx(FLUX, rel=3e-3)
    assert max(abs(dx), abs(dy)) < 0.01
    assert result.warp.inputs["calibration_mean"].tolist() == [2.0]
    assert (task.metadata["has_joint_wcs"], task.metadata["has_joint_photo_calib"]) == (False, False)
    assert set(result.getDict()) == {"warp"}


def test_joint_calibrations_move_and_scale_a_frame() -> None:
    moved = 2.0 + 1.5 / 3600
    result, task = warp_of(handles(0), {"joint_wcs": [wcs_table(dec=moved)], "joint_photo_calib": [scale_table()]})
    flux, dx, dy = star_of(result.warp, moved)
    slope = 1.0 + 0.05 * (2 * STAR[0] + 1 - SIDE) / SIDE
    assert flux == pytest.approx(FLUX * 1.1 * slope, rel=3e-3)
    assert max(abs(dx), abs(dy)) < 0.01
    assert result.warp.inputs["calibration_mean"].tolist() == [2.2]
    assert result.warp.psf.components[0].projection != projection()
    assert task.metadata["has_joint_wcs"]
    middle = result.warp.variance.array[60:100, 60:100]
    own = warp_of(handles(0))[0].warp.variance.array[60:100, 60:100]
    assert np.median(middle) / np.median(own) == pytest.approx(1.21, rel=0.05)
    # Each can be left out.
    flux, _, dy = star_of(warp_of(handles(0), {"joint_wcs": [wcs_table(dec=moved)]}, use_joint_wcs=False)[0].warp)
    assert flux == pytest.approx(FLUX, rel=3e-3)
    assert abs(dy) < 0.01


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"joint_wcs": [wcs_table(refused=True)]}, "0: .*no WCS of it: too few stars"),
        ({"joint_photo_calib": [scale_table(refused=True)]}, "0: .*no flux scale of it: refused"),
    ],
)
def test_detector_that_the_joint_fit_refused_is_left_out_and_named(tables: dict[str, Any], words: str) -> None:
    config = MakeDirectWarpTask.ConfigClass()
    task = MakeDirectWarpTask(config=config)
    frames = task.visit_frames(42, handles(0), tables, REGION, "r")
    with pytest.raises(NoWorkFound, match="No detector of visit 42"):
        task.run(frames.frames(PATCH, TRACT), visit=42, box=PATCH, projection=TRACT, left_out=frames.left_out)
    (reason,) = task.metadata.getArray("left_out")
    assert re.match(words, reason)


def test_detector_that_the_joint_fit_does_not_know_is_left_out_and_the_others_stay() -> None:
    result, task = warp_of(handles(0, 1), {"joint_wcs": [wcs_table()]})
    assert result.warp.inputs["detector"].tolist() == [0]
    (reason,) = task.metadata.getArray("left_out")
    assert reason.startswith("1: ")
    assert "the joint fit has no stars of it" in reason


def test_skies_are_exchanged_in_the_flat_field_of_the_sky() -> None:
    ratio = Image(np.full((SIDE, SIDE), 1.25, np.float32), bbox=BOX)
    correction = sky(-40.0, name="sky_correction")
    correction.add("sky", sky(60.0)["sky"].field)
    own = handles(0, background=sky(100.0), sky_correction=correction, flat_ratio=ratio)

    def middle(**options: bool) -> float:
        # Where the slope of the sky vanishes.
        warp = warp_of(own, **options)[0].warp[Box.factory[58:62, 58:62]]
        return float(warp.image.array.mean(dtype=float))

    def change(**options: bool) -> float:
        return middle(**options) - middle()

    assert change(do_revert_background=True) == pytest.approx(100.0, abs=0.3)
    assert change(do_revert_background=True, do_apply_flat_ratio=True) == pytest.approx(80.0, abs=0.3)
    assert change(do_apply_sky_correction=True) == pytest.approx(40.0, abs=0.3)
    assert change(do_apply_sky_correction=True, do_apply_flat_ratio=True) == pytest.approx(32.0, abs=0.3)
    same = handles(0, background=sky(100.0), flat_ratio=Image(np.ones((SIDE, SIDE), np.float32), bbox=BOX))
    with_ratio = warp_of(same, do_revert_background=True, do_apply_flat_ratio=True)[0].warp
    without = warp_of(same, do_revert_background=True)[0].warp
    np.testing.assert_array_equal(with_ratio.image.array, without.image.array)


def test_missing_sky_leaves_the_detector_out() -> None:
    with pytest.raises(NoWorkFound):
        warp_of(handles(0), do_revert_background=True)


def test_selection_names_what_it_leaves_out() -> None:
    names = ("psf_sigma", "pixel_scale", "psf_e1_residual", "psf_e2_residual", "psf_scaled_size_scatter")
    names += ("psf_trace_radius_range", "psf_aperture_flux_range", "aperture_correction_range", "star_ellipticity")
    table = Table({name: [1e-3, 1e-3] for name in names} | {"detector": [0, 1], "n_psf_stars": [9, 5]})
    table["ra_corners"], table["dec_corners"] = [[149.99, 150.01, 150.01]] * 2, [[1.99, 1.99, 2.01]] * 2
    result, task = warp_of(handles(0, 1), {"visit_summary": table}, do_select=True)
    assert result.warp.inputs["detector"].tolist() == [0]
    assert task.metadata.getArray("left_out") == ["1: number of PSF stars 5 is below 6"]
    config = {"do_select": True}
    table["n_psf_stars"] = 0
    with pytest.raises(NoWorkFound, match="detector 0: number of PSF stars 0 is below 6"):
        warp_of(handles(0), {"visit_summary": table}, **config)


def test_noise_and_share_of_bad_pixels_go_beside_the_warp() -> None:
    scales = {"joint_photo_calib": [scale_table()]}
    result, _ = warp_of(handles(0), scales, n_noise_realisations=2, do_masked_fraction=True)
    assert set(result.getDict()) == {"warp", "noise_warp0", "noise_warp1", "masked_fraction_warp"}
    warp, noise, other = result.warp, result.noise_warp0, result.noise_warp1
    held = np.isfinite(warp.image.array)
    for one in (noise, other):
        np.testing.assert_array_equal(np.isfinite(one.image.array), held)
        assert np.mean(one.image.array[held] ** 2 / warp.variance.array[held]) == pytest.approx(1.0, abs=0.05)
        assert one.psf is None
    assert abs(np.corrcoef(noise.image.array[held], other.image.array[held])[0, 1]) < 0.03
    again = warp_of(handles(0), scales, n_noise_realisations=1)[0].noise_warp0
    np.testing.assert_array_equal(again.image.array, noise.image.array)
    offset = warp_of(handles(0), scales, n_noise_realisations=1, noise_seed_offset=1)[0].noise_warp0
    assert not np.array_equal(offset.image.array, noise.image.array)
    share = result.masked_fraction_warp
    assert share.bbox == warp.bbox
    assert share.array[held].sum() == pytest.approx(2.0, abs=1e-3)


def test_bad_pixels_can_be_interpolated_before() -> None:
    plain = warp_of(handles(0))[0].warp
    filled = warp_of(handles(0), do_interpolate=True, interpolated_planes=["BAD"])[0].warp
    bad = (filled.bits & bitmask("INTRP")) != 0
    assert np.nanmax(plain.image.array[bad]) > 1000.0
    assert np.abs(filled.image.array[bad]).max() < 10.0
    assert np.isinf(filled.variance.array[bad]).any()


@pytest.mark.parametrize("kernel", ["bilinear", "lanczos5"])
def test_other_kernels_come_with_their_psf(kernel: str) -> None:
    warp = warp_of(handles(0), kernel=kernel)[0].warp
    assert [part.warp_order for part in warp.psf.components] == [{"bilinear": 1, "lanczos5": 5}[kernel]]
    x, y = (float(v) for v in radec_to_pixel(TRACT, *pixel_to_radec(projection(), *STAR)))
    stamp = warp.psf.compute_stellar_image(x=x, y=y)
    image = warp[stamp.bbox].image.array
    assert np.abs(image / FLUX - stamp.array).max() < 1e-3 * stamp.array.max() + 5.0 / FLUX


def test_configuration_decides_what_is_read_and_written() -> None:
    config = MakeDirectWarpTask.ConfigClass()
    optional = {"joint_wcs", "joint_photo_calib"}
    always = {"exposures", "sky_map"}
    assert set(MakeDirectWarpConnections(config=config).inputs) == always | optional
    assert set(MakeDirectWarpConnections(config=config).outputs) == {"warp"}
    config.do_select, config.use_joint_wcs, config.do_revert_background = True, False, True
    config.do_masked_fraction, config.n_noise_realisations = True, 2
    connections = MakeDirectWarpConnections(config=config)
    assert set(connections.inputs) == always | {"joint_photo_calib", "visit_summary", "backgrounds"}
    assert set(connections.outputs) == {"warp", "masked_fraction_warp", "noise_warp0", "noise_warp1"}
    config.do_apply_sky_correction = True
    with pytest.raises(ValueError, match="not do_revert_background"):
        config.validate()
    config.do_revert_background = config.do_apply_sky_correction = False
    config.do_apply_flat_ratio = True
    with pytest.raises(ValueError, match="do_apply_flat_ratio needs"):
        config.validate()


def test_limits_of_the_selection_are_those_of_the_algorithm() -> None:
    config = MakeDirectWarpTask.ConfigClass()
    assert config.select.settings() == PsfSelectionSettings()
    config.select.max_psf_fwhm = config.select.min_psf_stars = None
    config.select.max_star_ellipticity = {"u": 0.5, "fallback": 0.3}
    config.select.exclude_detectors = [3]
    settings = config.select.settings()
    assert (settings.max_psf_fwhm, settings.min_psf_stars, settings.exclude_detectors) == (None, None, (3,))
    assert settings.max_star_ellipticity == {"u": 0.5, "fallback": 0.3}
    config.select.max_star_ellipticity = {"u": 0.5}
    with pytest.raises(ValueError, match="max_star_ellipticity"):
        config.validate()


def test_handles_are_gathered_by_detector() -> None:
    exposures = [Handle(None, 1), Handle(None, 0)]
    found = detector_handles({"exposures": exposures, "backgrounds": [Handle("sky", 1)]})
    assert found[42, 1].background.get() == "sky"
    assert found[42, 0].background is None
    assert found[42, 0].sky_correction is None
