"""The joint fit of fluxes on two frames and two stars, whose chi2 is known after every step."""

from __future__ import annotations

import numpy as np
import pytest

from jointcal.frames import flat_frame
from skyloom.jointcal.associate import Stars
from skyloom.jointcal.catalogues import Measurements, gather
from skyloom.jointcal.photometry import PhotometricFit
from skyloom.jointcal.problem import Part, chi2_of, converge, one_step
from skyloom.jointcal.references import MatchedReferences
from skyloom.jointcal.settings import FitSettings, JointPhotometrySettings

NJY = 3.631e12
"""Nanojanskys in the unit of the published numbers."""
SCALES = (1.524685827e-13 * NJY, 1.465319951e-13 * NJY)
FITTED = np.array([3.11426003e-09, 5.94452146e-09]) * NJY
REFERENCES = np.array([2.6954972e-09, 6.01832176e-09]) * NJY
REFERENCE_ERRORS = np.array([1.73692254e-10, 1.89275075e-10]) * NJY
MODEL = Part(name="Model", stars=False)
FLUXES = Part(name="Fluxes", chips=False, groups=False)
BOTH = Part(name="Model Fluxes")


def measurements() -> Measurements:
    first = flat_frame(visit=1, x=[10.0], y=[10.0], flux=[21234.2649], flux_err=[619.672096], scale=SCALES[0])
    second = flat_frame(
        visit=2,
        x=[10.0, 20.0],
        y=[10.0, 10.0],
        flux=[20411.6636, 40568.0784],
        flux_err=[552.267567, 569.427822],
        scale=SCALES[1],
    )
    return gather([second, first])


def fit(model: str) -> PhotometricFit:
    data = measurements()
    stars = Stars(of_measurement=np.array([0, 0, 1], np.int32), ra=np.zeros(2), dec=np.zeros(2), flux=FITTED)
    references = MatchedReferences(
        star=np.array([0, 1], np.int32),
        row=np.array([0, 1], np.int32),
        ra=np.zeros(2),
        dec=np.zeros(2),
        position_err=np.ones((2, 2)),
        proper_motion=np.zeros((2, 2)),
        flux=REFERENCES,
        flux_err=REFERENCE_ERRORS,
    )
    return PhotometricFit(data, stars, references, JointPhotometrySettings(model=model, error_pedestal=0.0))


def test_flux_model_step_by_step() -> None:
    one = fit("simpleFlux")
    assert chi2_of(one) == pytest.approx(9.98915, rel=1e-5)
    assert one.state.n_residuals == 5
    steps = [one_step(one, MODEL), one_step(one, FLUXES)]
    assert [step.chi2 for step in steps] == pytest.approx([7.76225, 4.57832], rel=1e-5)
    assert [step.degrees for step in steps] == [3, 3]
    assert one.star_values / NJY == pytest.approx([3.02072988e-09, 6.00009261e-09], rel=1e-6)
    assert one_step(one, BOTH).chi2 == pytest.approx(2.33755, rel=1e-5)
    one.freeze_errors()
    converge(one, BOTH, FitSettings())
    last = one.state.history[-1]
    assert last.chi2 == pytest.approx(2.336915, rel=1e-5)
    assert last.degrees == 1


def test_magnitude_model_step_by_step() -> None:
    one = fit("simpleMagnitude")
    assert chi2_of(one) == pytest.approx(9.17569, rel=1e-5)
    steps = [one_step(one, MODEL), one_step(one, FLUXES)]
    assert [step.chi2 for step in steps] == pytest.approx([6.93271, 4.21611], rel=1e-5)
    converge(one, BOTH, FitSettings())
    assert one.state.history[-1].chi2 == pytest.approx(2.23008, rel=1e-5)
    assert one.state.history[-1].degrees == 1
