"""Each summary statistic of a frame of drawn stars is what was drawn; what is not there is NaN and never an error."""

from __future__ import annotations

import math

import astropy.units as u
import galsim
import numpy as np
import pytest
from astro_metadata_translator import ObservationInfo
from astropy.table import Table
from lsst.images import Box, ObservationSummaryStats
from lsst.images.fields import ChebyshevField
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.calibrate import CalibratedFrame
from skyloom.calibrate.psf_variation import distance_to_nearest, peak_to_peak, psf_variation, usable_grid
from skyloom.calibrate.star_shapes import compared_stars, higher_moment_medians, shape_residuals
from skyloom.calibrate.summary import summarise
from skyloom.calibrate.summary_settings import SummarySettings
from skyloom.images import Exposure, PhotoCalib
from skyloom.images.mask_planes import bitmask, bits_of
from skyloom.instruments import Camera
from skyloom.psf import PixelGridPsf

SHAPE = (300, 400)
BOX = Box.from_shape(SHAPE, start=(50, 20))
SIGMA, SKY_NOISE = 2.0, 10.0


def drawn_stars(n: int = 30, shear: float = 0.0) -> tuple[np.ndarray, Table]:
    """Stars of S/N 250 on noise, and what a measurement would say of them."""
    rng = np.random.default_rng(8)
    image = rng.normal(0.0, SKY_NOISE, SHAPE)
    x, y = (a.ravel()[:n] for a in np.meshgrid(np.arange(30, 380, 60), np.arange(30, 280, 45)))
    x, y = x + rng.uniform(-0.5, 0.5, x.size), y + rng.uniform(-0.5, 0.5, y.size)
    profile = galsim.Gaussian(sigma=SIGMA).shear(g1=shear)
    for at_x, at_y in zip(x, y, strict=True):
        light = profile.withFlux(2e4).shift(at_x - round(at_x), at_y - round(at_y))
        stamp = light.drawImage(nx=41, ny=41, scale=1.0, method="no_pixel").array
        image[round(at_y) - 20 : round(at_y) + 21, round(at_x) - 20 : round(at_x) + 21] += stamp
    moments = galsim.hsm.FindAdaptiveMom(profile.drawImage(nx=61, ny=61, scale=1.0, method="no_pixel"))
    squash = (1 + moments.observed_shape.e1, 1 - moments.observed_shape.e1)
    size = moments.moments_sigma**2 / math.sqrt(squash[0] * squash[1])
    table = Table({"x": x + BOX.x.min, "y": y + BOX.y.min})
    table["ixx"], table["iyy"], table["ixy"] = size * squash[0], size * squash[1], 0.0
    table["psf_flux"], table["psf_flux_err"] = 2e4, 80.0
    table["calib_psf_used"] = True
    return image, table


def observed() -> ObservationInfo:
    return ObservationInfo.makeObservationInfo(instrument="simulated", exposure_time=30 * u.s, boresight_airmass=1.2)


def frame(*, shear: float = 0.0, **attributes: object) -> CalibratedFrame:
    image, table = drawn_stars(shear=shear)
    known = {"psf": GaussianPointSpreadFunction(SIGMA, BOX, 41), "photo_calib": PhotoCalib.from_zero_point(30.0)}
    known |= {"detector": Camera.read("simulated").detector(3, 1), "band": "r", "obs_info": observed()}
    known |= {"aperture_corrections": {"psf_flux": ChebyshevField(BOX, np.array([[1.0, 0.02]]))}}
    exposure = Exposure.from_arrays(
        image, variance=np.full(SHAPE, SKY_NOISE**2), unit=u.electron, x0=20, y0=50, **(known | attributes)
    )
    result = CalibratedFrame(exposure=exposure, sources=table)
    result.photo_calib = exposure.photo_calib
    result.metadata |= {"sky_background": 75.0, "n_psf_stars": len(table)}
    return result


def summary(of: CalibratedFrame, settings: SummarySettings | None = None) -> ObservationSummaryStats:
    summarise(of, settings or SummarySettings())
    assert of.exposure.summary is not None
    return of.exposure.summary


@pytest.fixture(scope="module")
def found() -> ObservationSummaryStats:
    return summary(frame())


def test_psf_of_known_width(found: ObservationSummaryStats) -> None:
    assert found.psfSigma == pytest.approx(SIGMA, rel=1e-3)
    assert found.psfArea == pytest.approx(4 * np.pi * SIGMA**2, rel=1e-4)
    assert (found.psfIxx, found.psfIyy) == pytest.approx((SIGMA**2, SIGMA**2), rel=1e-3)
    assert found.psfIxy == pytest.approx(0.0, abs=1e-6)
    assert found.nPsfStar == 30


def test_area_of_a_stamp_of_five_pixels() -> None:
    small = frame(psf=GaussianPointSpreadFunction(SIGMA, BOX, 5))
    assert summary(small).psfArea == pytest.approx(23.088975164455444, rel=1e-9)


