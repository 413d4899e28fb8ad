from __future__ import annotations

import numpy as np
import pytest
from bare_amplifiers import bare_amplifier

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.isr import AmplifierLayout
from skyloom.isr.amplifier_offsets import AmplifierOffsetSettings, correct_offsets, measure_offsets

SIZE = (100, 90)
"""Rows and columns of an amplifier."""
SETTINGS = AmplifierOffsetSettings(depth=30)
GRIDS = [(1, 2), (2, 1), (2, 2), (2, 4), (4, 2)]
"""Amplifiers along columns and rows."""


def layout(name: str, y: slice, x: slice) -> AmplifierLayout:
    return bare_amplifier(name, (y, x))


def layouts(grid: tuple[int, int]) -> list[AmplifierLayout]:
    return [
        layout(f"A{j}{i}", slice(j * SIZE[0], (j + 1) * SIZE[0]), slice(i * SIZE[1], (i + 1) * SIZE[1]))
        for j in range(grid[0])
        for i in range(grid[1])
    ]


def pedestals(grid: tuple[int, int], seed: int = 1) -> np.ndarray:
    """Random levels, at most 2, whose sum is zero."""
    levels = np.random.default_rng(seed).uniform(-1, 1, grid[0] * grid[1])
    return np.asarray(levels - levels.mean())


def frame(grid: tuple[int, int], levels: np.ndarray, *, slope: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """A background of 1000 with a slope a pixel in y and x, and the levels of the amplifiers (float64)."""
    y, x = np.mgrid[: grid[0] * SIZE[0], : grid[1] * SIZE[1]]
    image = 1000 + slope[0] * y + slope[1] * x
    for each, level in zip(layouts(grid), levels, strict=True):
        image[each.trimmed] += level
    return np.asarray(image)


def no_bits(image: np.ndarray) -> np.ndarray:
    return np.zeros(image.shape, np.int32)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.02, -0.05)])
@pytest.mark.parametrize("weight_by_length", [True, False])
def test_pedestals_are_recovered(grid: tuple[int, int], slope: tuple[float, float], weight_by_length: bool) -> None:
    truth = pedestals(grid)
    image = frame(grid, truth, slope=slope)
    settings = AmplifierOffsetSettings(depth=30, weight_by_length=weight_by_length)
    offsets = correct_offsets(image, no_bits(image), layouts(grid), settings)
    np.testing.assert_allclose(list(offsets.pedestals.values()), truth, atol=1e-6)
    np.testing.assert_allclose(image, frame(grid, np.zeros(len(truth)), slope=slope), atol=1e-6)
    down, across = grid
    assert len(offsets.steps) == down * (across - 1) + across * (down - 1)


def test_the_step_is_the_first_less_the_second() -> None:
    image = frame((1, 2), np.array([0.75, -0.75]))
    offsets = measure_offsets(image, no_bits(image), layouts((1, 2)), SETTINGS)
    assert offsets.steps == {("A00", "A01"): pytest.approx(1.5)}
    assert offsets.pedestals == {"A00": pytest.approx(0.75), "A01": pytest.approx(-0.75)}


def test_single_precision() -> None:
    truth = pedestals((2, 4))
    image = (frame((2, 4), truth) - 1000).astype(np.float32)
    offsets = measure_offsets(image, no_bits(image), layouts((2, 4)), SETTINGS)
    np.testing.assert_allclose(list(offsets.pedestals.values()), truth, atol=1e-6)


@pytest.mark.parametrize("fit_slope", [True, False])
def test_a_background_is_taken_off(fit_slope: bool) -> None:
    truth = pedestals((2, 2))
    flat = frame((2, 2), truth)
    y, x = np.mgrid[: flat.shape[0], : flat.shape[1]]
    background = 3e-3 * (x - 60) ** 2 + 2e-3 * (y - 50) ** 2
    settings = AmplifierOffsetSettings(depth=30, fit_slope=fit_slope)
    offsets = measure_offsets(flat + background, no_bits(flat), layouts((2, 2)), settings, background=background)
    np.testing.assert_allclose(list(offsets.pedestals.values()), truth, atol=1e-6)


def test_a_background_that_has_smoothed_the_step() -> None:
    image = frame((1, 2), np.array([1.0, -1.0]))
    smoothed = np.interp(np.arange(180), [45, 135], [1.0, -1.0])
    background = np.broadcast_to(smoothed, image.shape)
    steps = {
        fit_slope: measure_offsets(
            image,
            no_bits(image),
            layouts((1, 2)),
            AmplifierOffsetSettings(depth=30, fit_slope=fit_slope),
            background=background,
        ).steps["A00", "A01"]
        for fit_slope in (True, False)
    }
    assert steps[True] == pytest.approx(2.0, abs=1e-6)
    assert steps[False] == pytest.approx(2.0 - 40 / 45, abs=1e-6)  # between the middles of the strips


