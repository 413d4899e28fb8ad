"""A tiny frame of six stars and a galaxy, whose every number is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.table import Table
from lsst.images import GeneralFrame, Image, Mask, MaskedImage

from skyloom.catalog.ids import IdGenerator
from skyloom.catalog.matching import separation_arcsec
from skyloom.catalog.refcat import select_circle
from skyloom.errors import FrameError
from skyloom.images import MASK_SCHEMA, Exposure, pixel_to_radec
from skyloom.images.projection import projection_from_header
from skyloom.psf import psf_sigma
from skyloom.tasks import CalibrateImageTask
from skyloom.tasks.calibrate_image import CalibrateImageConfig

NOISE, SIGMA, SKY, NJY = 10.0, 2.0, 500.0, 12.3
X0, Y0, WIDTH, HEIGHT = 5, 4, 201, 181
FLUX_OF_ONE = NOISE * np.sqrt(4 * np.pi) * SIGMA
"""Flux whose signal-to-noise ratio is one."""
STARS = np.array(
    [(6, 162, 22), (12, 40, 70), (45, 100, 160), (150, 50, 120), (400, 92, 35), (1000, 175, 154)], dtype=float
)
IDS = IdGenerator(visit=1234, detector=3)
GALAXY, GALAXY_MOMENTS = (500.0, 100.0, 100.0), np.array([[8.0, 3.0], [3.0, 9.0]])


@dataclass
class Scene:
    """The frame and its truth."""

    exposure: Exposure
    light: np.ndarray
    """Without sky and noise."""
    reference: Table

    def loader(self, ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float | None) -> Table:
        return select_circle(self.reference, ra_deg, dec_deg, radius_deg)


def make_scene(seed: int = 5) -> Scene:
    y, x = np.mgrid[Y0 : Y0 + HEIGHT, X0 : X0 + WIDTH]
    light = np.zeros((HEIGHT, WIDTH))
    for significance, at_x, at_y in STARS:
        profile = np.exp(-0.5 * ((x - at_x) ** 2 + (y - at_y) ** 2) / SIGMA**2) / (2 * np.pi * SIGMA**2)
        light += significance * FLUX_OF_ONE * profile
    offset = np.stack([x - GALAXY[1], y - GALAXY[2]], -1)
    square = np.einsum("...i,ij,...j", offset, np.linalg.inv(GALAXY_MOMENTS), offset)
    light += GALAXY[0] * FLUX_OF_ONE * np.exp(-0.5 * square) / (2 * np.pi * np.sqrt(np.linalg.det(GALAXY_MOMENTS)))
    pixels = light + SKY + np.random.default_rng(seed).normal(0, NOISE, light.shape)
    header = Header(
        {
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CRVAL1": 245.0,
            "CRVAL2": -45.0,
            "CRPIX1": 101.0,
            "CRPIX2": 91.0,
            "NAXIS1": WIDTH,
            "NAXIS2": HEIGHT,
            "CD1_1": -0.2 / 3600,
            "CD1_2": 0.0,
            "CD2_1": 0.0,
            "CD2_2": 0.2 / 3600,
        }
    )
    projection = projection_from_header(header, GeneralFrame(unit=u.pix), x0=X0, y0=Y0)
    variance = np.full(light.shape, NOISE**2, np.float32)
    exposure = Exposure.from_arrays(
        pixels.astype(np.float32), variance=variance, unit=u.electron, x0=X0, y0=Y0, band="r", projection=projection
    )
    everything = np.vstack([STARS, GALAXY])
    ra, dec = pixel_to_radec(projection, everything[:, 1], everything[:, 2])
    flux = everything[:, 0] * FLUX_OF_ONE * NJY
    reference = Table({"id": np.arange(1, 8), "ra": ra, "dec": dec, "flux_r": flux, "flux_r_err": 0.01 * flux})
    return Scene(exposure, light, reference)


def make_config() -> CalibrateImageConfig:
    config = CalibrateImageConfig()
    config.star_sky_sources.nSources = 2
    config.star_selector.extendedness_max = 0.2
    config.astrometry.pointing_error_deg = 2.0 / 3600.0
    config.astrometry.scale_error = 1e-3
    config.astrometry.rotation_error_deg = 0.1
    return config


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene()


@pytest.fixture(scope="module")
def calibrated(scene: Scene) -> Any:
    task = CalibrateImageTask(config=make_config())
    return task.run(exposures=scene.exposure.copy(), id_generator=IDS, astrometry_loader=scene.loader)


def nearest(table: Table, x: float, y: float) -> Any:
    distance = np.hypot(np.asarray(table["x"]) - x, np.asarray(table["y"]) - y)
    assert distance.min() < 1.0
    return table[int(np.argmin(distance))]


def test_psf_is_the_true_one(calibrated: Any) -> None:
    exposure = calibrated.output_exposure
    assert exposure.summary.psfSigma == pytest.approx(SIGMA, rel=0.01)
    assert psf_sigma(exposure.psf) == pytest.approx(SIGMA, rel=0.01)


def test_bright_stars_make_the_psf(calibrated: Any) -> None:
    used = calibrated.sources[np.asarray(calibrated.sources["calib_psf_used"])]
    assert {round(float(x)) for x in used["x"]} >= {50, 92, 175}
    assert 100 not in {round(float(y)) for y in used["y"]}
    for significance, x, y in STARS[3:]:
        row = nearest(calibrated.psf_stars, x, y)
        assert row["x"] == pytest.approx(x, rel=0.01)
        assert row["y"] == pytest.approx(y, rel=0.01)
        assert row["psf_flux"] == pytest.approx(significance * FLUX_OF_ONE, rel=0.01 + 2 / significance)


def test_stars_are_the_point_sources_and_two_places_of_sky(calibrated: Any) -> None:
    stars = calibrated.stars
    sky = np.asarray(stars["flag_sky_source"])
    assert sky.sum() == 2
    places = {(round(float(row["x"])), round(float(row["y"]))) for row in stars[~sky]}
    # The galaxy is extended, and the faintest two too faint but for what noise adds to that of 12 sigma.
    assert places - {(40, 70)} == {(int(x), int(y)) for _, x, y in STARS[2:]}
    assert len(calibrated.stars_footprints) == len(stars)
    assert len(calibrated.sources) == 9


def test_ids_are_unique_and_name_the_frame(calibrated: Any) -> None:
    ids = np.asarray(calibrated.sources["source_id"])
    assert ids.min() > 1e9
    assert len(set(ids.tolist())) == len(ids)


def test_calibration_is_the_true_one(calibrated: Any, scene: Scene) -> None:
    calib = calibrated.applied_photo_calib
    assert calib.calibration_mean == pytest.approx(NJY, rel=0.01)
    for significance, x, y in STARS[2:]:
        row = nearest(calibrated.stars, x, y)
        truth = significance * FLUX_OF_ONE * NJY
        assert row["psf_flux_njy"] == pytest.approx(truth, rel=0.1)
        assert row["psf_mag"] == pytest.approx(31.4 - 2.5 * np.log10(truth), rel=0.01)
    restored = calibrated.output_exposure.image.array / calib.calibration_mean
    noise = np.std(restored - scene.light)
    assert noise == pytest.approx(NOISE, rel=0.03)
    assert abs(np.mean(restored - scene.light)) < 0.01 * SKY


def test_positions_are_true(calibrated: Any) -> None:
    summary, projection = calibrated.output_exposure.summary, calibrated.output_exposure.projection
    assert summary.ra == pytest.approx(245.0, rel=1e-7)
    assert summary.dec == pytest.approx(-45.0, rel=1e-7)
    true = make_scene().exposure.projection
    for _, x, y in STARS[2:]:
        here, there = pixel_to_radec(projection, x, y), pixel_to_radec(true, x, y)
        assert separation_arcsec(*here, *there) < 0.035


def test_density_of_the_references(calibrated: Any) -> None:
    assert calibrated.output_exposure.summary.refCatSourceDensity == pytest.approx(39470, rel=1e-3)


def test_background_is_the_true_one(calibrated: Any) -> None:
    level = calibrated.background["sky"].field.render(calibrated.output_exposure.bbox).array
    assert np.median(level) / calibrated.applied_photo_calib.calibration_mean == pytest.approx(SKY, abs=1.0)


def test_pixels_stay_in_electrons_where_told(scene: Scene) -> None:
    config = make_config()
    config.do_calibrate_pixels = False
    result = CalibrateImageTask(config=config).run(exposures=scene.exposure.copy(), astrometry_loader=scene.loader)
    assert result.output_exposure.unit == u.electron
    assert result.output_exposure.photo_calib.calibration_mean == pytest.approx(NJY, rel=0.01)
    assert np.std(result.output_exposure.image.array - scene.light) == pytest.approx(NOISE, rel=0.03)


def test_two_snaps_give_the_same(scene: Scene, calibrated: Any) -> None:
    half = scene.exposure.copy()
    half.image.array[...] /= 2
    half.variance.array[...] /= 2
    result = CalibrateImageTask(config=make_config()).run(
        exposures=[half, half.copy()], id_generator=IDS, astrometry_loader=scene.loader
    )
    np.testing.assert_allclose(result.stars["psf_flux_njy"], calibrated.stars["psf_flux_njy"], rtol=1e-4, atol=1.0)


def test_what_was_not_reached_is_not_there(scene: Scene) -> None:
    """Without references there is a PSF and a catalogue, but no WCS and no calibration."""
    from lsst.pipe.base import Struct

    result = Struct()
    with pytest.raises(FrameError, match="NO-REFERENCE"):
        CalibrateImageTask(config=make_config()).run(
            exposures=scene.exposure.copy(), astrometry_loader=lambda *_: scene.reference[:0], result=result
        )
    assert result.output_exposure.psf is not None
    assert result.output_exposure.projection is None
    assert result.output_exposure.photo_calib is None
    assert np.isnan(result.output_exposure.summary.zeroPoint)
    assert result.output_exposure.summary.psfSigma == pytest.approx(SIGMA, rel=0.01)
    assert result.sources.meta["failure_code"] == "NO-REFERENCE"
    assert result.output_exposure.metadata["failure_code"] == "NO-REFERENCE"


def test_illumination_correction_changes_the_photometry_and_not_the_sky(scene: Scene, calibrated: Any) -> None:
    config = make_config()
    config.do_illumination_correction = True
    x = np.linspace(-1.0, 1.0, WIDTH)
    shape = 1.1 * np.broadcast_to(1.0 + 0.05 * x**2, (HEIGHT, WIDTH))
    tilted = scene.exposure.copy()
    # Stars through a lens whose response has that shape, under a sky that the flat has made uniform.
    tilted.image.array[...] = (tilted.image.array - SKY) * shape / 1.1 + SKY
    flat = MaskedImage(
        Image(shape.astype(np.float32), bbox=tilted.bbox), mask=Mask(0, schema=MASK_SCHEMA, bbox=tilted.bbox)
    )
    task = CalibrateImageTask(config=config)
    result = task.run(exposures=tilted, astrometry_loader=scene.loader, illumination_correction=flat)
    assert result.applied_photo_calib.calibration_mean == pytest.approx(1.1 * NJY, rel=0.01)
    sky = result.background["sky"].field.render(result.output_exposure.bbox).array
    assert np.median(sky) == pytest.approx(result.applied_photo_calib.calibration_mean * SKY, rel=1e-3)
    star, same = nearest(result.stars, 92, 35), nearest(calibrated.stars, 92, 35)
    assert star["psf_flux_njy"] == pytest.approx(same["psf_flux_njy"], rel=0.01)
    ratio = result.background_to_photometric_ratio.array
    np.testing.assert_allclose(ratio, shape, rtol=1e-6)
    assert result.output_exposure.metadata["LSST CALIB ILLUMCORR APPLIED"]


def test_illumination_correction_wants_its_flat(scene: Scene) -> None:
    config = make_config()
    config.do_illumination_correction = True
    with pytest.raises(ValueError, match="flat of photometry"):
        CalibrateImageTask(config=config).run(exposures=scene.exposure.copy(), astrometry_loader=scene.loader)
