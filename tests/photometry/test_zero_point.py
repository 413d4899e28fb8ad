"""The zero point is the one that made the fluxes, with outliers among them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from skyloom.errors import NoReferenceError, PhotometryError
from skyloom.photometry import ColourTerm, ZeroPointSettings, fit_zero_point, reference_fluxes, reserve_stars

ZERO_POINT = 27.3


def matched(n: int = 200, seed: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Instrumental flux and error, catalogue flux and error."""
    rng = np.random.default_rng(seed)
    magnitude = rng.uniform(16, 20, n)
    flux = 10 ** (0.4 * (ZERO_POINT - magnitude))
    error = np.sqrt(flux + 5000)
    reference = 10 ** (0.4 * (31.4 - magnitude))
    return flux + error * rng.normal(size=n), error, reference, 0.005 * reference


def test_recovers_the_zero_point_and_its_error() -> None:
    pulls = []
    for seed in range(20):
        found = fit_zero_point(*matched(seed=seed))
        pulls.append((found.zero_point_mag - ZERO_POINT) / found.zero_point_mag_err)
    assert np.abs(np.mean(pulls)) < 0.7
    assert np.std(pulls) < 1.5
    assert found.photo_calib.zero_point_mag == pytest.approx(found.zero_point_mag)


def test_outliers_are_clipped() -> None:
    flux, error, reference, reference_err = matched()
    flux[:30] *= 1.7
    found = fit_zero_point(flux, error, reference, reference_err)
    assert found.zero_point_mag == pytest.approx(ZERO_POINT, abs=0.005)
    assert not found.used[:30].any()
    assert found.n_stars > 160


def test_unusable_stars_are_left_out() -> None:
    flux, error, reference, reference_err = matched()
    flux[0], flux[1], reference[2], error[3] = -5.0, np.nan, np.nan, 0.0
    reference_err[4] = np.nan
    found = fit_zero_point(flux, error, reference, reference_err)
    assert not found.used[:4].any()
    assert found.used[4]


def test_too_few_stars_are_counted() -> None:
    with pytest.raises(PhotometryError, match="Only 2 of 2") as caught:
        fit_zero_point(*(column[:2] for column in matched()))
    assert caught.value.metadata["n_stars"] == 2


def test_calibrated_fluxes_are_those_of_the_catalogue() -> None:
    flux, error, reference, reference_err = matched()
    found = fit_zero_point(flux, error, reference, reference_err)
    ratio = found.photo_calib.to_njy(flux) / reference
    assert np.median(ratio) == pytest.approx(1.0, abs=0.005)


def test_colour_term_brings_the_catalogue_to_the_camera() -> None:
    r_mag, g_mag = np.array([18.0, 19.0]), np.array([18.5, 19.2])
    table = Table({"flux_r": 10 ** (0.4 * (31.4 - r_mag)), "flux_g": 10 ** (0.4 * (31.4 - g_mag))})
    settings = ZeroPointSettings(colour_terms=(ColourTerm(filter_name="r", secondary="g", c0=0.02, c1=0.1, c2=0.3),))
    flux, _ = reference_fluxes(table, "r", settings)
    colour = r_mag - g_mag
    np.testing.assert_allclose(31.4 - 2.5 * np.log10(flux), r_mag + 0.02 + 0.1 * colour + 0.3 * colour**2)
    untouched, _ = reference_fluxes(table, "g", settings)
    np.testing.assert_array_equal(untouched, table["flux_g"])


def test_missing_filter_names_those_that_are_there() -> None:
    with pytest.raises(NoReferenceError, match=r"'z', only g, r"):
        reference_fluxes(Table({"flux_r": [1.0], "flux_r_err": [0.1], "flux_g": [1.0]}), "z", ZeroPointSettings())


@pytest.mark.parametrize("n", [10, 400])
def test_half_of_the_matches_may_be_wrong(n: int) -> None:
    errors = []
    for seed in range(10):
        flux, error, reference, reference_err = matched(n, seed)
        rng = np.random.default_rng(100 + seed)
        # Faint stars taken for bright ones: all wrong to the same side, so that the median is a wrong match's.
        flux[: n // 2] *= 10 ** (-0.4 * rng.uniform(0.4, 4.0, n // 2))
        errors.append(fit_zero_point(flux, error, reference, reference_err).zero_point_mag - ZERO_POINT)
    assert np.abs(errors).max() < (0.03 if n == 10 else 0.006)


def test_reserved_stars_take_no_part_and_test_the_rest() -> None:
    columns = matched()
    settings = ZeroPointSettings(reserve_fraction=0.2)
    found = fit_zero_point(*columns, settings, seed=5)
    assert found.reserved.sum() == 40
    assert not (found.reserved & found.used).any()
    columns[0][found.reserved] *= 10 ** (0.4 * 0.1)
    again = fit_zero_point(*columns, settings, seed=5)
    np.testing.assert_array_equal(again.reserved, found.reserved)
    assert again.zero_point_mag == found.zero_point_mag
    assert again.reserved_offset_mag == pytest.approx(found.reserved_offset_mag + 0.1)
    assert found.reserved_scatter_mag == pytest.approx(found.scatter_mag, rel=0.7)
    assert (fit_zero_point(*columns, settings, seed=6).reserved != found.reserved).any()


def test_reserve_leaves_enough_to_fit() -> None:
    assert reserve_stars(np.ones(10, dtype=bool), 0.2, 1).sum() == 2
    assert reserve_stars(np.array([True, False, True, True, True]), 1.0, 1, n_left=3).sum() == 1
    assert not reserve_stars(np.zeros(4, dtype=bool), 0.5, 1).any()


def test_one_star_and_equal_stars_are_enough() -> None:
    settings = ZeroPointSettings(n_min=1)
    one = fit_zero_point(*(column[:1] for column in matched()), settings)
    assert one.zero_point_mag == pytest.approx(ZERO_POINT, abs=0.05)
    assert one.zero_point_mag_err > settings.error_floor_mag
    flux = np.full(8, 1e5)
    equal = fit_zero_point(flux, flux / 100, flux, np.zeros(8))
    assert equal.zero_point_mag == pytest.approx(31.4)
    assert equal.n_stars == 8
    assert equal.scatter_mag == pytest.approx(0.0, abs=1e-12)


def test_no_match_is_an_error_with_the_count() -> None:
    with pytest.raises(PhotometryError, match="Only 0 of 0"):
        fit_zero_point(*(column[:0] for column in matched()))


def test_error_floor_limits_the_weight_of_one_bright_star() -> None:
    flux, error, reference, reference_err = matched(50)
    flux[0], reference[0] = 1e9 * 1.05, 10 ** (0.4 * (31.4 - (ZERO_POINT - 22.5)))
    free = fit_zero_point(flux, error, reference, reference_err, ZeroPointSettings(error_floor_mag=1e-6, n_sigma=1e6))
    floored = fit_zero_point(flux, error, reference, reference_err, ZeroPointSettings(n_sigma=1e6))
    assert abs(free.zero_point_mag - ZERO_POINT) > 3 * abs(floored.zero_point_mag - ZERO_POINT)