def test_masked_edges_and_sources() -> None:
    grid, rng = (2, 4), np.random.default_rng(4)
    truth = pedestals(grid)
    image = frame(grid, truth, slope=(0.02, -0.05))
    bits = no_bits(image)
    for plane in ("DETECTED", "BAD", "SAT", "EDGE"):
        y, x = (rng.integers(0, length - 10, 60) for length in image.shape)
        for row, column in zip(y, x, strict=True):
            bits[row : row + 10, column : column + 10] |= bitmask(plane)
    bits[:, 170:190] |= bitmask("EDGE")  # reaches into the strips at a border
    image[bits != 0] += 1e4
    image[5:90, 100] = np.nan
    offsets = measure_offsets(image, bits, layouts(grid), SETTINGS)
    np.testing.assert_allclose(list(offsets.pedestals.values()), truth, atol=1e-6)


def test_a_masked_border_is_bridged_by_the_others() -> None:
    truth = pedestals((2, 2))
    image = frame((2, 2), truth)
    bits = no_bits(image)
    bits[:55, 50:130] = bitmask("BAD")  # more than half of the border between A00 and A01
    offsets = measure_offsets(image, bits, layouts((2, 2)), SETTINGS)
    assert ("A00", "A01") not in offsets.steps
    assert len(offsets.steps) == 3
    np.testing.assert_allclose(list(offsets.pedestals.values()), truth, atol=1e-6)


def test_a_step_that_is_too_large_does_not_count() -> None:
    truth = np.array([6.0, 0.0, 0.0, 0.0, 0.5, -0.5])
    image = frame((3, 2), truth)
    offsets = measure_offsets(image, no_bits(image), layouts((3, 2)), SETTINGS)
    assert set(offsets.steps) == {("A01", "A11"), ("A10", "A11"), ("A10", "A20"), ("A11", "A21"), ("A20", "A21")}
    np.testing.assert_allclose(list(offsets.pedestals.values()), [0.0, 0.0, 0.0, 0.0, 0.5, -0.5], atol=1e-6)


def test_all_masked_is_zero() -> None:
    image = frame((2, 2), pedestals((2, 2)))
    before = image.copy()
    offsets = correct_offsets(image, np.full(image.shape, bitmask("NO_DATA"), np.int32), layouts((2, 2)), SETTINGS)
    assert list(offsets.pedestals.values()) == [0.0] * 4
    assert offsets.steps == {}
    np.testing.assert_array_equal(image, before)


def test_one_amplifier_has_no_border() -> None:
    image = frame((1, 1), np.array([3.0]))
    assert measure_offsets(image, no_bits(image), layouts((1, 1)), SETTINGS).pedestals == {"A00": 0.0}


def test_noise_and_undetected_sources() -> None:
    errors = {}
    for fit_slope in (True, False):
        settings = AmplifierOffsetSettings(depth=30, fit_slope=fit_slope)
        found = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            image = frame((1, 2), np.array([0.5, -0.5])) + rng.normal(0, 3, (100, 180))
            image[rng.integers(0, 100, 100), rng.integers(0, 180, 100)] += 50
            found.append(measure_offsets(image, no_bits(image), layouts((1, 2)), settings).pedestals["A00"] - 0.5)
        assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(20)
        errors[fit_slope] = np.std(found)
    # The mean of 3000 pixels on either side would be good to 0.04.
    assert errors[False] < 0.08
    assert errors[True] < 0.2


def test_unequal_amplifiers_are_refused() -> None:
    unequal = [layout("A", slice(0, 100), slice(0, 90)), layout("B", slice(0, 100), slice(90, 200))]
    image = np.zeros((100, 200))
    with pytest.raises(BadFrameError, match="100 x 90, 100 x 110 pixels") as error:
        measure_offsets(image, no_bits(image), unequal, SETTINGS, file="frame.fits")
    assert error.value.file == "frame.fits"


def test_strips_have_to_fit() -> None:
    image = frame((1, 2), np.zeros(2))
    with pytest.raises(BadFrameError, match="strips of 80 pixels"):
        measure_offsets(image, no_bits(image), layouts((1, 2)), AmplifierOffsetSettings(depth=80))
