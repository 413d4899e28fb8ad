"""`solve_astrometry` against simulated frames whose projection is known."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from lsst.images import Box
from simulated_field import camera, error_arcsec, projection, simulate

from skyloom.astrometry import AstrometrySettings, solve_astrometry
from skyloom.errors import AstrometryError, NoReferenceError
from skyloom.images.projection import pixel_to_radec, radec_to_pixel

BOX = Box.factory[0:1000, 0:1000]
SCALE = 0.25


def solve(field, guess, **settings):
    return solve_astrometry(
        field.x,
        field.y,
        field.flux,
        field.reference,
        projection(guess, field.box),
        box=field.box,
        settings=AstrometrySettings(**settings),
    )


def test_a_hundred_stars_with_20_mas_noise_give_5_mas():
    errors = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        truth = camera(150.003, 39.998, SCALE * 1.004, box=BOX, rotation=1.0)
        field = simulate(rng, truth, BOX, n_stars=100, noise_px=0.08)
        found = solve(field, camera(150.0, 40.0, SCALE, box=BOX))
        assert found.rms_arcsec == pytest.approx(0.020, rel=0.3)
        errors.append(error_arcsec(found.projection, truth, BOX)[0])
    # Six parameters and 200 coordinates: 20 mas sqrt(3 / 100) = 3.5 mas on average.
    assert np.sqrt(np.mean(np.square(errors))) < 0.005


def test_cubic_distortion_is_recovered():
    rng = np.random.default_rng(1)
    truth = camera(80.0, -30.0, SCALE, box=BOX, rotation=30.5, distortion_px=2.0)
    field = simulate(rng, truth, BOX, n_stars=300, noise_px=0.02)
    found = solve(field, camera(80.0, -30.0, SCALE, box=BOX, rotation=30.0))
    assert found.header["A_ORDER"] == 3
    rms, largest = error_arcsec(found.projection, truth, BOX)
    assert rms < 0.002
    assert largest < 0.02 * SCALE * 2.0


@pytest.mark.parametrize("contamination", [0.0, 0.5])
def test_pointing_off_by_half_the_field(contamination):
    rng = np.random.default_rng(2)
    truth = camera(200.03, 60.02, SCALE * 0.985, box=BOX, rotation=181.8, mirrored=True)
    field = simulate(rng, truth, BOX, n_stars=60, contamination=contamination, completeness=0.8, reach_deg=0.1)
    guess = camera(200.0, 60.0, SCALE, box=BOX, rotation=180.0, mirrored=True)
    found = solve(field, guess, pointing_error_deg=0.05, scale_error=0.03, rotation_error_deg=3.0)
    assert error_arcsec(found.projection, truth, BOX)[1] < 0.25 * SCALE
    assert found.log10_chance < -6.0
    assert found.verdict.rotation_deg == pytest.approx(1.8, abs=0.1)
    assert found.verdict.scale_factor == pytest.approx(0.985, abs=1e-3)


def test_near_the_pole_and_over_ra_0():
    for ra, dec in ((0.001, 12.0), (123.0, 89.97)):
        rng = np.random.default_rng(3)
        truth = camera(ra, dec, SCALE, box=BOX)
        field = simulate(rng, truth, BOX)
        found = solve(field, camera(ra - 0.004, dec, SCALE, box=BOX))
        assert error_arcsec(found.projection, truth, BOX)[1] < 0.25 * SCALE


def test_wrong_fields_are_refused():
    for seed in range(40):
        rng = np.random.default_rng([4, seed])
        truth = camera(10.0, 20.0, SCALE, box=BOX)
        field = simulate(rng, truth, BOX, n_stars=int(rng.integers(12, 80)), contamination=0.3, wrong=True)
        with pytest.raises(AstrometryError):
            solve(field, truth, pointing_error_deg=0.02)


@pytest.mark.parametrize(
    ("rotation", "mirrored", "words"),
    [
        (0.0, True, "mirrored in x:"),
        (180.0, False, "turned by 180"),
        (90.0, False, "turned by 90"),
        (90.0, True, "mirr"),
    ],
)
def test_a_wrong_orientation_is_named(rotation, mirrored, words):
    rng = np.random.default_rng(15)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX, reach_deg=0.03)
    with pytest.raises(AstrometryError, match=f"fit when the frame is {words}"):
        solve(field, camera(10.0, 20.0, SCALE, box=BOX, rotation=rotation, mirrored=mirrored))


def test_a_shift_beyond_the_pointing_error_is_refused():
    rng = np.random.default_rng(5)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX)
    with pytest.raises(AstrometryError):
        solve(field, camera(10.03, 20.0, SCALE, box=BOX), pointing_error_deg=0.01)


def test_matches_in_one_corner_are_refused():
    rng = np.random.default_rng(6)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX, n_stars=2000)
    corner = (field.x < 300.0) & (field.y < 300.0)
    field.x, field.y, field.flux = field.x[corner], field.y[corner], field.flux[corner]
    with pytest.raises(AstrometryError, match="spread") as refused:
        solve(field, truth)
    assert refused.value.metadata["spread"] < 0.35
    assert solve(field, truth, min_spread=0.0).n_matches > 50


def test_blurred_positions_are_refused():
    rng = np.random.default_rng(7)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX, noise_px=0.3)
    with pytest.raises(AstrometryError, match="rms"):
        solve(field, truth, max_rms_arcsec=0.05)


def test_too_few_stars_or_references():
    rng = np.random.default_rng(8)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX)
    with pytest.raises(NoReferenceError, match="0 reference stars"):
        solve(field, camera(190.0, 20.0, SCALE, box=BOX))
    for n in (4, 0):
        field.x, field.y, field.flux = field.x[:n], field.y[:n], field.flux[:n]
        with pytest.raises(AstrometryError, match=f"{n} stars"):
            solve(field, truth)


def test_references_without_fluxes_and_deep_ones_serve():
    rng = np.random.default_rng(16)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX, depth=5.0, reach_deg=0.02)
    field.reference["flux"] = np.nan
    assert error_arcsec(solve(field, truth).projection, truth, BOX)[1] < 0.25 * SCALE


def test_the_brightest_references_may_be_missing():
    """As where bright stars saturate and were not measured."""
    rng = np.random.default_rng(17)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX, n_stars=400, reach_deg=0.02)
    faint = field.flux < np.sort(field.flux)[-150]
    field.x, field.y, field.flux = field.x[faint], field.y[faint], field.flux[faint]
    assert error_arcsec(solve(field, truth).projection, truth, BOX)[1] < 0.25 * SCALE


def test_bad_values_are_left_out():
    rng = np.random.default_rng(9)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX)
    field.x[:10] = np.nan
    field.flux[10:15] = np.nan
    field.reference["flux"][:50] = np.nan
    found = solve(field, truth)
    assert np.all(np.isfinite(found.matches["separation"]))
    assert found.matches["detection"].min() >= 15


def test_header_projection_and_inverse_agree():
    rng = np.random.default_rng(10)
    box = Box.factory[-100:1100, 50:1350]
    truth = camera(80.0, -30.0, SCALE, box=box, distortion_px=2.0)
    field = simulate(rng, truth, box, n_stars=300, noise_px=0.02)
    found = solve(field, truth)
    x, y = rng.uniform(box.x.start, box.x.stop - 1, 500), rng.uniform(box.y.start, box.y.stop - 1, 500)
    ra, dec = pixel_to_radec(found.projection, x, y)
    wcs = WCS(found.header)
    x_header, y_header = wcs.all_world2pix(ra, dec, 0)
    np.testing.assert_allclose(x_header + box.x.start, x, atol=1e-4)
    np.testing.assert_allclose(y_header + box.y.start, y, atol=1e-4)
    x_back, y_back = radec_to_pixel(found.projection, ra, dec)
    np.testing.assert_allclose(x_back, x, atol=1e-4)
    np.testing.assert_allclose(y_back, y, atol=1e-4)
    # AP and BP alone, as a reader without iteration uses them.
    focal = np.stack(wcs.wcs_world2pix(ra, dec, 0))
    big_u, big_v = focal[0] + 1.0 - found.header["CRPIX1"], focal[1] + 1.0 - found.header["CRPIX2"]
    terms = [(p, q, big_u**p * big_v**q) for p in range(10) for q in range(10 - p)]
    x_direct = focal[0] + sum(found.header.get(f"AP_{p}_{q}", 0.0) * term for p, q, term in terms)
    y_direct = focal[1] + sum(found.header.get(f"BP_{p}_{q}", 0.0) * term for p, q, term in terms)
    np.testing.assert_allclose(x_direct + box.x.start, x, atol=1e-3)
    np.testing.assert_allclose(y_direct + box.y.start, y, atol=1e-3)
    assert found.header["CRPIX1"] == 0.5 * (box.x.size + 1)


def test_the_distortion_of_the_guess_is_kept():
    rng = np.random.default_rng(11)
    truth = camera(80.0, -30.0, SCALE, box=BOX, rotation=0.7, distortion_px=12.0)
    field = simulate(rng, truth, BOX, n_stars=20, noise_px=0.02)
    guess = camera(80.001, -30.0, SCALE, box=BOX, distortion_px=12.0)
    found = solve(field, guess)
    assert found.verdict.order == 1
    assert error_arcsec(found.projection, truth, BOX)[1] < 0.2 * SCALE


def test_matches_name_the_rows_given():
    rng = np.random.default_rng(12)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX, n_stars=50, contamination=0.4)
    found = solve(field, truth)
    matches = found.matches
    assert found.n_matches == matches["fitted"].sum()
    np.testing.assert_array_equal(matches["x"], field.x[matches["detection"]])
    np.testing.assert_array_equal(matches["ra"], field.reference["ra"][matches["reference"]])
    assert len(set(matches["detection"])) == len(set(matches["reference"])) == len(matches)


def test_errors_of_the_positions_are_weights():
    rng = np.random.default_rng(13)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    plain, weighted = [], []
    for _ in range(8):
        field = simulate(rng, truth, BOX, n_stars=80, noise_px=0.0)
        error = np.where(np.arange(len(field.x)) % 2 == 0, 0.05, 0.2)
        field.x += rng.normal(0.0, error)
        field.y += rng.normal(0.0, error)
        guess = projection(truth, BOX)
        for errors, position_err in ((plain, None), (weighted, error)):
            found = solve_astrometry(
                field.x, field.y, field.flux, field.reference, guess, box=BOX, position_err=position_err
            )
            errors.append(error_arcsec(found.projection, truth, BOX)[0])
    assert np.mean(weighted) < 0.8 * np.mean(plain)


def test_the_same_input_gives_the_same_solution():
    rng = np.random.default_rng(14)
    truth = camera(10.0, 20.0, SCALE, box=BOX)
    field = simulate(rng, truth, BOX, contamination=0.3)
    assert solve(field, truth).header == solve(field, truth).header
