"""How well joint fits find positions and fluxes, wherever the field lies."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jointcal.joint_truth import flux_ratios, photo_calib_tables, position_errors, rms, together, wcs_tables
from skyloom.jointcal import (
    JointAstrometrySettings,
    JointFit,
    JointPhotometrySettings,
    JointSettings,
    fit_jointly,
    measurement_table,
)
from skyloom.simulate.star_catalogues import CatalogueSurvey, CatalogueSurveySettings, simulate_catalogues

SMALL = CatalogueSurveySettings(
    n_visits=4,
    grid=(2, 2),
    n_stars=900,
    references=0.6,
    reference_err_mas=5.0,
    wrong_pointing_arcsec=0.05,
    distortion_arcsec=0.05,
    chip_offset_px=0.5,
    chip_rotation=1e-4,
)
"""Frames that come with WCSs as a calibration of each alone makes them."""
NOISE_MAS = 1e3 * SMALL.position_noise_px * SMALL.pixel_scale
BRIGHT = 200.0
"""Signal-to-noise ratio."""


@pytest.mark.parametrize(("ra", "dec"), [(30.0, 10.0), (0.0, -5.0), (120.0, 89.0), (0.02, 89.95)])
def test_a_field_anywhere_on_the_sky(ra: float, dec: float) -> None:
    """The last two are at the pole: one beside it, one around it."""
    survey = simulate_catalogues(dataclasses.replace(SMALL, ra=ra, dec=dec))
    settings = JointSettings(photometry=JointPhotometrySettings(visit_order=3))
    fit = fit_jointly(survey.frames, survey.references, settings, flux="r")
    off = together(position_errors(survey, wcs_tables(fit)))
    assert len(off) == len(fit.measurements)
    assert rms(off) < 1.25 * NOISE_MAS
    assert np.abs(off.mean(axis=0)).max() < 1.0
    ratio = together(flux_ratios(survey, photo_calib_tables(fit)))
    assert rms(ratio - 1.0) < 1.15 * SMALL.flux_noise
    table = measurement_table(fit)
    for name in ("east", "north"):
        before = np.asarray(table[f"{name}_before"])
        assert 0.0 < np.abs(before).max() < 1.0
        assert rms(np.asarray(table[f"{name}_after"])[table["astrometry_used"]]) < 1e-3 * NOISE_MAS


def repeatability(survey: CatalogueSurvey, fit: JointFit) -> tuple[float, float]:
    """Scatter of single measurements of bright stars about the means of their stars: mas a coordinate, and mmag."""
    star, place, mag = [], [], []
    off = position_errors(survey, wcs_tables(fit))
    ratio = flux_ratios(survey, photo_calib_tables(fit))
    for one in survey.simulated:
        frame = one.catalogue
        bright = (frame.flux / frame.flux_err > BRIGHT)[~one.wrong]
        star.append(one.star[~one.wrong][bright])
        place.append(off[frame.visit, frame.detector][bright])
        mag.append(-2500.0 * np.log10(ratio[frame.visit, frame.detector][bright]))
    index, positions = np.concatenate(star), np.concatenate(place)
    east, north = (scatter(index, positions[:, axis]) for axis in (0, 1))
    return float(np.hypot(east, north) / np.sqrt(2.0)), scatter(index, np.concatenate(mag))


def scatter(star: np.ndarray, values: np.ndarray) -> float:
    """Standard deviation of values about the means of their stars."""
    count = np.bincount(star)
    mean = np.bincount(star, values) / np.maximum(count, 1)
    return float(np.sqrt(np.sum((values - mean[star]) ** 2) / np.sum(np.maximum(count - 1, 0))))


@pytest.mark.parametrize("atmosphere", [0.0, 5.0])
def test_bright_stars_repeat(atmosphere: float) -> None:
    """To 3 mas beside the turbulence, and to 6 mmag without references for the fluxes."""
    survey = simulate_catalogues(
        CatalogueSurveySettings(
            n_visits=8,
            grid=(2, 2),
            size=(2048, 2048),
            pixel_scale=0.187,
            n_stars=500,
            full_well_noise=True,
            position_noise_px=0.003,
            flux_noise=0.001,
            atmosphere_mas=atmosphere,
            outliers=0.005,
            distortion_arcsec=0.3,
            flat_error=0.02,
            gradient=0.005,
            references=0.5,
            dither_px=400.0,
        )
    )
    settings = JointSettings(photometry=JointPhotometrySettings(use_references=False))
    mas, mmag = repeatability(survey, fit_jointly(survey.frames, survey.references, settings, flux="r"))
    assert mas < np.hypot(3.0, atmosphere)
    assert mmag < 6.0


@pytest.mark.parametrize("error", [5.0, 20.0, 100.0])
def test_good_references_are_no_outliers(error: float) -> None:
    """Also where the stars are measured much better than the pedestal says."""
    survey = simulate_catalogues(
        dataclasses.replace(SMALL, position_noise_px=0.003, n_stars=600, references=1.0, reference_err_mas=error)
    )
    fit = fit_jointly(survey.frames, survey.references, JointSettings(photometry=None))
    assert fit.astrometry is not None
    assert fit.astrometry.state.reference_used.mean() > 0.97


@pytest.mark.parametrize("error", [0.01, 20.0, 100.0])
def test_an_error_that_the_catalogue_does_not_tell_is_found(error: float) -> None:
    """Never too small, and within a few mas of it where the frames' own WCSs are good."""
    untold = dataclasses.replace(SMALL, reference_err_mas=error, reference_errors_told=False)
    survey = simulate_catalogues(untold)
    fit = fit_jointly(survey.frames, survey.references, JointSettings(photometry=None))
    assert error * 0.9 < 1e3 * fit.references.position_err.mean() < 1.2 * error + 10.0


def test_good_references_place_the_field_though_no_error_is_told() -> None:
    exact = dataclasses.replace(SMALL, reference_err_mas=1e-3, reference_errors_told=False)
    survey = simulate_catalogues(exact)
    off = {}
    for error in (None, 100.0):
        settings = JointSettings(astrometry=JointAstrometrySettings(unknown_reference_error_mas=error), photometry=None)
        fit = fit_jointly(survey.frames, survey.references, settings)
        off[error] = rms(together(position_errors(survey, wcs_tables(fit))))
    assert off[None] < off[100.0]
    assert off[None] < 1.25 * NOISE_MAS


def test_few_bright_stars_do_not_bend_flux_scales() -> None:
    """Frames whose throughput is even over them, with stars of which most are faint."""
    survey = simulate_catalogues(
        dataclasses.replace(
            SMALL, n_visits=5, full_well_noise=True, min_flux=1e3, n_stars=800, gradient=0.0, reference_flux_err=0.02
        )
    )
    fit = fit_jointly(survey.frames, survey.references, JointSettings(astrometry=None), flux="r")
    assert fit.photometry is not None
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0.0, 999.0, 21), np.linspace(0.0, 999.0, 21)))
    numbers = list(range(len(survey.frames)))
    scale = fit.photometry.frame_scales(numbers, [(x, y)] * len(numbers))
    bend_mmag = 1085.7 * np.abs(scale / np.median(scale, axis=1, keepdims=True) - 1.0)
    assert float(np.median(bend_mmag.max(axis=1))) < 8.0
    assert float(bend_mmag.max()) < 25.0
