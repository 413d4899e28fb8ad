"""Joint fits of stars that move an arcsecond a year, over five years."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jointcal.joint_truth import offsets, position_errors, rms, together, wcs_tables
from skyloom.catalog.proper_motion import propagate
from skyloom.jointcal import JointAstrometrySettings, JointFit, JointSettings, fit_jointly, star_table
from skyloom.simulate.star_catalogues import CatalogueSurvey, CatalogueSurveySettings, simulate_catalogues

CALM = CatalogueSurveySettings(
    grid=(2, 2),
    n_stars=300,
    references=1.0,
    reference_err_mas=5.0,
    wrong_pointing_arcsec=0.02,
    distortion_arcsec=0.02,
    chip_offset_px=0.1,
    gradient=0.005,
    dec=60.0,
    epoch_step_year=1.0,
)
NOISE_MAS = 1e3 * CALM.position_noise_px * CALM.pixel_scale
SETTINGS = JointSettings(astrometry=JointAstrometrySettings(error_pedestal_px=0.0), photometry=None)
WIDE = dataclasses.replace(SETTINGS, association_radius_arcsec=6.0)
"""Nothing tells that a star without a known proper motion is the same one five arcseconds further on."""


@pytest.fixture(scope="module")
def moving() -> CatalogueSurvey:
    """All stars move."""
    return simulate_catalogues(dataclasses.replace(CALM, moving=1.0))


@pytest.fixture(scope="module")
def fit(moving: CatalogueSurvey) -> JointFit:
    return fit_jointly(moving.frames, moving.references, SETTINGS)


def test_stars_are_where_they_were_in_each_frame(moving: CatalogueSurvey, fit: JointFit) -> None:
    """With the motions reversed, or not multiplied by cos(dec), the fit would be off by an arcsecond."""
    assert rms(together(position_errors(moving, wcs_tables(fit)))) < 1.3 * NOISE_MAS
    assert fit.astrometry is not None
    assert fit.astrometry.state.used[fit.usable].mean() > 0.98
    assert fit.metrics["astrometry_final_chi2"] == pytest.approx(fit.metrics["astrometry_final_degrees"], rel=0.2)


def test_positions_of_stars_are_those_of_the_middle_of_the_survey(moving: CatalogueSurvey, fit: JointFit) -> None:
    stars = star_table(fit)
    year = stars.meta["epoch_year"]
    assert year == pytest.approx(2018.5)
    rows = np.full(len(fit.stars), -1)
    rows[fit.references.star] = np.asarray(moving.references["id"])[fit.references.row]
    true = rows[np.asarray(stars["star"])]
    known = true >= 0
    off = offsets(*(np.asarray(stars[name])[known] for name in ("ra", "dec")), *moving.sky(true[known], year))
    mistaken = np.abs(off).max(axis=1) > 10.0 * NOISE_MAS
    assert mistaken.mean() < 0.01
    assert rms(off[~mistaken]) < NOISE_MAS


def test_references_of_any_epoch_do(moving: CatalogueSurvey, fit: JointFit) -> None:
    """The rows of the catalogue tell their epochs, and some may be of another one."""
    later = moving.references.copy()
    later[::2] = propagate(later, 2018.5)[::2]
    again = fit_jointly(moving.frames, later, SETTINGS)
    np.testing.assert_allclose(again.references.ra, fit.references.ra, atol=1e-9)
    assert again.metrics["astrometry_final_chi2"] == pytest.approx(fit.metrics["astrometry_final_chi2"], rel=1e-6)


def test_stars_that_move_unknown_to_the_catalogue_do_no_harm() -> None:
    """One in twenty stars moves, and half of those are no references."""
    survey = simulate_catalogues(dataclasses.replace(CALM, moving=0.05, references=0.5, n_stars=400))
    fit = fit_jointly(survey.frames, survey.references, WIDE)
    assert rms(together(position_errors(survey, wcs_tables(fit)))) < 2.0 * NOISE_MAS
