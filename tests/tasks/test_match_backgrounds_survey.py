"""The sky and a galaxy's halo in the coadd of a simulated survey: as it is, subtracted frame by frame, and matched."""

from __future__ import annotations

from functools import cache

import astropy.units as u
import numpy as np
import pytest
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.background import BackgroundSettings, fit_background, render_field
from skyloom.coadd import ExposureHandle
from skyloom.images import Exposure, PhotoCalib, radec_to_pixel
from skyloom.instruments import Camera
from skyloom.simulate import Mosaic, SkySettings, SurveySettings, VisitSettings, make_sky, make_visits
from skyloom.simulate.scene import draw_sky, draw_sources, electrons_per_njy
from skyloom.simulate.visits import Visit
from skyloom.skymap import ClippedPatches, DiscreteSkyMap, TractCircle
from skyloom.tasks import AssembleCoaddTask, MakeDirectWarpTask, MatchBackgroundsTask
from skyloom.warp import add_background

SIDE, BIN, SCALE = 480, 64, 0.25
"""Of the detector, of a cell of the background and of a superpixel, px; arcsec a pixel."""
RA, DEC = 150.0, 2.2
PEAK_NJY, HALO_ARCSEC = 9000.0, 8.0
RINGS = ((0.0, 10.0), (10.0, 20.0), (20.0, 25.0), (25.0, 30.0))
SETTINGS = SurveySettings(
    seed=7,
    sky=SkySettings(stars_per_square_arcmin=8.0, galaxies_per_square_arcmin=2.0, saturated_stars=0, mag_bright=18.0),
    visits=VisitSettings(visits_per_band=5, dither_arcsec=20.0, rotation_deg=0.0, distortion_pixels=0.0),
)
CAMERA = Camera.from_yaml(f"""
name: one
telescope: Small
recognise: {{INSTRUME: one}}
position_unit: px
pixel_scale: {SCALE} arcsec
pixel_size: 15 um
pointing_error: 30 arcsec
detectors:
  - id: 0
    name: c0
    size: [{SIDE}, {SIDE}]
    position: [0, 0]
    amplifiers:
      - name: A
        box: {{x: [0, {SIDE}], y: [0, {SIDE}]}}
        raw: {{box: {{x: [0, {SIDE}], y: [0, {SIDE}]}}, data: {{x: [0, {SIDE}], y: [0, {SIDE}]}}}}
        readout_corner: LL
        gain: 1.0
        read_noise: 5.0
        saturation: 200000
filters:
  r: {{band: r}}
header: {{exposure_id: EXPNUM, detector: DETNUM, exposure_time: EXPTIME, date: DATE-OBS, ra: RA, dec: DEC,
  filter: FILTER, observation_type: IMGTYPE}}
""")
MAP = DiscreteSkyMap(
    name="field",
    tracts=(TractCircle(ra=RA, dec=DEC, radius=(319.0 * SCALE) / 3600),),
    pixel_scale=SCALE,
    layout=ClippedPatches(size=(640, 640), border=0),
)
TRACT = MAP.tract(0)
PATCH = TRACT.patch(0)


def galaxy_njy(radius_arcsec: np.ndarray) -> np.ndarray:
    """Light of the galaxy, nJy a pixel."""
    return np.asarray(PEAK_NJY * np.exp(-radius_arcsec / HALO_ARCSEC))


def calibrated(visit: Visit, mosaic: Mosaic, sources: object) -> Exposure:
    """The frame of a visit in nJy, with all of its sky, calibrated by the truth."""
    ccd, scale = mosaic.ccds[0], 1.0 / electrons_per_njy(visit)
    x0, y0 = visit.projection(mosaic).sky_to_pixel(ccd, np.array([RA]), np.array([DEC]))
    y, x = np.mgrid[:SIDE, :SIDE]
    light = draw_sky(visit, mosaic, ccd) + galaxy_njy(np.hypot(x - x0, y - y0) * SCALE) / scale
    draw_sources(visit, 3.5, mosaic, ccd, sources, light)  # type: ignore[arg-type]
    variance = light + 25.0
    noise = np.random.default_rng(visit.visit).standard_normal(light.shape) * np.sqrt(variance)
    exposure = Exposure.from_arrays(
        (light + noise) * scale,
        variance=variance * scale**2,
        unit=u.nJy,
        detector=CAMERA.detector(0, visit.visit),
        projection=CAMERA.projection(0, ra=visit.ra_deg, dec=visit.dec_deg, visit=visit.visit),
        band="r",
        photo_calib=PhotoCalib(scale, 0.0),
    )
    exposure.psf = GaussianPointSpreadFunction(1.5, exposure.bbox, 15)
    return exposure


