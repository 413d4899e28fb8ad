"""Which visit is the reference: each term of the cost, ties, what is not known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from backmatch.tract_visits import BIN, Surface, Visit, flat, grid, patch_warp, sky_map, warps_of
from skyloom.backmatch import (
    BinStatistic,
    ReferenceWeights,
    TractModelSettings,
    VisitQuality,
    by_visit,
    choose_reference,
    judge_visit,
    judge_visits,
    measure_visits,
)
from skyloom.errors import BadFrameError

MODEL = TractModelSettings(x_bin=BIN, y_bin=BIN)
GOOD = VisitQuality(n_superpixels=200, chi2_dof=1.0, variance=4.0)
ONLY = {
    "chi2": ReferenceWeights(chi2=1.0, variance=0.0, coverage=0.0),
    "variance": ReferenceWeights(chi2=0.0, variance=1.0, coverage=0.0),
    "coverage": ReferenceWeights(chi2=0.0, variance=0.0, coverage=1.0),
}


def judged(visit: Visit) -> VisitQuality:
    tract = sky_map().tract(0)
    visits = by_visit(patch_warp(*one) for one in warps_of([visit], tract))
    return judge_visit(measure_visits(visits, grid(tract), MODEL, BinStatistic())[visit.number], 0.1)


def wavy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sin(x / 100.0) * np.cos(y / 120.0)


@pytest.mark.parametrize("sky", [flat(40.0), lambda x, y: 30.0 + 0.01 * x - 0.02 * y])
def test_a_plane_has_the_chi2_of_noise(sky: Surface) -> None:
    quality = judged(Visit(number=1, sky=sky, sigma=2.0, covered=lambda x, y: (x > 200.0) | (y < 300.0)))
    assert quality.chi2_dof == pytest.approx(1.0, abs=0.4)
    assert quality.variance == pytest.approx(4.0)
    assert 200 < quality.n_superpixels < 256


def test_coverage_counts_what_is_measured_and_not_what_could_be_filled() -> None:
    assert judged(Visit(number=1, sky=flat(1.0))).n_superpixels == 256
    half = judged(Visit(number=1, sky=flat(1.0), covered=lambda x, y: x < 512.0)).n_superpixels
    assert 128 <= half <= 144
    assert judged(Visit(number=1, sky=flat(1.0), patches=(0,))).n_superpixels < 100


def test_curved_sky_is_told_from_a_plane() -> None:
    assert judged(Visit(number=1, sky=wavy)).chi2_dof > 50.0


@pytest.mark.parametrize(
    "worse", [{"chi2_dof": 3.0}, {"variance": 5.0}, {"n_superpixels": 150}], ids=["chi2", "variance", "coverage"]
)
def test_each_term_alone_decides(worse: dict[str, float], request: pytest.FixtureRequest) -> None:
    bad = dataclasses.replace(GOOD, **worse)
    assert choose_reference({1: bad, 2: GOOD}, ReferenceWeights())[0] == 2
    term = request.node.callspec.id
    for name, weights in ONLY.items():
        assert choose_reference({1: bad, 2: GOOD}, weights)[0] == (2 if name == term else 1)


def test_costs_are_those_of_the_formula() -> None:
    other = VisitQuality(n_superpixels=100, chi2_dof=4.0, variance=3.0)
    chosen, judged = choose_reference({7: other, 3: GOOD}, ReferenceWeights())
    assert judged[3].cost == pytest.approx(0.3 * 0.25 + 0.3 * 1.0 + 0.4 * 0.5)
    assert judged[7].cost == pytest.approx(0.3 * 1.0 + 0.3 * 0.75 + 0.4 * 1.0)
    assert chosen == 3


def test_equal_visits_tie_and_the_first_is_taken() -> None:
    assert choose_reference({9: GOOD, 4: GOOD, 6: GOOD}, ReferenceWeights())[0] == 4


def test_what_is_not_known_is_the_worst_and_a_visit_without_pixels_is_out() -> None:
    unknown = dataclasses.replace(GOOD, chi2_dof=np.nan, n_superpixels=3)
    empty = VisitQuality(n_superpixels=0, chi2_dof=np.nan, variance=np.nan)
    chosen, judged = choose_reference({1: empty, 2: unknown, 3: GOOD}, ReferenceWeights())
    assert chosen == 3
    assert np.isnan(judged[1].cost)
    assert choose_reference({1: empty, 2: unknown}, ReferenceWeights())[0] == 2
    with pytest.raises(BadFrameError, match="no warp has a superpixel"):
        choose_reference({1: empty}, ReferenceWeights())


def galaxies(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A few, wider than superpixels: what all visits show."""
    centres = ((200.0, 300.0), (700.0, 650.0), (450.0, 900.0))
    return sum(3.0 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 2e4) for cx, cy in centres)  # type: ignore[return-value]


WORSE = {
    "noise": {"sigma": 3.0},
    "crooked sky": {"sky": lambda x, y: 30.0 + wavy(x, y)},
    "coverage": {"covered": lambda x, y: x + y < 900.0},
}


@pytest.mark.parametrize("how", WORSE)
def test_visit_that_is_worse_in_one_way_loses_to_two_good_ones(how: str) -> None:
    tract = sky_map().tract(0)
    good = Visit(number=1, sky=lambda x, y: 30.0 + 0.01 * x, scene=galaxies)
    visits = [dataclasses.replace(good, **WORSE[how]), *(dataclasses.replace(good, number=n) for n in (2, 3))]  # type: ignore[arg-type]
    levels = measure_visits(
        by_visit(patch_warp(*one) for one in warps_of(visits, tract)), grid(tract), MODEL, BinStatistic()
    )
    judged = judge_visits(levels, 0.1)
    assert choose_reference(judged, ReferenceWeights())[0] in (2, 3)
    # Galaxies that all show are not taken for crooked skies.
    assert judge_visit(levels[2], 0.1).chi2_dof > 100.0
    others = [one.chi2_dof for visit, one in judged.items() if visit != 1]
    if how == "crooked sky":
        assert judged[1].chi2_dof > 3.0 * max(others) > 10.0
    else:
        assert max(one.chi2_dof for one in judged.values()) < 1.5


def test_two_visits_do_not_tell_which_of_them_is_crooked() -> None:
    tract = sky_map().tract(0)
    visits = [Visit(number=1, sky=flat(20.0), sigma=2.0), Visit(number=2, sky=wavy)]
    levels = measure_visits(
        by_visit(patch_warp(*one) for one in warps_of(visits, tract)), grid(tract), MODEL, BinStatistic()
    )
    judged = judge_visits(levels, 0.1)
    assert judged[1].chi2_dof == pytest.approx(judged[2].chi2_dof, rel=1e-3)
    assert judged[1].chi2_dof > 10.0
