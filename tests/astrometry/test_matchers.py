"""The alternatives to the matcher and to the fit."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box
from simulated_field import camera, error_arcsec, projection, simulate

from skyloom.astrometry import AstrometrySettings, fit_tan_sip, from_tangent_plane, solve_astrometry
from skyloom.errors import AstrometryError
from skyloom.images.projection import pixel_to_radec

BOX = Box.factory[0:1000, 0:1000]
SCALE = 0.25


def solve(field, guess, **settings):
    return solve_astrometry(
        field.x, field.y, field.flux, field.reference, projection(guess, field.box), box=field.box,
        settings=AstrometrySettings(**settings),
    )  # fmt: skip


@pytest.mark.parametrize("matcher", ["pairs", "pessimistic", "optimistic"])
def test_every_matcher_finds_the_frame(matcher):
    rng = np.random.default_rng(2)
    truth = camera(200.006, 60.004, SCALE * 1.002, box=BOX, rotation=181.2, mirrored=True, distortion_px=1.0)
    field = simulate(rng, truth, BOX, n_stars=150, contamination=0.05, completeness=0.95, reach_deg=0.03)
    guess = camera(200.0, 60.0, SCALE, box=BOX, rotation=180.0, mirrored=True)
    found = solve(field, guess, matcher=matcher)
    assert error_arcsec(found.projection, truth, BOX)[1] < 0.25 * SCALE
    assert found.verdict.rotation_deg == pytest.approx(1.2, abs=0.1)


@pytest.mark.parametrize("matcher", ["pessimistic", "optimistic"])
def test_no_matcher_takes_another_field(matcher):
    rng = np.random.default_rng(3)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX, n_stars=100, reach_deg=0.03, wrong=True)
    with pytest.raises(AstrometryError):
        solve(field, truth, matcher=matcher)


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6])
def test_a_radial_distortion_without_noise_is_followed(order):
    """Barrel distortion by the order-th power of the radius, 5 px at the corner; the even ones are no polynomials."""
    u, v = np.meshgrid(np.linspace(-500.0, 500.0, 21), np.linspace(-500.0, 500.0, 21))
    u, v = u.ravel(), v.ravel()
    if order % 2:
        stretch = 1.0 - 5.0 / 707.0 * (np.hypot(u, v) / 707.0) ** (order - 1)
        xi, eta = SCALE / 3600.0 * stretch * np.stack([-u, v])
    else:
        bend = 5.0 * np.stack([u, v]) / 707.0 * (u / 707.0) ** (order - 1)
        xi, eta = SCALE / 3600.0 * np.stack([-(u + bend[0]), v + bend[1]])
    x, y = u + 499.5, v + 499.5
    ra, dec = from_tangent_plane(xi, eta, 359.99, 75.0)
    found = fit_tan_sip(x, y, ra, dec, order=order, box=BOX)
    ra_fit, dec_fit = pixel_to_radec(projection(found, BOX), x, y)
    offset = np.hypot((ra_fit - ra + 180.0) % 360.0 - 180.0, dec_fit - dec) * np.array([[1.0]])
    assert offset.max() * 3600.0 < 0.001
    assert offset.max() * 3600.0 / SCALE < 0.005


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6])
def test_solutions_of_every_order_are_exact_without_noise(order):
    rng = np.random.default_rng(4)
    truth = camera(80.0, -30.0, SCALE, box=BOX, rotation=0.5, distortion_px=2.0)
    field = simulate(rng, truth, BOX, n_stars=400, noise_px=0.0, reach_deg=0.02)
    found = solve(field, camera(80.001, -30.0, SCALE, box=BOX), sip_order=order)
    assert found.verdict.order <= order
    largest = error_arcsec(found.projection, truth, BOX)[1]
    if order >= 3:
        assert found.verdict.offset_median_arcsec < 0.001
        assert largest < 0.001
        assert largest / SCALE < 0.005
    else:
        assert largest > 0.01  # a cubic distortion is more than order 2 can follow


def test_the_affine_fit_keeps_the_distortion_of_the_camera():
    rng = np.random.default_rng(5)
    truth = camera(80.001, -30.0, SCALE * 1.003, box=BOX, rotation=0.7, distortion_px=12.0)
    field = simulate(rng, truth, BOX, n_stars=300, noise_px=0.0, reach_deg=0.02)
    guess = camera(80.0, -30.0, SCALE, box=BOX, distortion_px=12.0)
    found = solve(field, guess, fit="affine")
    assert found.verdict.order == 1
    assert found.verdict.offset_median_arcsec < 0.001
    assert error_arcsec(found.projection, truth, BOX)[1] < 0.001
    without = solve(field, camera(80.0, -30.0, SCALE, box=BOX), fit="affine", match_tolerance_px=6.0, max_rms_px=5.0)
    assert "A_ORDER" not in without.header
    assert without.rms_px > 0.5


def test_outliers_on_either_side_are_left_out():
    rng = np.random.default_rng(6)
    truth = camera(80.0, -30.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX, n_stars=200, noise_px=0.02, reach_deg=0.02)
    field.x[:8] += np.tile([0.4, -0.4], 4)
    field.y[8:16] += np.tile([0.4, -0.4], 4)
    found = solve(field, truth)
    out = np.asarray(found.matches["detection"])[~np.asarray(found.matches["fitted"])]
    assert set(range(16)) & set(found.matches["detection"]) <= set(out)
    assert error_arcsec(found.projection, truth, BOX)[1] < 0.02


def test_a_large_mean_offset_is_refused():
    rng = np.random.default_rng(7)
    truth = camera(80.0, -30.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX, n_stars=100, noise_px=0.2)
    with pytest.raises(AstrometryError, match="mean distance") as refused:
        solve(field, truth, max_mean_offset_arcsec=0.03)
    assert refused.value.metadata["offset_mean_arcsec"] == pytest.approx(0.2 * SCALE * np.sqrt(np.pi / 2.0), rel=0.2)
    found = solve(field, truth, max_mean_offset_arcsec=0.1)
    assert found.metadata["astrometry_offset_median_arcsec"] == pytest.approx(0.2 * SCALE * 1.177, rel=0.2)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="there are pairs, pessimistic, optimistic"):
        AstrometrySettings(matcher="quads")