@cache
def coadds() -> dict[str, np.ndarray]:
    """``[y, x]`` nJy over the tract, by how the sky was treated; true sources are NaN."""
    mosaic = Mosaic.of(CAMERA)
    sources = make_sky(SETTINGS, mosaic)
    warps: dict[str, list[ExposureHandle]] = {"subtracted": [], "unmatched": []}
    for visit in make_visits(SETTINGS, mosaic):
        frame = calibrated(visit, mosaic, sources)
        sky = fit_background(frame.image.array, frame.bits, settings=BackgroundSettings(bin_size=BIN)).field
        frame.image.array[...] -= render_field(sky, frame.bbox)
        for name, handles in warps.items():
            if name == "unmatched":
                add_background(frame, sky, render_field)
            warped = MakeDirectWarpTask().run(
                [(0, frame)], visit=visit.visit, box=PATCH.outer_bbox, projection=TRACT.projection
            )
            handles.append(ExposureHandle(warped.warp, visit.visit))
    for name, changes in {"matched": {}, "mean": {"solution": "JOINT", "jointSky": "MEAN"}}.items():
        config = MatchBackgroundsTask.ConfigClass()
        config.update(**changes)
        for model in (config.tractBgModel, config.reference.tractBgModel):
            model.xBin = model.yBin = float(BIN)
        images = MatchBackgroundsTask(config=config).run(warps["unmatched"], MAP).matchedImageList
        warps[name] = [ExposureHandle(image, int(image.inputs["visit"][0])) for image in images]
    sources_at = radec_to_pixel(TRACT.projection, np.asarray(sources["ra"]), np.asarray(sources["dec"]))
    y, x = np.indices(PATCH.outer_bbox.shape)
    hidden = np.zeros(x.shape, bool)
    for cx, cy, flux in zip(*sources_at, np.asarray(sources["flux_r"]), strict=True):
        hidden |= np.hypot(x - cx, y - cy) < max(12.0, 3.0 * flux**0.2)
    found = {}
    for name, handles in warps.items():
        coadd = AssembleCoaddTask().run(handles, box=PATCH.outer_bbox, projection=TRACT.projection, band="r").coadd
        found[name] = np.full(x.shape, np.nan)
        found[name][coadd.bbox.slice_within(PATCH.outer_bbox)] = coadd.image.array
        found[name][hidden] = np.nan
    return found


def radius_arcsec() -> np.ndarray:
    y, x = np.indices(PATCH.outer_bbox.shape)
    x0, y0 = radec_to_pixel(TRACT.projection, np.array([RA]), np.array([DEC]))
    return np.asarray(np.hypot(x - x0, y - y0) * SCALE)


def squares(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Terms 1, x, y and levels of squares of 64 px beyond 50 arcsec of the galaxy, less what it has there."""
    radius = radius_arcsec()
    sky = np.where(radius > 50.0, pixels - galaxy_njy(radius), np.nan)
    cut = sky.reshape(10, 64, 10, 64).swapaxes(1, 2).reshape(10, 10, -1)
    use = np.isfinite(cut).sum(axis=2) > 64**2 / 4
    y, x = np.nonzero(use)
    return np.stack([np.ones(x.size), x * 64 + 31.5, y * 64 + 31.5], axis=-1), np.nanmean(cut[use], axis=1)


def rms(pixels: np.ndarray, terms: int) -> float:
    """Of the squares about a constant (1 term) or a plane (3), nJy."""
    basis, level = squares(pixels)
    found, *_ = np.linalg.lstsq(basis[:, :terms], level, rcond=None)
    return float(np.std(level - basis[:, :terms] @ found))


def halo_over_truth(pixels: np.ndarray) -> list[float]:
    """Light in the rings over the true one, less the plane through the squares."""
    basis, level = squares(pixels)
    found, *_ = np.linalg.lstsq(basis, level, rcond=None)
    y, x = np.indices(pixels.shape)
    light, radius = pixels - (found[0] + found[1] * x + found[2] * y), radius_arcsec()
    truth, out = galaxy_njy(radius), []
    for inner, outer in RINGS:
        ring = (radius >= inner) & (radius < outer) & np.isfinite(light)
        out.append(float(light[ring].sum() / truth[ring].sum()))
    return out


@pytest.mark.parametrize("how", ["matched", "mean"])
@pytest.mark.parametrize("terms", [1, 3], ids=["less a constant", "less a plane"])
def test_sky_of_the_coadd_falls_five_times(how: str, terms: int) -> None:
    assert rms(coadds()[how], terms) < 0.2 * rms(coadds()["unmatched"], terms)


@pytest.mark.parametrize("how", ["matched", "mean"])
def test_halo_is_kept_within_a_fiftieth_out_to_30_arcsec(how: str) -> None:
    np.testing.assert_allclose(halo_over_truth(coadds()[how]), 1.0, atol=0.02)


def test_halo_is_lost_where_each_frame_loses_its_own_sky() -> None:
    assert max(halo_over_truth(coadds()["subtracted"])[1:]) < 0.5
