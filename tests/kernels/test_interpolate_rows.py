"""Runs of missing pixels along rows: coefficients, ends of rows, long runs, neighbours that are not numbers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from skyloom.kernels.interpolate_rows import interpolate_rows

WIDTH = 40
FALLBACK = 7.0


def coefficients(first: int, last: int, target: int, missing: tuple[int, ...] = (), at_edges: bool = False) -> dict:
    """Good pixel to its part in the value of a pixel of the run."""
    found = {}
    lost = np.zeros((1, WIDTH), bool)
    lost[0, first : last + 1] = True
    lost[0, list(missing)] = True
    for good in np.flatnonzero(~lost[0]):
        image = np.zeros((1, WIDTH), np.float32)
        image[0, good] = 1.0
        interpolate_rows(image, lost, 0.0, at_edges)
        if image[0, target]:
            found[int(good)] = float(image[0, target])
    return found


def check(found: dict, expected: dict[int, float]) -> None:
    assert found.keys() == expected.keys()
    for good, value in expected.items():
        assert found[good] == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (1, (1.4288, -0.4288)),
        (2, (1.0933, -0.0933)),
        (3, (0.6968, 0.3032)),
        (4, (0.5370, 0.4630)),
        (5, (0.5041, 0.4959)),
        (6, (0.5003, 0.4997)),
        (7, (0.5, 0.5)),
        (20, (0.5, 0.5)),
    ],
)
def test_extrapolation_from_one_side(distance: int, expected: tuple[float, float]) -> None:
    check(coefficients(20, WIDTH - 1, 19 + distance), {19: expected[0], 18: expected[1]})
    check(coefficients(0, 20, 21 - distance), {21: expected[0], 22: expected[1]})


def test_single_pixel_between_two_pairs() -> None:
    check(coefficients(20, 20, 20), {18: -0.2737, 19: 0.7737, 21: 0.7737, 22: -0.2737})


@pytest.mark.parametrize("length", [11, 12, 20])
def test_long_runs_are_those_without_end(length: int) -> None:
    last = 9 + length
    check(coefficients(10, last, 10), {8: -0.5177, 9: 1.34, last + 1: 0.0888, last + 2: 0.0888})
    check(coefficients(10, last, last), {8: 0.0888, 9: 0.0888, last + 1: 1.34, last + 2: -0.5177})
    for target in range(16, last - 5):
        check(coefficients(10, last, target), dict.fromkeys((8, 9, last + 1, last + 2), 0.25))


def test_run_of_ten_knows_where_it_ends() -> None:
    """Of the prediction itself, solved by numpy."""
    good, target = np.array([8.0, 9.0, 20.0, 21.0]), 14.0
    rho = np.exp(-((good[:, None] - good) ** 2) / 4)
    system = np.block([[rho, np.ones((4, 1))], [np.ones((1, 4)), np.zeros((1, 1))]])
    solved = np.linalg.solve(system, [*np.exp(-((good - target) ** 2) / 4), 1.0])[:4]
    check(coefficients(10, 19, 14), dict(zip((8, 9, 20, 21), solved, strict=True)))


def test_second_pixel_is_lost_to_a_neighbouring_run_and_beyond_the_image() -> None:
    assert coefficients(20, 22, 21, missing=(18,)).keys() == {19, 23, 24}
    assert coefficients(1, 3, 2).keys() == {0, 4, 5}
    assert coefficients(WIDTH - 4, WIDTH - 2, WIDTH - 3).keys() == {WIDTH - 6, WIDTH - 5, WIDTH - 1}
    check(coefficients(1, WIDTH - 2, 20), {0: 0.5, WIDTH - 1: 0.5})


def fill(values: ArrayLike, missing: ArrayLike, fallback: float = FALLBACK, at_edges: bool = True) -> np.ndarray:
    image, lost = np.array([values], np.float32), np.array([missing], bool)
    interpolate_rows(image, lost, fallback, at_edges)
    return image[0]


@pytest.mark.parametrize("mirrored", [False, True])
def test_run_at_the_end_of_a_row_tapers_to_the_fallback(mirrored: bool) -> None:
    values, missing = np.arange(30.0), np.arange(30) >= 12
    if mirrored:
        values, missing = values[::-1], missing[::-1]
    found = fill(values, missing)
    found = found[::-1] if mirrored else found
    assert (found[18:] == FALLBACK).all()
    # The six are those of a run between the two good pixels and two of the fallback.
    between = np.concatenate([np.arange(18.0), [FALLBACK, FALLBACK], np.zeros(3)])
    np.testing.assert_allclose(found[12:18], fill(between, np.isin(np.arange(23), range(12, 18)))[12:18], rtol=1e-6)


def test_run_of_seven_at_the_end_has_one_pixel_of_the_fallback() -> None:
    found = fill(np.full(20, 1.0), np.arange(20) >= 13)
    assert found[19] == FALLBACK
    assert 1.0 < found[18] < FALLBACK


@pytest.mark.parametrize(("length", "at_edges"), [(6, True), (25, False)])
def test_runs_that_are_extrapolated(length: int, at_edges: bool) -> None:
    found = fill(np.full(30, 3.0), np.arange(30) >= 30 - length, at_edges=at_edges)
    np.testing.assert_allclose(found, 3.0, rtol=1e-6)


def test_row_without_a_good_pixel_becomes_the_fallback() -> None:
    assert fill(np.zeros(9), np.ones(9)).tolist() == [FALLBACK] * 9
    image = np.full((1, 9), np.nan, np.float32)
    assert not interpolate_rows(image, np.ones((1, 9), bool), np.nan, True).any()
    assert np.isnan(image).all()


def test_neighbours_that_are_not_numbers() -> None:
    """From one side, then from both nearest ones, then from none."""
    nan = np.nan
    missing = np.array([0, 0, 1, 0, 0], bool)
    assert fill([5.0, nan, 0.0, 4.0, 9.0], missing)[2] == 4.0
    assert fill([5.0, 2.0, 0.0, 4.0, nan], missing)[2] == 3.0
    assert fill([5.0, nan, 0.0, nan, 8.0], missing)[2] == 6.5
    found = fill([nan, nan, 6.0, nan, nan], missing)
    assert found[2] == 6.0


def test_only_missing_pixels_change_and_rows_are_on_their_own() -> None:
    rng = np.random.default_rng(5)
    image = rng.normal(0.0, 1.0, (50, WIDTH)).astype(np.float32)
    missing = rng.random(image.shape) < 0.4
    before = image.copy()
    filled = interpolate_rows(image, missing, 0.0, True)
    np.testing.assert_array_equal(image[~missing], before[~missing])
    np.testing.assert_array_equal(filled, missing)
    for row in range(0, 50, 7):
        one = before[row : row + 1].copy()
        interpolate_rows(one, missing[row : row + 1], 0.0, True)
        np.testing.assert_array_equal(one[0], image[row])
