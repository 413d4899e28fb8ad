"""Crosstalk measured in frames of stars, against the matrix that they were drawn with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fixtures.quadrants import (
    LEVEL_ADU,
    NAMES,
    RATIOS,
    SIDE,
    camera,
    part,
    raw_frame,
    ready,
    star_field,
    with_crosstalk,
    with_noise,
    with_read_noise,
)
from skyloom.calibs.crosstalk import MeasuredCrosstalk, measure_crosstalk
from skyloom.errors import BadFrameError
from skyloom.images import bitmask
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.isr import CrosstalkSettings, IsrSettings, correct_raw, crosstalk_from_data

OTHERS = ~np.eye(4, dtype=bool)


@pytest.fixture(scope="module")
def quadrants(tmp_path_factory: pytest.TempPathFactory) -> Camera:
    return camera(tmp_path_factory.mktemp("quadrants"))


def clean_frames(the_camera: Camera, number: int = 3) -> list[RawExposure]:
    """Without noise, and with stars that leave no faint light in the amplifiers where others are measured."""
    fields = [star_field(np.random.default_rng([3, n]), 200, beta=30.0) for n in range(number)]
    return [raw_frame(the_camera, with_crosstalk(field), n) for n, field in enumerate(fields)]


def noisy_frame(the_camera: Camera, number: int, ratios: np.ndarray = RATIOS) -> RawExposure:
    """With noise, and bright stars of which some are saturated."""
    rng = np.random.default_rng([4, number])
    field = star_field(rng, 80, sky=30.0, fwhm=5.0, faintest=10000.0, slope=0.6, brightest=80000.0)
    return raw_frame(the_camera, with_read_noise(with_crosstalk(with_noise(field, rng), ratios), rng), number)


@pytest.fixture(scope="module")
def clean(quadrants: Camera) -> MeasuredCrosstalk:
    return measure_crosstalk(ready(clean_frames(quadrants)))


@pytest.fixture(scope="module")
def noisy(quadrants: Camera) -> MeasuredCrosstalk:
    return measure_crosstalk(ready([noisy_frame(quadrants, n) for n in range(8)]))


def test_without_noise_the_matrix_is_the_true_one(clean: MeasuredCrosstalk) -> None:
    assert clean.amplifiers == NAMES
    np.testing.assert_allclose(clean.coefficients, RATIOS, atol=1e-6)
    np.testing.assert_array_equal(clean.coefficients.diagonal(), 0.0)
    assert clean.valid[OTHERS & (np.abs(RATIOS) > 6e-5)].all()
    assert not clean.valid.diagonal().any()
    assert (clean.pixels[OTHERS] > 100).all()
    assert clean.frames == [0, 1, 2]


def test_with_noise_it_is_so_within_the_errors(quadrants: Camera, noisy: MeasuredCrosstalk) -> None:
    saturated = correct_raw(noisy_frame(quadrants, 0)).bits & bitmask("SAT")
    assert np.count_nonzero(saturated) > 20
    pull = ((noisy.coefficients - RATIOS) / noisy.errors)[OTHERS]
    assert 0.5 < np.sqrt(np.mean(pull**2)) < 1.5
    assert np.abs(pull).max() < 3.5
    assert np.median(noisy.errors[OTHERS]) < 8e-6
    assert noisy.figures["median_error"] == np.median(noisy.errors[OTHERS])
    assert noisy.figures["valid_fraction"] == 1.0


def test_what_the_correction_leaves(quadrants: Camera, noisy: MeasuredCrosstalk) -> None:
    matrix = crosstalk_from_data(json.loads(json.dumps(noisy.data())))
    peak, light = 50000.0, np.zeros((2 * SIDE, 2 * SIDE))
    for n, name in enumerate(NAMES):
        light[part(name)][20 + 40 * n : 30 + 40 * n, 100:110] = peak
    how = CrosstalkSettings(background="AMPLIFIER", orders=2)  # no overscan here: the levels are no light
    taken: list[np.ndarray] = []
    correct_raw(
        raw_frame(quadrants, with_crosstalk(light), 1),
        crosstalk=matrix,
        settings=IsrSettings(crosstalk=how),
        watch=lambda step, frame: taken.append(frame.image - LEVEL_ADU) if step == "crosstalk" else None,
    )
    victims = light == 0
    assert np.abs(with_crosstalk(light)[victims]).max() / peak == pytest.approx(1e-3)
    left = taken[0][victims & (with_crosstalk(light) != 0)] / peak
    assert np.sqrt(np.mean(left**2)) < 1e-5
    assert np.abs(left).max() < 2.5e-5


def test_without_crosstalk_nothing_is_significant(quadrants: Camera) -> None:
    found = measure_crosstalk(ready([noisy_frame(quadrants, 50 + n, 0.0 * RATIOS) for n in range(3)]))
    assert found.valid.sum() <= 1
    ratios = crosstalk_from_data(found.data()).ratios()
    assert np.count_nonzero(ratios) == found.valid.sum()


def test_a_source_that_is_never_bright_is_not_known(quadrants: Camera) -> None:
    frames = []
    for n in range(3):
        field = star_field(np.random.default_rng([3, n]), 200, beta=30.0)
        field[part("UL")] = 400.0
        frames.append(raw_frame(quadrants, with_crosstalk(field), n))
    found = measure_crosstalk(ready(frames))
    assert np.isinf(found.errors[2]).all()
    assert not found.coefficients[2].any()
    assert not found.valid[2].any()
    np.testing.assert_allclose(found.coefficients[[0, 1, 3]], RATIOS[[0, 1, 3]], atol=1e-6)


def test_a_saturated_amplifier_does_not_spoil_the_others(quadrants: Camera) -> None:
    frames = clean_frames(quadrants)
    for frame in frames:
        frame.image[part("LR")] = 65535.0
    found = measure_crosstalk(ready(frames))
    working = np.ix_([0, 2, 3], [0, 2, 3])
    assert np.isinf(found.errors[1]).all()
    assert not found.valid[:, 1].any()
    np.testing.assert_allclose(found.coefficients[working], RATIOS[working], atol=5e-6)


def test_what_cannot_work_is_refused(quadrants: Camera, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    dim = [raw_frame(quadrants, rng.normal(100.0, 5.0, (2 * SIDE, 2 * SIDE)), n) for n in range(3)]
    with pytest.raises(BadFrameError, match="no two amplifiers have 20 pixels"):
        measure_crosstalk(ready(dim))
    with pytest.raises(BadFrameError, match="2 usable crosstalk frames; 3 are the least"):
        measure_crosstalk(ready(dim[:2]))
    lonely = [raw_frame(camera(tmp_path, ("UR",)), frame.image - LEVEL_ADU, 0) for frame in dim]
    with pytest.raises(BadFrameError, match="has one amplifier: no pixels of two"):
        measure_crosstalk(ready(lonely))