def test_noise_without_the_stars(found: ObservationSummaryStats) -> None:
    # 120000 pixels, of which the unmasked stars are 3 %.
    assert found.skyNoise == pytest.approx(SKY_NOISE, rel=0.02)
    assert found.meanVar == pytest.approx(SKY_NOISE**2, rel=1e-6)
    assert found.skyBg == 75.0


def test_round_stars_are_like_their_psf(found: ObservationSummaryStats) -> None:
    for name in ("E1", "E2", "Size"):
        assert getattr(found, f"psfStarDelta{name}Median") == pytest.approx(0.0, abs=2e-3)
    assert found.starEMedian == pytest.approx(0.0, abs=1e-6)
    assert found.starKurtosisMedian == pytest.approx(2.0, rel=0.02)
    for name in ("Coma1", "Coma2", "Trefoil1", "Trefoil2", "E41", "E42"):
        assert getattr(found, f"star{name}Median") == pytest.approx(0.0, abs=0.03)


def test_sheared_stars_differ_from_a_round_psf_by_their_shear() -> None:
    found = summary(frame(shear=0.05))
    e1 = 2 * 0.05 / (1 + 0.05**2)
    assert found.psfStarDeltaE1Median == pytest.approx(e1, rel=0.01)
    assert found.starEMedian == pytest.approx(e1, rel=0.01)
    assert found.starUnNormalizedEMedian == pytest.approx(e1 * 2 * SIGMA**2 * 1.005, rel=0.01)
    # Coordinates are turned to the star's own ellipse: its higher moments are those of a round one.
    assert found.starE41Median == pytest.approx(0.0, abs=0.03)


def test_scatter_is_that_of_the_stars() -> None:
    stars = drawn_stars()[1]
    stars["ixx"] = SIGMA**2 * (1 + 0.04 * np.random.default_rng(1).normal(size=len(stars)))
    values = shape_residuals(stars, GaussianPointSpreadFunction(SIGMA, BOX, 41), SIGMA)
    size = np.sqrt(0.5 * (stars["ixx"] + stars["iyy"]))
    expected = 1.4826 * np.median(np.abs(size - np.median(size)))
    assert values["psfStarDeltaSizeScatter"] == pytest.approx(expected, rel=1e-2)
    assert values["psfStarScaledDeltaSizeScatter"] == pytest.approx(expected / np.median(size), rel=1e-2)


def test_stars_are_compared_by_their_signal_to_noise() -> None:
    stars = drawn_stars()[1]
    stars["psf_flux_err"][:5], stars["psf_flux_err"][5:8] = 2e4 / 20, 2e4 / 3000
    assert compared_stars(stars, SummarySettings()).sum() == 22
    assert compared_stars(stars, SummarySettings(n_stars_wanted=25)).sum() == 30


def varying_psf() -> PixelGridPsf:
    """A Gaussian whose second moments grow along x: from 4 to 4.1 px^2 over 400 px, to first order."""
    row, column = np.mgrid[-20:21, -20:21]
    r2 = row**2 + column**2
    round_one = np.exp(-0.5 * r2 / 4.0) / (8 * np.pi)
    slope = round_one * (r2 / 16.0 - 0.5) / 2.0 * (0.1 / 400.0)
    return PixelGridPsf(np.stack([round_one, np.zeros_like(slope), slope]), order=1, bounds=BOX)


def test_variation_of_the_psf_is_that_over_the_grid() -> None:
    psf = varying_psf()
    x, y = np.array([20.0, 219.5, 419.0]), np.array([100.0, 100.0, 100.0])
    values = psf_variation(psf, x, y, SIGMA, 6.0)
    flux = [1 - np.exp(-0.5 * 36 / variance) for variance in (4.0, 4.1)]
    assert values["psfTraceRadiusDelta"] == pytest.approx(np.sqrt(4.1) - np.sqrt(4.0), rel=0.03)
    assert values["psfApFluxDelta"] == pytest.approx(flux[0] - flux[1], rel=0.03)
    nothing = psf_variation(psf, x[:0], y[:0], SIGMA, 6.0)
    assert all(math.isnan(value) for value in nothing.values())


def test_variation_of_the_aperture_correction(found: ObservationSummaryStats) -> None:
    # T1 runs from edge to edge of the pixels: 399 of 400 between the outermost centres.
    assert found.psfApCorrSigmaScaledDelta == pytest.approx(0.04 * 399 / 400 / SIGMA, rel=1e-3)
    assert found.psfTraceRadiusDelta == pytest.approx(0.0, abs=1e-9)
    assert math.isnan(peak_to_peak(np.array([1.0, np.nan])))


def test_farthest_pixel_from_a_star() -> None:
    exposure = frame().exposure
    x, y = usable_grid(exposure, 8, ("BAD",))
    assert (x.min(), x.max(), y.min(), y.max()) == (20, 419, 50, 349)
    star = np.array([20.0]), np.array([50.0])
    assert distance_to_nearest(x, y, *star) == pytest.approx(math.hypot(399, 299))
    bits_of(exposure.mask)[100:, :] |= bitmask("BAD")
    x, y = usable_grid(exposure, 8, ("BAD",))
    assert distance_to_nearest(x, y, *star) == pytest.approx(math.hypot(399, 99), abs=8)
    assert math.isnan(distance_to_nearest(x, y, star[0][:0], star[1][:0]))


