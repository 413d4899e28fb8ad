"""`JointcalTask` on the datasets of a simulated survey, its products against the truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from lsst.pipe.base import AnnotatedPartialOutputsError, NoWorkFound

from jointcal.joint_truth import flux_ratios, offsets, position_errors, rms, together
from jointcal.pipeline_inputs import Quantum
from skyloom.jointcal import is_refused
from skyloom.simulate.star_catalogues import CatalogueSurvey, CatalogueSurveySettings, simulate_catalogues
from skyloom.tasks import JointcalTask

SURVEY = CatalogueSurveySettings(
    n_visits=3,
    grid=(2, 2),
    n_stars=800,
    references=0.6,
    reference_err_mas=2.0,
    reference_flux_err=0.002,
    wrong_pointing_arcsec=0.05,
    distortion_arcsec=0.05,
    chip_offset_px=0.5,
    chip_rotation=1e-4,
    moving=0.03,
    epoch_step_year=1.0,
)
NOISE_MAS = 1e3 * SURVEY.position_noise_px * SURVEY.pixel_scale


@pytest.fixture(scope="module")
def survey() -> CatalogueSurvey:
    return simulate_catalogues(SURVEY)


def done(quantum: Quantum) -> JointcalTask:
    config = JointcalTask.ConfigClass()
    config.photometry.visit_order = 3
    task = JointcalTask(config=config)
    task.runQuantum(quantum, None, quantum.references)
    return task


@pytest.fixture(scope="module")
def result(survey: CatalogueSurvey) -> Quantum:
    quantum = Quantum(survey)
    done(quantum)
    return quantum


def test_calibrations_are_true(survey: CatalogueSurvey, result: Quantum) -> None:
    position = position_errors(survey, result.put_visits["joint_wcs"])
    ratio = flux_ratios(survey, result.put_visits["joint_photo_calib"])
    assert sorted(position) == sorted(ratio) == sorted(result.stars)
    standing = ~survey.motion.any(axis=1)
    kept = {(frame.visit, frame.detector): standing[one.star] for one in survey.simulated for frame in [one.catalogue]}
    for frame, off in position.items():
        assert np.abs(off[kept[frame]].mean(axis=0)).max() < 3.0, frame
        assert abs(ratio[frame].mean() - 1.0) < 0.002, frame
    off = together({frame: off[kept[frame]] for frame, off in position.items()})
    assert np.abs(off.mean(axis=0)).max() < 0.5
    assert rms(off) < 1.3 * NOISE_MAS
    assert rms(together(ratio) - 1.0) < 1.2 * SURVEY.flux_noise


def test_stars_that_move_are_where_the_dates_of_the_frames_put_them(survey: CatalogueSurvey, result: Quantum) -> None:
    """The dates come from the visit summaries: a year's motion is an arcsecond."""
    moving = survey.motion.any(axis=1)
    known = np.isin(np.arange(len(survey.ra)), np.asarray(survey.references["id"]))
    rows = result.put_whole["joint_measurements"]
    true = np.asarray(rows["source_id"])
    mine = (moving & known)[true]
    assert mine.sum() > 20
    east, north = (np.asarray(rows[f"{name}_after"])[mine] for name in ("east", "north"))
    assert np.mean(rows["astrometry_used"][mine]) > 0.95
    assert rms(np.concatenate([east, north])[np.tile(rows["astrometry_used"][mine], 2)]) < 1.5e-3 * NOISE_MAS


def test_stars_are_where_they_were_in_the_middle_of_the_survey(survey: CatalogueSurvey, result: Quantum) -> None:
    stars, rows = result.put_whole["joint_stars"], result.put_whole["joint_measurements"]
    assert stars.meta["epoch_year"] == pytest.approx(2017.0)
    number, first = np.unique(np.asarray(rows["star"]), return_index=True)
    np.testing.assert_array_equal(number, stars["star"])
    true = np.asarray(rows["source_id"])[first]
    good = np.asarray(stars["has_reference"])
    off = offsets(stars["ra"][good], stars["dec"][good], *survey.sky(true[good], 2017.0))
    assert np.percentile(np.abs(off), 95.0) < 2.0 * NOISE_MAS
    assert np.std(np.asarray(stars["flux"])[good] / survey.flux[true[good]]) < SURVEY.flux_noise


def test_metrics_count_what_took_part(survey: CatalogueSurvey, result: Quantum) -> None:
    metrics = dict(result.put_whole["joint_metrics"].iterrows())
    assert metrics["prepared_frames"] == 12
    assert metrics["collected_references"] == len(survey.references)
    assert metrics["prepared_stars"] <= metrics["associated_stars"]
    for name in ("astrometry", "photometry"):
        last = [row for row in result.put_whole["joint_history"] if row["fit"] == name][-1]
        assert last["chi2"] == metrics[f"{name}_final_chi2"]


def test_frames_that_lack_something_are_named_and_the_others_are_true(
    survey: CatalogueSurvey, caplog: pytest.LogCaptureFixture
) -> None:
    """A detector that its summary lacks, one without a flux scale, one without stars, a visit without a summary."""
    quantum = Quantum(survey)
    quantum.summaries[2].remove_row(3)
    del quantum.photo_calibs[3, 1]
    quantum.stars[1, 0]["flag_bad"] = True
    quantum.stars[1, 2]["x"][:5] = np.nan
    quantum.stars[4, 0] = quantum.stars[1, 0]
    with caplog.at_level("WARNING"):
        done(quantum)
    for text in (
        "visit 2, detector 3 has no row in the summary of its visit",
        "visit 3, detector 1 has no flux scale",
        "visit 4, detector 0 has no row in the summary of its visit",
        "visit 1, detector 0 has no usable star",
        "visit 1, detector 2: 5 stars without a position",
    ):
        assert text in caplog.text
    position = position_errors(survey, quantum.put_visits["joint_wcs"])
    ratio = flux_ratios(survey, quantum.put_visits["joint_photo_calib"])
    absent = {(1, 0), (2, 3), (3, 1)}
    assert set(position) == set(ratio) == set(Quantum(survey).stars) - absent
    for visit, detector in absent:
        assert is_refused(quantum.put_visits["joint_wcs"][visit], detector)
    assert np.percentile(np.abs(together(position)), 68.0) < 1.3 * NOISE_MAS
    assert rms(together(ratio) - 1.0) < 1.3 * SURVEY.flux_noise


def test_nothing_to_fit_ends_the_quantum(survey: CatalogueSurvey) -> None:
    quantum = Quantum(survey)
    quantum.summaries = {visit: table[:0] for visit, table in quantum.summaries.items()}
    with pytest.raises(NoWorkFound, match="No calibrated frame has stars"):
        done(quantum)
    far = dataclasses.replace(survey, references=survey.references.copy())
    far.references["flux_r"].name = "flux_g"
    with pytest.raises(AnnotatedPartialOutputsError) as caught:
        done(Quantum(far))
    assert "no filter 'r'" in str(caught.value.__cause__)
    assert not quantum.put_visits
    assert not quantum.put_whole
