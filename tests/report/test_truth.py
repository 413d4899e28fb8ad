"""The comparison with truth finds the errors that were put in."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from skyloom.report.truth import compare_frame, compare_survey, isolated_stars, robust_rms


def sky(n: int = 200) -> Table:
    rng = np.random.default_rng(3)
    flux = 10.0 ** rng.uniform(4.0, 6.0, n)
    return Table(
        {
            "id": np.arange(1, n + 1),
            "ra": 150.0 + 0.1 * rng.random(n),
            "dec": 2.0 + 0.1 * rng.random(n),
            "flux_r": flux,
            "is_star": np.ones(n, dtype=bool),
        }
    )


def measured(truth: Table, *, east_mas: float, factor: float, seed: int) -> Table:
    rng = np.random.default_rng(seed)
    table = Table(
        {
            "ra": truth["ra"] + (east_mas + 3.0 * rng.standard_normal(len(truth))) / 3.6e6 / np.cos(np.radians(2.05)),
            "dec": truth["dec"] + 3.0 * rng.standard_normal(len(truth)) / 3.6e6,
            "psf_flux_njy": truth["flux_r"] * factor * (1.0 + 0.005 * rng.standard_normal(len(truth))),
            "psf_flux_njy_err": truth["flux_r"] * 0.002,
            "x": np.zeros(len(truth)),
            "y": np.zeros(len(truth)),
        }
    )
    for name in ("edge", "saturated", "interpolated_center", "bad", "centroid"):
        table[f"flag_{name}"] = np.zeros(len(truth), dtype=bool)
    return table


def test_a_shift_and_a_wrong_zero_point_are_found() -> None:
    truth = isolated_stars(sky(), "r")
    frame, matched = compare_frame(measured(truth, east_mas=20.0, factor=1.01, seed=1), truth, "r", visit=7, detector=2)
    assert frame.n_stars == len(matched) == len(truth)
    assert frame.offset_mas == pytest.approx(20.0, abs=1.0)
    assert frame.zero_point_mmag == pytest.approx(-2500 * np.log10(1.01), abs=1.0)
    assert frame.scatter_mmag == pytest.approx(5.0 * 1.086, rel=0.15)


def test_repeatability_is_the_scatter_of_a_star() -> None:
    truth = sky()
    frames = [(visit, 0, measured(truth, east_mas=0.0, factor=1.0, seed=visit)) for visit in range(12)]
    survey = compare_survey(frames, truth, "r")
    assert survey.repeatability_mmag == pytest.approx(5.0 * 1.086, rel=0.08)
    assert survey.astrometry_mas == pytest.approx(3.0, rel=0.08)
    assert survey.worst_zero_point_mmag >= survey.zero_point_mmag


def test_neighbours_are_left_out() -> None:
    crowded = sky(4)
    crowded["ra"][1], crowded["dec"][1] = crowded["ra"][0] + 1.0 / 3600, crowded["dec"][0]
    crowded["flux_r"][:2] = 1e5
    assert set(isolated_stars(crowded, "r")["id"]) == {3, 4}


def test_no_star_is_an_error() -> None:
    with pytest.raises(ValueError, match="bright"):
        compare_survey([(1, 0, measured(sky(5), east_mas=0.0, factor=1.0, seed=1)[:0])], sky(), "r")


def test_robust_rms_counts_the_offset() -> None:
    values = 3.0 + np.random.default_rng(0).standard_normal(100_000)
    assert robust_rms(values) == pytest.approx(np.sqrt(10.0), rel=0.01)