def test_masked_out_frame_has_no_grid() -> None:
    masked = frame()
    bits_of(masked.exposure.mask)[...] = bitmask("NO_DATA")
    found = summary(masked)
    assert math.isnan(found.maxDistToNearestPsf)
    assert math.isnan(found.psfTraceRadiusDelta)
    assert math.isnan(found.skyNoise)
    assert math.isnan(found.starComa1Median)
    assert masked.metadata["mask_fraction_no_data"] == 1.0
    assert masked.metadata["mask_fraction_sat"] == 0.0


def test_depth_is_that_of_the_formula(found: ObservationSummaryStats) -> None:
    # Sky 75 e-, read noise 5 e-, S/N 5.
    flux = 12.5 + math.sqrt(12.5**2 + 25 * (75 + 25) * found.psfArea)
    assert found.magLim == pytest.approx(30.0 - 2.5 * math.log10(flux), abs=1e-6)
    assert found.effTime == pytest.approx(30 * 10 ** (0.8 * (found.magLim - 25.0)))
    assert found.effTimePsfSigmaScale == pytest.approx(1 / SIGMA**2, rel=2e-3)
    assert found.effTimeSkyBgScale == pytest.approx(30 / 75.0)
    assert found.effTimeZeroPointScale == pytest.approx(10 ** (0.8 * (30 - 2.5 * math.log10(30) - 25)))


def test_band_without_fiducial_has_no_effective_time() -> None:
    found = summary(frame(band="Ha"))
    assert math.isfinite(found.magLim)
    assert math.isnan(found.effTime)
    own = SummarySettings(
        fiducial_bands=("V", "Ha"),
        fiducial_exposure_time_s=(60.0, 600.0),
        fiducial_magnitude_limit=(25.0, 22.0),
        fiducial_psf_sigma_px=(1.0, 1.0),
        fiducial_sky_electron_per_s=(1.0, 1.0),
        fiducial_zero_point_mag=(25.0, 25.0),
    )
    again = summary(frame(band="Ha"), own)
    assert again.effTime == pytest.approx(600 * 10 ** (0.8 * (found.magLim - 22.0)))
    with pytest.raises(ValueError, match="6 values, fiducial_bands 1 bands"):
        SummarySettings(fiducial_bands=("r",))


@pytest.mark.parametrize(
    ("lacking", "unknown", "known"),
    [
        (
            "psf",
            ("psfSigma", "psfArea", "psfApFluxDelta", "maxDistToNearestPsf", "starComa1Median", "magLim"),
            "skyNoise",
        ),
        ("photo_calib", ("zeroPoint", "magLim", "effTime", "effTimeSkyBgScale"), "psfSigma"),
        ("detector", ("magLim", "effTime"), "zeroPoint"),
        ("obs_info", ("expTime", "zenithDistance", "effTimeSkyBgScale"), "magLim"),
        ("projection", ("ra", "dec", "pixelScale", "astromOffsetMean"), "psfArea"),
    ],
)
def test_what_is_lacking_is_nan(lacking: str, unknown: tuple[str, ...], known: str) -> None:
    found = summary(frame(**{lacking: None}))
    for name in unknown:
        assert math.isnan(getattr(found, name)), name
    assert math.isfinite(getattr(found, known))
    assert all(math.isnan(angle) for angle in found.raCorners) or lacking != "projection"


def test_frame_without_sources_has_a_summary() -> None:
    bare = frame()
    bare.sources = None
    found = summary(bare)
    assert math.isnan(found.starEMedian)
    assert math.isfinite(found.psfArea)
    none = frame()
    none.sources["calib_psf_used"] = False
    assert math.isnan(summary(none).psfStarDeltaE1Median)


def test_moments_of_stars_without_image_are_unknown() -> None:
    of = frame()
    of.exposure.image.array[...] = np.nan
    values = higher_moment_medians(of.exposure, of.sources, ())
    assert all(math.isnan(value) for value in values.values())


def test_places_without_a_source_tell_the_error_of_a_faint_flux() -> None:
    of = frame()
    table = of.sources
    table["flag_sky_source"] = np.arange(len(table)) % 2 == 0
    table["flag_saturated"] = np.arange(len(table)) < 3
    table["psf_flux"][::2] = np.linspace(-30, 40, 15)
    summarise(of, SummarySettings())
    assert of.metadata["n_saturated_sources"] == 1
    assert of.metadata["sky_source_psf_flux_median_electron"] == pytest.approx(5.0)
    assert of.metadata["sky_source_psf_flux_scatter_electron"] == pytest.approx(1.4826 * 20.0)
    assert of.metadata["sky_left_electron"] == pytest.approx(0.0, abs=1.0)
