"""A simulated frame comes out with its true WCS, zero point, PSF and fluxes; a hopeless one with a named error."""

from __future__ import annotations

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io.fits import Header
from simulated_frame import SETTINGS, SimulatedFrame, simulated_frame

from skyloom.calibrate import CalibratedFrame, calibrate_frame
from skyloom.catalog.matching import match_sky
from skyloom.errors import AstrometryError, FrameError, NoReferenceError, NoSourcesError, PhotometryError
from skyloom.images import Exposure, pixel_to_radec, projection_from_header
from skyloom.images.mask_planes import bitmask


@pytest.fixture(scope="module")
def simulated() -> SimulatedFrame:
    return simulated_frame()


@pytest.fixture(scope="module")
def calibrated(simulated: SimulatedFrame) -> CalibratedFrame:
    return calibrate_frame(simulated.exposure.copy(), simulated.loader, SETTINGS)


def test_zero_point_is_the_true_one(simulated: SimulatedFrame, calibrated: CalibratedFrame) -> None:
    assert calibrated.zero_point is not None
    assert calibrated.zero_point.zero_point_mag == pytest.approx(simulated.visit.zero_point_mag, abs=0.008)
    assert calibrated.zero_point.n_stars > 50


def test_wcs_is_the_true_one(simulated: SimulatedFrame, calibrated: CalibratedFrame) -> None:
    x, y = (a.ravel() for a in np.meshgrid([50.0, 500.0, 950.0], [50.0, 500.0, 950.0]))
    assert calibrated.exposure.projection is not None
    ra, dec = pixel_to_radec(calibrated.exposure.projection, x, y)
    true_x, true_y = simulated.projection.sky_to_pixel(simulated.mosaic.ccds[3], ra, dec)
    assert np.hypot(true_x - x, true_y - y).max() < 0.1


def test_metadata_hold_a_header_of_the_wcs(calibrated: CalibratedFrame) -> None:
    exposure = calibrated.exposure
    header = Header.fromstring(exposure.metadata["wcs"], sep="\n")
    again = projection_from_header(header, exposure.projection.pixel_frame)
    x, y = np.array([10.0, 900.0]), np.array([700.0, 20.0])
    np.testing.assert_allclose(pixel_to_radec(again, x, y), pixel_to_radec(exposure.projection, x, y), atol=1e-9)
    assert exposure.metadata["astrometry_rms_arcsec"] < 0.03
    assert exposure.metadata["n_astrometry_matches"] > 50


def test_star_magnitudes_are_true(simulated: SimulatedFrame, calibrated: CalibratedFrame) -> None:
    stars, truth = calibrated.sources, simulated.sky[simulated.sky["is_star"]]
    first, second, _ = match_sky(stars["ra"], stars["dec"], truth["ra"], truth["dec"], 0.3)
    true_mag = 31.4 - 2.5 * np.log10(np.asarray(truth["flux_r"])[second])
    clean = ~np.asarray(stars["flag_edge"])[first] & ~np.asarray(stars["flag_blended"])[first] & (true_mag < 19.5)
    difference = (np.asarray(stars["psf_mag"])[first] - true_mag)[clean]
    assert clean.sum() > 20
    assert abs(np.median(difference)) < 0.006
    assert 1.48 * np.median(np.abs(difference - np.median(difference))) < 0.02


def test_psf_fits_the_stars(calibrated: CalibratedFrame) -> None:
    assert calibrated.psf_fit is not None
    assert abs(calibrated.psf_fit.fitted.size_median) < 0.003
    assert abs(calibrated.psf_fit.tested.size_median) < 0.01
    candidates = calibrated.sources[np.asarray(calibrated.sources["calib_psf_candidate"])]
    for name in ("source_id", "psf_flux", "psf_flux_njy", "psf_mag"):
        np.testing.assert_array_equal(calibrated.psf_stars[name], candidates[name])
    assert set(calibrated.psf_stars_footprints.ids) <= set(calibrated.sources_footprints.ids)


def test_pixels_are_in_njy(simulated: SimulatedFrame, calibrated: CalibratedFrame) -> None:
    exposure, calib = calibrated.exposure, calibrated.photo_calib
    assert exposure.unit == u.nJy
    assert exposure.photo_calib is calib
    np.testing.assert_allclose(
        exposure.variance.array, simulated.exposure.variance.array * calib.calibration_mean**2, rtol=1e-5
    )
    restored = exposure.image.array + calibrated.background["sky"].field.render(exposure.bbox).array
    np.testing.assert_allclose(restored / calib.calibration_mean, simulated.exposure.image.array, atol=0.1)


def test_calibrated_fluxes_are_the_instrumental_ones_scaled(calibrated: CalibratedFrame) -> None:
    stars, mean = calibrated.sources, calibrated.photo_calib.calibration_mean
    for name in ("psf_flux", "aperture_flux_12_0"):
        np.testing.assert_allclose(stars[f"{name}_njy"], stars[name] * mean)
        np.testing.assert_allclose(stars[f"{name}_njy_err"], stars[f"{name}_err"] * mean)


