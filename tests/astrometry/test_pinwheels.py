"""The pessimistic matcher on a thousand stars of a square degree, in arcsec."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.pinwheel_match import find_pinwheels, pinwheel_table

SIDE = 3600.0


@pytest.fixture(scope="module")
def stars():
    return np.random.default_rng(3).uniform(-SIDE / 2.0, SIDE / 2.0, (2, 1000))


@pytest.fixture(scope="module")
def table(stars):
    return pinwheel_table(*stars, max_length=SIDE, cell=10.0)


def turned(x, y, degrees, shift=0.0):
    angle = np.radians(degrees)
    return np.cos(angle) * x - np.sin(angle) * y + shift, np.sin(angle) * x + np.cos(angle) * y


def match(x, y, table, **changes):
    wanted = {
        "max_shift": 60.0,
        "max_rotation": np.radians(5.0),
        "max_distance": 5.0,
        "max_stretch": 0.02,
        "min_matches": 30,
        "n_match": 6,
        "n_check": 9,
        "n_agree": 2,
    }
    return find_pinwheels(x, y, table, **wanted | changes)


@pytest.mark.parametrize(
    ("rotation", "shift", "changes"),
    [
        (0.0, 0.0, {"n_agree": 1}),
        (0.0, 0.0, {"n_agree": 2}),
        (0.0, 0.0, {"n_agree": 3}),
        (0.0, 0.0, {"skipped": (0,)}),
        (0.0, 45.0, {}),
        (2.5, 0.0, {"max_shift": 180.0}),
        (-2.5, 45.0, {"max_shift": 240.0}),
    ],
)
def test_all_thousand_are_matched(stars, table, rotation, shift, changes):
    found = match(*turned(*stars, rotation, shift), table, **changes)
    np.testing.assert_array_equal(found.source, np.arange(1000))
    np.testing.assert_array_equal(found.reference, found.source)
    assert found.distance.max() < 0.01
    expected = [*turned(1.0, 0.0, -rotation), *turned(0.0, 1.0, -rotation)]
    np.testing.assert_allclose(found.matrix[:, :2].T.ravel(), expected, atol=1e-6)
    assert found.pattern >= len(changes.get("skipped", ()))


def test_half_of_either_list_may_be_missing(stars, table):
    few = match(*stars[:, :500], table)
    np.testing.assert_array_equal(few.reference, np.arange(500))
    few = match(*stars, pinwheel_table(*stars[:, :500], max_length=SIDE, cell=10.0))
    np.testing.assert_array_equal(few.source, np.arange(500))
    assert few.distance.max() < 0.01


def test_a_linear_distortion_is_followed(stars, table):
    x, y = stars[0] * (1.0 + 25.0 / SIDE), stars[1]
    found = match(x, y, table)
    assert len(found.source) > 990
    assert np.all(found.source == found.reference)
    assert found.distance.max() < 10.0
    assert found.matrix[0, 0] == pytest.approx(1.0 / (1.0 + 25.0 / SIDE), abs=1e-5)


def test_sources_given_twice_are_matched_once(stars, table):
    x, y = np.concatenate([stars, stars[:, :100]], axis=1)
    found = match(x, y, table)
    assert len(found.reference) == len(set(found.reference)) >= 900


def test_what_is_not_the_same_sky_is_not_matched(stars, table):
    other = np.random.default_rng(4).uniform(-SIDE / 2.0, SIDE / 2.0, (2, 1000))
    assert match(*other, table).pattern == -1
    assert len(match(-stars[0], stars[1], table).source) == 0  # mirrored
    assert len(match(*turned(*stars, 2.5), table, max_shift=180.0, max_rotation=0.02).source) == 0
    assert len(match(*turned(*stars, 0.0, 45.0), table, max_shift=30.0).source) == 0


def test_bad_input(stars, table):
    assert match(*stars[:, :5], table).pattern == -1
    with pytest.raises(ValueError, match="n_check"):
        match(*stars, table, n_check=4)
    with pytest.raises(ValueError, match="0 references"):
        pinwheel_table(np.zeros(0), np.zeros(0), max_length=1.0, cell=1.0)
    with pytest.raises(ValueError, match="65537 references"):
        pinwheel_table(np.zeros(65537), np.zeros(65537), max_length=1.0, cell=1.0)
