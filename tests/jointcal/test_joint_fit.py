"""Joint fits of a small camera against truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from lsst.images import Box

from jointcal.joint_truth import flux_ratios, photo_calib_tables, position_errors, together, wcs_tables
from skyloom.catalog.matching import separation_arcsec
from skyloom.errors import JointFitError
from skyloom.images import pixel_to_radec
from skyloom.jointcal import (
    FitSettings,
    JointAstrometrySettings,
    JointFit,
    JointPhotometrySettings,
    JointSettings,
    fit_jointly,
    wcs_rows,
)
from skyloom.simulate.star_catalogues import CatalogueSurvey, CatalogueSurveySettings, simulate_catalogues

EXACT = JointSettings(
    astrometry=JointAstrometrySettings(error_pedestal_px=0.0),
    photometry=JointPhotometrySettings(use_references=False),
)


@pytest.fixture(scope="module")
def survey() -> CatalogueSurvey:
    return simulate_catalogues(CatalogueSurveySettings(outliers=0.02))


@pytest.fixture(scope="module")
def fit(survey: CatalogueSurvey) -> JointFit:
    return fit_jointly(survey.frames, survey.references, EXACT, flux="r")


def errors(fit: JointFit, survey: CatalogueSurvey) -> tuple[np.ndarray, np.ndarray]:
    """Distance of every star of every frame from its true place, mas, and its flux over the true one, by the tables."""
    place = together(position_errors(survey, wcs_tables(fit)))
    return np.hypot(*place.T), together(flux_ratios(survey, photo_calib_tables(fit)))


def test_chi2_is_that_of_the_noise() -> None:
    """With WCSs to begin with that mistake no star for its neighbour, all measurements are good."""
    calm = CatalogueSurveySettings(
        n_stars=600, wrong_pointing_arcsec=0.01, distortion_arcsec=0.02, chip_offset_px=0.1, gradient=0.005
    )
    survey = simulate_catalogues(calm)
    keep_all = FitSettings(outlier_sigma=0.0)
    settings = JointSettings(
        association_radius_arcsec=0.3,
        astrometry=JointAstrometrySettings(error_pedestal_px=0.0, fit=keep_all),
        photometry=JointPhotometrySettings(use_references=False, error_pedestal=0.0, fit=keep_all),
    )
    fit = fit_jointly(survey.frames, survey.references, settings, flux="r")
    for name in ("astrometry", "photometry"):
        degrees = fit.metrics[f"{name}_final_degrees"]
        assert fit.metrics[f"{name}_final_chi2"] == pytest.approx(degrees, abs=4.0 * np.sqrt(2.0 * degrees))


def test_outliers_are_found_and_little_else(fit: JointFit, survey: CatalogueSurvey) -> None:
    """Of a star that was measured twice, nobody can tell which of the two is wrong."""
    counts = np.bincount(fit.stars.of_measurement)
    wrong = np.concatenate([one.wrong for one in survey.simulated])
    told = fit.usable & (counts[fit.stars.of_measurement] > 2)
    for part in (fit.astrometry, fit.photometry):
        assert part is not None
        left_out = fit.usable & ~part.state.used
        assert left_out[wrong & told].mean() > 0.95
        assert left_out[~wrong].mean() < 0.02


def test_stars_agree_from_frame_to_frame(fit: JointFit, survey: CatalogueSurvey) -> None:
    assert fit.astrometry is not None
    assert fit.photometry is not None
    residual = fit.astrometry.residuals()
    scatter = 1e3 * residual[fit.astrometry.state.used & fit.usable].std()
    assert scatter < 1.02 * survey.settings.position_noise_px * 200.0
    residual, _ = fit.photometry.residuals()
    assert residual[fit.photometry.state.used & fit.usable].std() < 1.02 * 1.0857 * survey.settings.flux_noise


def test_positions_and_fluxes_are_true(survey: CatalogueSurvey) -> None:
    """As far as 386 references with errors of 20 mas and 1 % tell where the field is and how bright."""
    settings = dataclasses.replace(EXACT, photometry=JointPhotometrySettings())
    distance, ratio = errors(fit_jointly(survey.frames, survey.references, settings, flux="r"), survey)
    assert np.sqrt(np.mean(distance**2) / 2.0) < 10.0
    assert np.std(ratio) < 0.007
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.003)


def test_without_references_detectors_are_told_apart(fit: JointFit, survey: CatalogueSurvey) -> None:
    """Stars that visits show on several detectors tell their throughputs (3 % apart), but for smooth gradients."""
    _, ratio = errors(fit, survey)
    assert np.std(ratio) < 0.02


def test_order_of_the_frames_does_not_matter(fit: JointFit, survey: CatalogueSurvey) -> None:
    again = fit_jointly(survey.frames[::-1], survey.references, EXACT, flux="r")
    assert again.metrics == fit.metrics
    assert fit.astrometry is not None
    assert again.astrometry is not None
    np.testing.assert_array_equal(again.astrometry.directions, fit.astrometry.directions)


def test_without_noise_the_truth_comes_back() -> None:
    """Distortions are small, so that their inverse is a polynomial, too."""
    rig = CatalogueSurveySettings(
        n_visits=3, grid=(2, 2), n_stars=700, position_noise_px=1e-4, flux_noise=1e-4, references=1.0
    )
    calm = {"distortion_arcsec": 0.05, "gradient": 1e-4, "reference_err_mas": 1e-3, "reference_flux_err": 1e-5}
    survey = simulate_catalogues(dataclasses.replace(rig, **calm))
    settings = dataclasses.replace(EXACT, photometry=JointPhotometrySettings())
    fit = fit_jointly(survey.frames, survey.references, settings, flux="r")
    distance, ratio = errors(fit, survey)
    assert np.median(distance) < 0.05
    assert np.std(ratio) < 3e-4


def test_a_fit_of_each_frame_alone_finds_the_same() -> None:
    survey = simulate_catalogues(CatalogueSurveySettings(n_visits=3, grid=(2, 2), n_stars=2000, references=0.6))
    simple = JointSettings(
        astrometry=JointAstrometrySettings(model="simple", simple_order=5, error_pedestal_px=0.0),
        photometry=JointPhotometrySettings(model="simpleMagnitude", use_references=False),
    )
    fit = fit_jointly(survey.frames, survey.references, simple, flux="r")
    distance, ratio = errors(fit, survey)
    assert np.sqrt(np.mean(distance**2) / 2.0) < 10.0
    assert np.std(ratio) < 0.02


def test_a_visit_elsewhere_is_left_out_and_named(survey: CatalogueSurvey, caplog: pytest.LogCaptureFixture) -> None:
    far = simulate_catalogues(dataclasses.replace(survey.settings, n_visits=1, ra=40.0))
    lonely = [dataclasses.replace(frame, visit=99) for frame in far.frames]
    fit = fit_jointly([*survey.frames, *lonely], survey.references, EXACT, flux="r")
    assert "visit 99 shares no star" in caplog.text
    rows = wcs_rows(fit, 99)
    assert all(row["refused"] for row in rows)
    assert not any(row["refused"] for row in wcs_rows(fit, 1))


def test_a_detector_that_disagrees_is_refused(survey: CatalogueSurvey) -> None:
    """A WCS that is wrong by 1.5 arcsec in a way that no polynomial of the visit follows."""
    frames = list(survey.frames)
    frame = frames[4]
    rng = np.random.default_rng(4)
    frames[4] = dataclasses.replace(frame, x=frame.x + rng.uniform(-7.0, 7.0, len(frame.x)))
    fit = fit_jointly(frames, survey.references, EXACT, flux="r")
    rows = {row["detector"]: row for row in wcs_rows(fit, frame.visit)}
    assert rows[frame.detector]["refused"]
    assert "disagree" in rows[frame.detector]["reason"]
    assert sum(row["refused"] for row in rows.values()) == 1


def test_a_frame_without_stars_takes_no_part(survey: CatalogueSurvey, caplog: pytest.LogCaptureFixture) -> None:
    empty = dataclasses.replace(
        survey.frames[0],
        **{
            name: getattr(survey.frames[0], name)[:0]
            for name in ("x", "y", "covariance", "flux", "flux_err", "source_id")
        },
    )
    fit = fit_jointly([empty, *survey.frames[1:]], survey.references, EXACT, flux="r")
    assert "visit 1, detector 0 has no usable star" in caplog.text
    assert [row["detector"] for row in wcs_rows(fit, 1)] == list(range(1, 9))


def test_nothing_to_fit_is_named(survey: CatalogueSurvey) -> None:
    with pytest.raises(JointFitError, match="No frame has a usable star"):
        fit_jointly([], survey.references, EXACT)
    elsewhere = survey.references.copy()
    elsewhere["ra"] += 5.0
    with pytest.raises(JointFitError, match="No reference is left"):
        fit_jointly(survey.frames, elsewhere, EXACT, flux="r")


def test_tables_tell_the_box(fit: JointFit, survey: CatalogueSurvey) -> None:
    row = wcs_rows(fit, 1)[0]
    box: Box = survey.frames[0].box
    assert (row["x0"], row["y0"], row["x1"], row["y1"]) == (box.x.start, box.y.start, box.x.stop, box.y.stop)
    assert row["wcs_residual"] < 1e-4


def test_few_references_do_not_let_the_field_bend() -> None:
    """What three references leave open stays as good as the frames' own calibrations."""
    survey = simulate_catalogues(CatalogueSurveySettings(references=0.002, flux_noise=0.01))
    fit = fit_jointly(survey.frames, survey.references, JointSettings(), flux="r")
    assert fit.metrics["prepared_references"] < 5
    before = [
        1e3 * separation_arcsec(*pixel_to_radec(one.catalogue.projection, one.catalogue.x, one.catalogue.y), *truth)
        for one in survey.simulated
        for truth in [(survey.ra[one.star], survey.dec[one.star])]
    ]
    distance, ratio = errors(fit, survey)
    assert np.median(distance) < np.median(np.concatenate(before))
    assert np.ptp(np.percentile(ratio, (1.0, 99.0))) < 0.5