def test_summary_is_filled(simulated: SimulatedFrame, calibrated: CalibratedFrame) -> None:
    summary = calibrated.exposure.summary
    assert summary.zeroPoint == calibrated.zero_point.zero_point_mag
    assert summary.psfSigma == pytest.approx(calibrated.exposure.psf.sigma(511.5, 511.5), rel=1e-6)
    assert summary.pixelScale == pytest.approx(0.25, rel=0.01)
    assert summary.skyBg == pytest.approx(simulated.visit.sky_electrons, rel=0.06)
    assert summary.skyNoise == pytest.approx(np.sqrt(summary.meanVar), rel=0.05)
    assert summary.expTime == 60.0
    assert summary.zenithDistance == pytest.approx(np.degrees(np.arccos(1 / simulated.visit.airmass)))
    noise = summary.psfArea * summary.skyNoise**2
    faintest = calibrated.zero_point.zero_point_mag - 2.5 * np.log10(12.5 + np.sqrt(12.5**2 + 25 * noise))
    assert summary.magLim == pytest.approx(faintest, abs=0.005)


def test_same_frame_gives_the_same_result(simulated: SimulatedFrame, calibrated: CalibratedFrame) -> None:
    again = calibrate_frame(simulated.exposure.copy(), simulated.loader, SETTINGS)
    np.testing.assert_array_equal(again.exposure.image.array, calibrated.exposure.image.array)
    np.testing.assert_array_equal(again.exposure.psf.coefficients, calibrated.exposure.psf.coefficients)
    assert again.exposure.metadata == calibrated.exposure.metadata


def test_hot_pixels_do_not_spoil_the_psf(simulated: SimulatedFrame, calibrated: CalibratedFrame) -> None:
    exposure = simulated.exposure.copy()
    rng = np.random.default_rng(11)
    y, x = rng.integers(10, 1014, (2, 600))
    exposure.image.array[y, x] += 8000.0
    frame = calibrate_frame(exposure, simulated.loader, SETTINGS)
    assert frame.metadata["psf_sigma"] == pytest.approx(calibrated.metadata["psf_sigma"], rel=0.01)
    assert frame.zero_point.zero_point_mag == pytest.approx(simulated.visit.zero_point_mag, abs=0.01)


def _failure(exposure: Exposure, simulated: SimulatedFrame, kind: type[FrameError]) -> FrameError:
    with pytest.raises(kind) as caught:
        calibrate_frame(exposure, simulated.loader, SETTINGS)
    return caught.value


def test_empty_frame_has_no_sources(simulated: SimulatedFrame) -> None:
    rng = np.random.default_rng(0)
    exposure = simulated.exposure.copy()
    exposure.image.array[...] = 500 + rng.normal(0, 22, exposure.bbox.shape)
    error = _failure(exposure, simulated, NoSourcesError)
    assert error.metadata["stage"] == "psf"
    assert error.partial.background is not None


def test_masked_out_frame_names_its_stage(simulated: SimulatedFrame) -> None:
    exposure = simulated.exposure.copy()
    exposure.bits[...] |= bitmask("NO_DATA")
    assert _failure(exposure, simulated, FrameError).metadata["stage"] == "background"


def test_turned_and_mirrored_frame_is_found(simulated: SimulatedFrame) -> None:
    exposure = simulated.exposure.copy()
    exposure.image.array[...] = exposure.image.array[::-1, ::-1].T
    exposure.variance.array[...] = exposure.variance.array[::-1, ::-1].T
    found = calibrate_frame(exposure, simulated.loader, SETTINGS)
    assert found.metadata["astrometry_blind"]
    ra, dec = pixel_to_radec(found.exposure.projection, 100.0, 300.0)
    x, y = simulated.projection.sky_to_pixel(simulated.mosaic.ccds[3], np.array([ra]), np.array([dec]))
    assert (x[0], y[0]) == pytest.approx((1023 - 300.0, 1023 - 100.0), abs=0.2)


def test_wrong_field_is_refused_and_keeps_what_was_measured(simulated: SimulatedFrame) -> None:
    exposure = simulated.exposure.copy()
    exposure.image.array[...] = simulated_frame(seed=77).exposure.image.array
    error = _failure(exposure, simulated, AstrometryError)
    assert error.metadata["stage"] == "astrometry"
    assert len(error.partial.sources) > 100
    assert error.partial.photo_calib is None
    assert error.partial.exposure.unit == u.electron


def test_field_without_references_is_refused(simulated: SimulatedFrame) -> None:
    empty = replace(simulated, exposure=simulated.exposure.copy(), reference=simulated.reference[:0])
    _failure(empty.exposure, empty, NoReferenceError)


def test_frame_without_band_or_filter_is_refused(simulated: SimulatedFrame) -> None:
    exposure = simulated.exposure.copy()
    exposure.band = None
    assert "filter" in str(_failure(exposure, simulated, PhotometryError))
