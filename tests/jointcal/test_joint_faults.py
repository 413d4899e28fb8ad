"""Frames that something is wrong with: each is named, and the others are fitted as well as without it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.table import Table

from jointcal.joint_truth import flux_ratios, photo_calib_tables, position_errors, rms, together, wcs_tables
from jointcal.pipeline_inputs import star_table_of
from skyloom.errors import JointFitError
from skyloom.images import PhotoCalib, fits_header, projection_from_header
from skyloom.jointcal import (
    FrameCatalogue,
    JointPhotometrySettings,
    JointSettings,
    fit_jointly,
    frame_catalogue,
    is_refused,
)
from skyloom.simulate.star_catalogues import CatalogueSurvey, CatalogueSurveySettings, simulate_catalogues

CALM = CatalogueSurveySettings(
    n_visits=4,
    grid=(2, 2),
    n_stars=700,
    references=0.5,
    reference_err_mas=5.0,
    wrong_pointing_arcsec=0.05,
    distortion_arcsec=0.05,
    chip_offset_px=0.5,
    chip_rotation=1e-4,
)
SETTINGS = JointSettings(photometry=JointPhotometrySettings(visit_order=3))
POSITION_LIMIT = 1.4e3 * CALM.position_noise_px * CALM.pixel_scale
FLUX_LIMIT = 1.3 * CALM.flux_noise
WRONG = 5
"""Number of the frame that something is wrong with: visit 2, detector 1."""


@pytest.fixture(scope="module")
def survey() -> CatalogueSurvey:
    return simulate_catalogues(CALM)


def with_fault(survey: CatalogueSurvey, **values: Any) -> CatalogueSurvey:
    """The survey with one frame changed."""
    simulated = list(survey.simulated)
    changed = dataclasses.replace(simulated[WRONG].catalogue, **values)
    simulated[WRONG] = dataclasses.replace(simulated[WRONG], catalogue=changed)
    return dataclasses.replace(survey, simulated=tuple(simulated))


def shifted(frame: FrameCatalogue, arcsec: float) -> Any:
    """The WCS of a frame, moved to the north."""
    header, _ = fits_header(frame.projection, frame.box)
    header["CRVAL2"] += arcsec / 3600.0
    return projection_from_header(Header(header, copy=True), frame.projection.pixel_frame)


def errors_of(survey: CatalogueSurvey) -> tuple[dict[int, Table], dict[int, Table], float, float]:
    """The tables of the fit, and the rms error of the frames in them: mas, and relative."""
    fit = fit_jointly(survey.frames, survey.references, SETTINGS, flux="r")
    wcs, calib = wcs_tables(fit), photo_calib_tables(fit)
    position = rms(together(position_errors(survey, wcs)))
    return wcs, calib, position, rms(together(flux_ratios(survey, calib)) - 1.0)


def refused(tables: dict[int, Table]) -> list[tuple[int, int]]:
    return [(visit, int(row["detector"])) for visit, table in tables.items() for row in table if row["refused"]]


def test_a_wrong_wcs_that_still_finds_its_stars_is_put_right(survey: CatalogueSurvey) -> None:
    frame = survey.frames[WRONG]
    wcs, calib, position, flux = errors_of(with_fault(survey, projection=shifted(frame, 1.5)))
    assert not refused(wcs)
    assert not refused(calib)
    assert wcs[frame.visit]["moved"][frame.detector] == pytest.approx(1.5, abs=0.2)
    assert position < POSITION_LIMIT
    assert flux < FLUX_LIMIT


def test_a_wcs_that_finds_no_star_is_refused(survey: CatalogueSurvey) -> None:
    frame = survey.frames[WRONG]
    wcs, calib, position, flux = errors_of(with_fault(survey, projection=shifted(frame, 10.0)))
    assert refused(wcs) == refused(calib) == [(frame.visit, frame.detector)]
    assert is_refused(wcs[frame.visit], frame.detector)
    assert position < POSITION_LIMIT
    assert flux < FLUX_LIMIT


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_zero_point_is_put_right(survey: CatalogueSurvey, factor: float) -> None:
    frame = survey.frames[WRONG]
    wrong = PhotoCalib(factor * frame.photo_calib.calibration_mean, 0.0)
    wcs, calib, position, flux = errors_of(with_fault(survey, photo_calib=wrong))
    assert not refused(wcs)
    assert not refused(calib)
    assert position < POSITION_LIMIT
    assert flux < FLUX_LIMIT


def test_fluxes_that_no_throughput_explains_are_refused() -> None:
    """A detector that lost a third of its light in one visit alone keeps its WCS."""
    survey = simulate_catalogues(dataclasses.replace(CALM, grid=(3, 3), n_stars=1500))
    frame = survey.frames[WRONG]
    dimmed = with_fault(survey, flux=frame.flux / 1.5, flux_err=frame.flux_err / 1.5)
    wcs, calib, position, flux = errors_of(dimmed)
    assert not refused(wcs)
    assert refused(calib) == [(frame.visit, frame.detector)]
    assert "disagree" in is_refused(calib[frame.visit], frame.detector)
    assert position < POSITION_LIMIT
    assert flux < FLUX_LIMIT


def test_fields_apart_are_fitted_as_well_as_one(survey: CatalogueSurvey) -> None:
    """Two visits lie on another field with references of its own."""
    other = simulate_catalogues(dataclasses.replace(CALM, n_visits=2, ra=31.0))
    n_stars = len(survey.ra)
    moved = [
        dataclasses.replace(
            one, catalogue=dataclasses.replace(one.catalogue, visit=one.catalogue.visit + 10), star=one.star + n_stars
        )
        for one in other.simulated
    ]
    both = dataclasses.replace(
        survey,
        simulated=(*survey.simulated, *moved),
        **{
            name: np.concatenate([getattr(survey, name), getattr(other, name)])
            for name in ("ra", "dec", "flux", "motion")
        },
        references=_joined(survey.references, other.references),
    )
    wcs, calib, position, flux = errors_of(both)
    assert not refused(wcs)
    assert not refused(calib)
    assert position < POSITION_LIMIT
    assert flux < FLUX_LIMIT


def test_visits_that_only_share_stars_with_one_another_are_named(
    survey: CatalogueSurvey, caplog: pytest.LogCaptureFixture
) -> None:
    other = simulate_catalogues(dataclasses.replace(CALM, n_visits=2, ra=31.0))
    lonely = [dataclasses.replace(frame, visit=frame.visit + 10) for frame in other.frames]
    fit = fit_jointly([*survey.frames, *lonely], survey.references, SETTINGS, flux="r")
    wcs = wcs_tables(fit)
    assert refused(wcs) == [(visit, detector) for visit in (11, 12) for detector in range(4)]
    assert "visit 11 shares no star" in caplog.text
    assert "visit 12 shares no star" in caplog.text
    assert rms(together(position_errors(survey, wcs))) < POSITION_LIMIT


def _joined(first: Table, second: Table) -> Table:
    """Two reference catalogues in one."""
    columns = {name: np.concatenate([first[name], second[name]]) for name in first.colnames}
    return Table(columns)


def selected(frame: FrameCatalogue, table: Table) -> FrameCatalogue:
    names = ("visit", "detector", "box", "projection", "photo_calib", "focal_plane", "epoch_year")
    return frame_catalogue(table, **{name: getattr(frame, name) for name in names})


def test_rows_that_are_no_numbers_are_left_out(survey: CatalogueSurvey, caplog: pytest.LogCaptureFixture) -> None:
    frame = survey.frames[WRONG]
    table = star_table_of(frame)
    for row, name in enumerate(("x", "y", "x_err", "ixx", "psf_flux", "psf_flux_err")):
        table[name][row] = np.nan
    catalogue = selected(frame, table)
    np.testing.assert_array_equal(catalogue.source_id, frame.source_id[6:])
    assert f"{frame.name}: 4 stars without a position or its error" in caplog.text
    whole = with_fault(survey)
    broken = survey.references.copy()
    for row, name in enumerate(("ra", "dec", "ra_err", "flux_r", "flux_r_err", "pm_ra")):
        broken[name][row] = np.nan
    _, _, position, flux = errors_of(dataclasses.replace(whole, references=broken))
    assert position < POSITION_LIMIT
    assert flux < FLUX_LIMIT


def test_a_catalogue_with_holes_is_refused_by_name(survey: CatalogueSurvey) -> None:
    frame = survey.frames[WRONG]
    with pytest.raises(JointFitError, match=r"visit 2, detector 1 have columns .*frame_catalogue"):
        dataclasses.replace(frame, x=np.where(np.arange(len(frame.x)) == 3, np.nan, frame.x))
    with pytest.raises(JointFitError, match="of different lengths"):
        dataclasses.replace(frame, y=frame.y[1:])
    table = star_table_of(frame)
    table.remove_columns(["x_err", "psf_flux"])
    with pytest.raises(JointFitError, match="visit 2, detector 1 have no column x_err, psf_flux"):
        selected(frame, table)
