"""The metrics of a site against made-up stars of which they are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from joint_tract import NOISE_MMAG, measurements, stars
from scipy.stats import norm

from skyloom.report.metrics import (
    METRICS,
    Matched,
    Measured,
    absolute_astrometry,
    ellipticity_correlations,
    photometric_repeatability,
    relative_astrometry,
    tangent_plane,
)
from skyloom.report.site_metrics import matched_of

SCATTER_MAS, SCATTER_MMAG = 7.0, 6.0


def field(n_stars: int = 900, n_visits: int = 5, size_deg: float = 0.5, snr: float = 500.0) -> Matched:
    """Stars with Gaussian scatter, seen in every visit."""
    rng, n = np.random.default_rng(3), n_stars * n_visits
    return Matched(
        ra=(359.9 + rng.uniform(0.0, size_deg, n_stars) / math.cos(math.radians(60.0))) % 360.0,
        dec=60.0 + rng.uniform(0.0, size_deg, n_stars),
        star=np.repeat(np.arange(n_stars), n_visits),
        visit=np.tile(np.arange(n_visits), n_stars),
        east=rng.normal(0.0, SCATTER_MAS, n),
        north=rng.normal(0.0, SCATTER_MAS, n),
        magnitude=rng.normal(0.0, SCATTER_MMAG, n),
        snr=np.full(n, snr),
    )


def changed(matched: Matched, **values: np.ndarray) -> Matched:
    return Matched(**{name: values.get(name, getattr(matched, name)) for name in Matched.__dataclass_fields__})


@pytest.mark.parametrize("separation", [5.0, 20.0])
@pytest.mark.parametrize("n_visits", [2, 5])
def test_distances_of_pairs_scatter_by_the_root_of_two_more_than_positions(separation: float, n_visits: int) -> None:
    found = relative_astrometry(field(n_visits=n_visits), separation)["AM"]
    assert found.n > 1000
    assert found.value == pytest.approx(math.sqrt(2.0) * SCATTER_MAS, rel=0.04)


def test_errors_that_a_visit_has_in_common_leave_distances_alone() -> None:
    quiet = field()
    moved = changed(quiet, east=quiet.east + 300.0 * quiet.visit, north=quiet.north - 200.0 * quiet.visit)
    assert relative_astrometry(moved, 5.0)["AM"].value == pytest.approx(relative_astrometry(quiet, 5.0)["AM"].value)


def test_a_scale_of_a_visit_moves_distant_pairs_in_proportion() -> None:
    quiet = field(n_visits=2)
    plane = 60.0 * tangent_plane(quiet.ra, quiet.dec)[quiet.star]  # arcsec
    part_per_million = 25.0 * quiet.visit[:, np.newaxis]
    east, north = (1e-3 * part_per_million * plane).T
    still = changed(quiet, east=east, north=north)
    # Two values that differ by d have an rms of d / sqrt(2), which the median over Gaussian ones would have by 0.6745.
    expected = {arcmin: 60.0 * arcmin * 25e-3 / math.sqrt(2.0) / norm.ppf(0.75) for arcmin in (5.0, 20.0)}
    for arcmin, value in expected.items():
        assert relative_astrometry(still, arcmin)["AM"].value == pytest.approx(value, rel=0.06)


def test_outlying_pairs_are_counted() -> None:
    quiet = field()
    bad = quiet.star < 90  # of 900: 19 % of the pairs have one of them
    sign = np.where(quiet.visit % 2 == 0, 1.0, -1.0)
    found = relative_astrometry(changed(quiet, east=np.where(bad, 400.0 * sign, 0.0), north=0.0 * sign), 5.0)
    assert found["AM"].value == 0.0
    assert found["AF"].value == pytest.approx(18.0, abs=3.0)
    assert found["AD"].value > METRICS["AD1"].minimum
    assert found["AF"].verdict(METRICS["AF1"], "r") == "minimum"


@pytest.mark.parametrize("n_visits", [2, 4])
def test_repeatability_is_the_scatter_of_magnitudes(n_visits: int) -> None:
    found = photometric_repeatability(field(n_visits=n_visits), "r")
    assert found["PA1"].value == pytest.approx(SCATTER_MMAG, rel=0.06)
    # Deviations from a mean of n are smaller than those from the truth.
    about_mean = SCATTER_MMAG * math.sqrt(1.0 - 1.0 / n_visits)
    assert found["PA2"].value == pytest.approx(norm.ppf(0.95) * about_mean, rel=0.05)
    assert found["PF1"].value == pytest.approx(200.0 * norm.sf(15.0 / about_mean), abs=0.3)


def test_faint_stars_and_missing_measurements_do_not_count() -> None:
    quiet = field(n_visits=3)
    noisy = changed(
        quiet,
        snr=np.where(quiet.star < 450, 500.0, 20.0),
        magnitude=np.where(quiet.star < 450, quiet.magnitude, 50.0 * quiet.magnitude),
    )
    assert photometric_repeatability(noisy, "r")["PA1"].n == 450
    gone = changed(quiet, magnitude=np.where(quiet.visit == 0, quiet.magnitude, np.nan))
    assert not math.isfinite(photometric_repeatability(gone, "r")["PA1"].value)


def test_what_cannot_be_measured_says_why_and_has_no_value() -> None:
    small = field(n_stars=60, size_deg=0.1)
    found = relative_astrometry(small, 20.0)["AM"]
    assert math.isnan(found.value)
    assert "20 arcmin" in found.why
    assert found.verdict(METRICS["AM2"], "r") == "not measurable"
    assert "S/N 200" in photometric_repeatability(field(n_stars=30, snr=50.0), "r")["PA1"].why
    assert "reference" in absolute_astrometry(np.zeros(3), np.zeros(3)).why
    place, zero = np.array([[0.0, 0.0], [30.0, 0.0]]), np.zeros(2)
    assert "5 to 20 arcmin" in ellipticity_correlations(place, zero, zero, zero, large=True).why


def test_absolute_astrometry_is_the_median_of_the_worse_coordinate() -> None:
    rng = np.random.default_rng(4)
    east, north = rng.normal(0.0, 10.0, 20000), rng.normal(0.0, 30.0, 20000)
    assert absolute_astrometry(east, north).value == pytest.approx(30.0 * norm.ppf(0.75), rel=0.02)
    assert absolute_astrometry(east + 100.0, north).value == pytest.approx(100.0, rel=0.02)


@pytest.mark.parametrize("large", [False, True])
def test_correlation_of_ellipticities_is_what_stars_have_in_common(large: bool) -> None:
    rng, n = np.random.default_rng(5), 900
    place, visit = rng.uniform(0.0, 12.0, (n, 2)), np.repeat([0, 1, 2], n // 3)
    noise = 0.01 * rng.normal(size=(2, 3, n // 3))
    # What is left of a mean of the noise is in common, too.
    noise = (noise - noise.mean(axis=2, keepdims=True)).reshape(2, n)
    common = 8e-3
    found = ellipticity_correlations(place, noise[0] + common, noise[1], visit, large=large)
    assert found.value == pytest.approx(common**2, abs=4.0 * found.error)
    none = ellipticity_correlations(place, noise[0], noise[1], visit, large=large)
    assert none.value < 5.0 * none.error
    assert none.error < 1e-5


def test_a_pattern_of_the_field_correlates_near_and_not_far() -> None:
    rng, n = np.random.default_rng(6), 2500
    place = rng.uniform(0.0, 15.0, (n, 2))
    wave = 0.02 * np.sin(2.0 * np.pi * place[:, 0] / 3.0)
    near, far = (
        ellipticity_correlations(place, wave, np.zeros(n), np.zeros(n), large=large) for large in (False, True)
    )
    # The mean of cos(k r cos(angle)) over discs of radius 1: 2 J1(k) / k.
    assert near.value == pytest.approx(0.5 * 0.02**2 * 0.544, rel=0.1)
    assert far.value < 0.05 * near.value


def test_verdicts_follow_thresholds_of_the_band_and_the_error() -> None:
    repeat, ellipticity = METRICS["PA1"], METRICS["TE1"]
    assert [Measured(value=value).verdict(repeat, "r") for value in (4.9, 7.9, 8.1)] == ["design", "minimum", "missed"]
    assert [Measured(value=value).verdict(repeat, "y") for value in (7.4, 11.9, 12.1)] == [
        "design",
        "minimum",
        "missed",
    ]
    values = ((1e-6, 1e-6), (2e-5, 4e-6), (1e-5, 2e-5), (9e-5, 2e-5))
    verdicts = [Measured(value=value, error=error).verdict(ellipticity, "r") for value, error in values]
    assert verdicts == ["design", "minimum", "undecided", "missed"]


def test_the_tables_of_a_joint_calibration_give_its_scatter() -> None:
    bright = measurements().copy()
    bright["mag_err"] = 1e-3
    found = photometric_repeatability(matched_of(bright, stars(), "after"), "r")
    assert found["PA1"].value == pytest.approx(NOISE_MMAG, rel=0.1)
