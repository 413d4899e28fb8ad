"""What the pictures of a calibrated frame are drawn from is what the frame holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibrated_frames import (
    N_STARS,
    NOISE,
    RADII,
    RESIDUAL_PX,
    SCALE_ARCSEC,
    SHAPE,
    SIGMA,
    TILT_MAG,
    WIDER,
    ZERO_POINT,
    exposure,
    growth,
    products,
    psf,
    source_table,
)

from skyloom.images import bitmask
from skyloom.report.visit_astrometry import match_residuals
from skyloom.report.visit_growth import growth_curve
from skyloom.report.visit_measured import measured
from skyloom.report.visit_products import FrameProducts
from skyloom.report.visit_psf_values import Shapes, mean_stamps, star_shapes
from skyloom.report.visit_sky import sky_residual, subtracted_sky
from skyloom.report.visit_source_classes import SourceKind, source_kinds
from skyloom.report.visit_style import group_medians, robust_scatter, symmetric_limit
from skyloom.report.visit_usual import USUAL, Usual, judge
from skyloom.report.visit_zero_point import magnitude_residuals


@pytest.fixture(scope="module")
def whole() -> FrameProducts:
    return products()


def test_white_noise_leaves_no_structure_in_the_sky() -> None:
    frame = exposure()
    found = sky_residual(frame)
    assert found.structure == pytest.approx(1.0, abs=0.15)
    assert found.noise_ratio == pytest.approx(1.0, abs=0.05)
    # Of a block without sources or bad pixels all pixels count.
    assert np.nanmin(found.error) == pytest.approx(NOISE / found.size, rel=1e-3)


def test_a_step_in_the_sky_shows_where_it_is() -> None:
    frame = exposure()
    frame.image.array[:, :100] += 3.0
    found = sky_residual(frame)
    left, right = found.mean[:, : 100 // found.size], found.mean[:, 100 // found.size + 1 :]
    assert np.nanmedian(left) - np.nanmedian(right) == pytest.approx(3.0, abs=0.3)
    assert found.structure > 2.0


def test_subtracted_sky_is_that_of_the_field(whole: FrameProducts) -> None:
    found = subtracted_sky(whole)
    assert found is not None
    level, size, unit = found
    assert (level.shape, unit) == ((SHAPE[0] // size, SHAPE[1] // size), "e⁻")
    np.testing.assert_allclose(level[:, [0, -1]], [[190.05, 209.95]] * len(level), atol=0.1)


def test_stars_wider_than_the_psf_are_told(whole: FrameProducts) -> None:
    stars = star_shapes(whole)
    assert stars is not None
    assert stars.model is not None
    np.testing.assert_allclose(stars.model.fwhm, 2.3548 * SIGMA, rtol=2e-3)
    np.testing.assert_allclose(stars.size_residual[stars.used], 0.0, atol=2e-3)
    np.testing.assert_allclose(stars.size_residual[stars.reserved], WIDER - 1.0, atol=2e-3)
    np.testing.assert_allclose(stars.star.ellipticity, 0.0, atol=1e-6)
    np.testing.assert_allclose(stars.magnitude[0], ZERO_POINT - 12.5, atol=1e-6)


def test_moments_of_the_model_are_taken_from_the_table(whole: FrameProducts) -> None:
    table = source_table()
    table["psf_ixx"], table["psf_iyy"], table["psf_ixy"] = 4.0, 2.0, 1.0
    stars = star_shapes(replace(whole, psf_stars=table))
    assert stars is not None
    assert stars.model is not None
    np.testing.assert_allclose(stars.model.e1, 1.0 / 3.0)
    np.testing.assert_allclose(stars.e2_residual, -1.0 / 3.0)
    np.testing.assert_allclose(stars.model.fwhm, 2.3548 * 7.0**0.25, rtol=1e-4)


def test_moments_that_are_none_have_no_shape() -> None:
    found = Shapes.of(np.array([-1.0, 1.0]), np.array([1.0, 1.0]), np.array([0.0, 2.0]))
    assert np.isnan(found.fwhm).all()
    assert np.isnan(found.ellipticity).all()


def test_mean_stamps_leave_nothing_of_stars_like_the_psf(whole: FrameProducts) -> None:
    stars = star_shapes(whole)
    assert stars is not None
    fitted, reserved = mean_stamps(whole, stars.used), mean_stamps(whole, stars.reserved)
    assert fitted is not None
    assert reserved is not None
    middle = fitted.model.shape[0] // 2
    assert fitted.n == 25
    assert fitted.model[middle, middle] == pytest.approx(1.0)
    # The bad column of 1e4 electrons beside some of the stars is in none of it.
    assert np.nanmax(np.abs(fitted.residual)) < 0.01
    # A wider star of the same flux lacks 2 % of the peak, less what the best flux makes up for.
    assert reserved.residual[middle, middle] == pytest.approx(-0.01, abs=0.006)


def test_residuals_of_positions_are_in_milliarcsec(whole: FrameProducts) -> None:
    found = match_residuals(whole)
    assert found is not None
    np.testing.assert_allclose(found.length_mas, 1e3 * SCALE_ARCSEC * RESIDUAL_PX, rtol=1e-6)
    assert found.fitted.sum() == N_STARS - 1
    every = replace(found, fitted=np.ones(N_STARS, bool))
    assert every.rms_mas("x") == pytest.approx(20.0 / np.sqrt(2.0), rel=1e-6)
    assert found.magnitude[0] == pytest.approx(ZERO_POINT - 12.5)  # by its source_id


def test_tilt_of_the_magnitudes_is_the_true_one(whole: FrameProducts) -> None:
    found = magnitude_residuals(whole)
    assert found is not None
    tilt, error = found.tilt()
    assert tilt == pytest.approx(TILT_MAG, rel=1e-6)
    assert 0.0 < error < TILT_MAG
    np.testing.assert_allclose(found.error[0], 1.0857 * 50.0 / 1e5, rtol=1e-3)
    # Noise of faint stars does not make a tilt where bright ones are sure that there is none.
    faint = np.arange(N_STARS) >= 10
    noise = np.where(faint, np.random.default_rng(6).normal(0.0, 0.3, N_STARS), 0.0)
    noisy = replace(found, residual=noise, error=np.where(faint, 0.3, 0.0), used=np.ones(N_STARS, bool))
    tilt, error = noisy.tilt()
    assert tilt < 4.0 * error
    assert error < 0.03
    few = replace(found, used=np.arange(N_STARS) < 5)
    assert np.isnan(few.tilt()[0])


def test_curve_of_growth_is_that_of_the_gaussian(whole: FrameProducts) -> None:
    curve = growth_curve(whole)
    assert curve is not None
    expected = np.array([growth(radius) for radius in RADII])
    assert curve.total_radius == RADII[-1]
    np.testing.assert_allclose(curve.median, expected, rtol=1e-6)
    # Pixels spread the light that they sample by 1/12 px^2.
    spread = np.array([growth(radius, np.sqrt(SIGMA**2 + 1.0 / 12.0)) for radius in RADII])
    np.testing.assert_allclose(curve.model_at_radii, spread, atol=4e-3)


def test_curve_of_growth_without_psf_is_that_of_the_reference_aperture(whole: FrameProducts) -> None:
    curve = growth_curve(replace(whole, exposure=None))
    assert curve is not None
    np.testing.assert_allclose(curve.median, [growth(radius) / growth(RADII[-1]) for radius in RADII], rtol=1e-6)
    assert curve.model.size == 0


def test_corrections_of_the_fluxes_cancel_in_the_curve_of_growth(whole: FrameProducts) -> None:
    table = source_table()
    table["psf_flux"] *= 1.05
    table["psf_flux_aperture_correction"] = 1.05
    table["aperture_flux_6_0"] *= 1.02
    table["aperture_flux_6_0_aperture_correction"] = 1.02
    curve, plain = growth_curve(replace(whole, psf_stars=table)), growth_curve(whole)
    assert curve is not None
    assert plain is not None
    np.testing.assert_allclose(curve.median, plain.median / 1.05)
    np.testing.assert_allclose(
        curve.median - curve.model_at_radii, (plain.median - plain.model_at_radii) / 1.05, atol=1e-9
    )


def test_columns_that_were_not_measured_are_as_if_they_were_not_there(whole: FrameProducts) -> None:
    table = source_table()
    for name in ("psf_ixx", "psf_iyy", "psf_ixy", "extendedness"):
        table[name] = np.full(N_STARS, np.nan)
    stars = star_shapes(replace(whole, psf_stars=table))
    assert stars is not None
    assert stars.model is not None
    np.testing.assert_allclose(stars.model.fwhm, 2.3548 * SIGMA, rtol=2e-3)
    assert (source_kinds(table, psf()) == SourceKind.STAR).all()


def test_kinds_of_sources() -> None:
    table = source_table()
    table["ixx"][1] = table["iyy"][1] = 2.0 * SIGMA**2
    table["psf_flux"][2] = 100.0
    table["flag_blended"][3] = table["flag_blended"][4] = True
    table["flag_edge"][4] = table["flag_edge"][5] = True
    table["flag_saturated_center"][5] = True
    kinds = source_kinds(table, psf())
    wanted = [SourceKind.STAR, SourceKind.EXTENDED, SourceKind.FAINT, SourceKind.BLENDED, SourceKind.FLAGGED]
    assert list(kinds[:6]) == [*wanted, SourceKind.SATURATED]
    assert (kinds[6:] == SourceKind.STAR).all()
    table["extendedness"] = np.where(np.arange(N_STARS) == 7, 1.0, 0.0)
    table["flag_sky_source"] = np.arange(N_STARS) == 8
    kinds = source_kinds(table, psf())
    assert list(kinds[[0, 1, 7, 8]]) == [SourceKind.STAR, SourceKind.STAR, SourceKind.EXTENDED, SourceKind.SKY]


def test_figures_of_the_whole(whole: FrameProducts) -> None:
    values = measured(whole)
    assert values["n_psf_stars"] == 25
    assert values["fwhm_px"] == pytest.approx(2.3548 * SIGMA, rel=2e-3)
    assert values["zero_point_kept_fraction"] == pytest.approx(1.0 - 1.0 / N_STARS)
    assert values["zero_point_tilt_mag"] == pytest.approx(TILT_MAG, rel=1e-6)
    assert values["masked_fraction"] == pytest.approx(1.0 / SHAPE[1])
    odd = {one.usual.name for one in judge(values) if one.remark}
    assert "zero_point_tilt_mag" in odd
    assert not odd & {"sky_structure", "fwhm_px", "psf_ellipticity", "growth_difference", "masked_fraction"}


def test_what_is_missing_has_no_figure() -> None:
    assert measured(FrameProducts()) == {}
    alone = measured(FrameProducts(sources=source_table()))
    assert alone["n_sources"] == N_STARS
    assert "zero_point_mag" not in alone
    assert "sky_structure" not in alone


def test_verdicts_name_figure_range_and_cause() -> None:
    usual = (Usual(name="a", text="height", unit="m", low=1.0, high=2.0, when_low="too low.", when_high="too high."),)
    low, high, fine = (judge({"a": value}, usual)[0] for value in (0.5, 2.5, 1.5))
    assert (low.remark, high.remark, fine.remark) == ("too low.", "too high.", "")
    assert low.sentence == "Height: 0.5 m (1 m to 2 m): too low."
    assert judge({"a": float("nan"), "b": 1.0}, usual) == []
    assert len({one.name for one in USUAL}) == len(USUAL)
    for one in USUAL:
        assert np.isinf(one.low) or one.when_low, one.name
        assert np.isinf(one.high) or one.when_high, one.name


def test_limits_are_not_set_by_an_outlier() -> None:
    values = np.concatenate([np.random.default_rng(2).normal(0.0, 1.0, 500), [1e4, np.nan]])
    assert 3.0 < symmetric_limit(values, 0.1) < 8.0
    assert symmetric_limit(np.zeros(5), 0.1) == 0.1
    assert symmetric_limit(np.empty(0), 0.1) == 0.1
    assert robust_scatter(values) == pytest.approx(1.0, abs=0.1)
    assert np.isnan(robust_scatter([np.nan]))


def test_medians_of_groups_follow_a_line() -> None:
    x = np.random.default_rng(4).permutation(np.arange(80.0))
    place, middle, error = group_medians(x, 2.0 * x, groups=4)
    np.testing.assert_allclose(place, [9.5, 29.5, 49.5, 69.5])
    np.testing.assert_allclose(middle, 2.0 * place)
    assert (error > 0).all()
    assert group_medians(x[:5], x[:5])[0].size == 0


def test_bad_pixels_are_no_sky() -> None:
    frame = exposure()
    frame.image.array[(frame.bits & bitmask("BAD", "DETECTED")) != 0] = 1e6
    assert np.nanmax(np.abs(sky_residual(frame).mean)) < NOISE
