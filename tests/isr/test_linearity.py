from __future__ import annotations

import numpy as np
import pytest
from bare_amplifiers import bare_amplifier
from scipy.interpolate import Akima1DInterpolator

from skyloom.errors import BadFrameError
from skyloom.isr import AmplifierLayout
from skyloom.isr.linearity import (
    Linearity,
    LookupTable,
    Polynomial,
    Proportional,
    Spline,
    Successive,
    linearize,
)
from skyloom.isr.linearity_kinds import linearity_of

COUNTS = np.random.default_rng(1).uniform(-20, 60000, (40, 50)).astype(np.float32)
NODES = np.array([0.0, 8000.0, 20000.0, 35000.0, 60000.0])
EXCESS = np.array([0.0, 12.0, -30.0, 5.0, 90.0])


def layout(name: str, columns: slice) -> AmplifierLayout:
    return bare_amplifier(name, (slice(0, 40), columns), gain=1.5)


LAYOUTS = [layout("A", slice(0, 25)), layout("B", slice(25, 50))]


def applied(correction: Linearity, counts: np.ndarray = COUNTS) -> tuple[np.ndarray, bool, int]:
    pixels = counts.copy()
    usable, out_of_range = correction.apply(pixels)
    return pixels, usable, out_of_range


def test_squared_and_polynomial() -> None:
    x = COUNTS.astype(np.float64)
    np.testing.assert_allclose(applied(linearity_of("Squared", [3e-7, 9, 9, 9]))[0], x * (1 + 3e-7 * x), rtol=1e-6)
    cubic = linearity_of("Polynomial", [2e-7, -1e-12, 3e-17, np.nan])
    np.testing.assert_allclose(applied(cubic)[0], x + 2e-7 * x**2 - 1e-12 * x**3 + 3e-17 * x**4, rtol=1e-6)


@pytest.mark.parametrize("kind", ["Squared", "Polynomial"])
@pytest.mark.parametrize("coefficients", [[0.0, 0.0], [np.nan, np.nan]])
def test_no_coefficient_is_no_correction(kind: str, coefficients: list[float]) -> None:
    pixels, usable, _ = applied(linearity_of(kind, coefficients))
    assert not usable
    np.testing.assert_array_equal(pixels, COUNTS)


@pytest.mark.parametrize("kind", ["None", "Proportional"])
def test_proportional_counts_stay(kind: str) -> None:
    pixels, usable, out_of_range = applied(linearity_of(kind, [1.0, np.nan]))
    assert (usable, out_of_range) == (True, 0)
    np.testing.assert_array_equal(pixels, COUNTS)


@pytest.mark.parametrize("offset", [0.0, 7.0, -3.0, 0.5, -2.75])
def test_look_up_table(offset: float) -> None:
    table = np.random.default_rng(2).normal(0, 5, (2, 30))
    counts = np.arange(-15, 45, 0.25, dtype=np.float32).reshape(12, 20)
    pixels, usable, out_of_range = applied(linearity_of("LookupTable", [1, offset], table), counts)
    truth, outside = [], 0
    for x in counts.ravel().tolist():
        entry = int(x + offset)
        outside += not 0 <= entry < 30
        truth.append(x + table[1, min(max(entry, 0), 29)])
    assert usable
    assert out_of_range == outside > 0
    np.testing.assert_allclose(pixels.ravel(), truth, atol=1e-5)


def test_the_ends_of_a_look_up_table() -> None:
    counts = np.array([[-1.0, -0.999, 0.0, 2.999, 3.0, np.nan, np.inf]], np.float32)
    pixels, _, out_of_range = applied(LookupTable(values=np.array([10.0, 20.0, 30.0])), counts)
    assert out_of_range == 3
    np.testing.assert_allclose(pixels[0], [9.0, 9.001, 10.0, 32.999, 33.0, np.nan, np.inf], rtol=1e-6)


def test_look_up_tables_that_do_not_fit() -> None:
    table = np.zeros((2, 30))
    with pytest.raises(BadFrameError, match="axes exchanged"):
        linearity_of("LookupTable", [0, 0], table.T)
    for row in (-1, 2):
        with pytest.raises(BadFrameError, match=f"row {row}"):
            linearity_of("LookupTable", [row, 0], table)
    for wrong in (None, table[0]):
        with pytest.raises(BadFrameError, match="is needed"):
            linearity_of("LookupTable", [0, 0], wrong)
    with pytest.raises(BadFrameError, match="finite entries"):
        linearity_of("LookupTable", [0, 0], np.full((1, 3), np.nan))


def test_a_spline_is_subtracted() -> None:
    pixels, usable, out_of_range = applied(Spline(nodes=NODES, values=EXCESS))
    x = COUNTS.astype(np.float64)
    curve = Akima1DInterpolator(NODES, EXCESS)
    np.testing.assert_allclose(pixels, x - curve(np.clip(x, 0, 60000)), atol=4e-3)
    assert usable
    assert out_of_range == np.count_nonzero(COUNTS < 0)


def test_the_ends_of_a_spline() -> None:
    counts = np.array([[-5.0, 0.0, 20000.0, 60000.0, 60001.0, 1e9, np.nan]], np.float32)
    pixels, _, out_of_range = applied(Spline(nodes=NODES, values=EXCESS), counts)
    assert out_of_range == 3
    np.testing.assert_allclose(pixels[0], [-5, 0, 20030, 59910, 59911, 1e9 - 90, np.nan])


def test_a_stated_spline_starts_at_zero_counts_without_excess() -> None:
    pixels = applied(linearity_of("Spline", [*NODES[1:], *(EXCESS[1:] + 100.0)]))[0]
    expected = applied(Spline(nodes=NODES, values=np.array([0.0, 0.0, -42.0, -7.0, 78.0])))[0]
    np.testing.assert_array_equal(pixels, expected)


def test_a_spline_that_is_not_a_number_leaves_no_pixel() -> None:
    for place in (1, 7):
        coefficients = np.concatenate([NODES, EXCESS])
        coefficients[place] = np.nan
        pixels, usable, _ = applied(linearity_of("Spline", coefficients))
        assert not usable
        assert np.isnan(pixels).all()


def test_splines_that_do_not_fit() -> None:
    with pytest.raises(BadFrameError, match="nodes"):
        Spline(nodes=NODES[::-1], values=EXCESS)
    with pytest.raises(BadFrameError, match="nodes"):
        Spline(nodes=NODES, values=EXCESS[1:])
    for kind, coefficients in (("Spline", [1.0, 2.0, 3.0]), ("DoubleSpline", [2, 2, 1.0]), ("Cubic", [1.0])):
        with pytest.raises(BadFrameError, match="not known"):
            linearity_of(kind, coefficients)


def test_a_double_spline_takes_its_second_curve_at_the_result_of_the_first() -> None:
    second_nodes, second = np.array([0.0, 30000.0, 70000.0]), np.array([1.0, 50.0, -20.0])
    both = linearity_of("DoubleSpline", [5, 3, *NODES, *EXCESS, *second_nodes, *second])
    counts = np.abs(COUNTS)
    once = counts - Akima1DInterpolator(NODES, EXCESS)(counts)
    twice = once - Akima1DInterpolator(second_nodes, second)(once)
    np.testing.assert_allclose(applied(both, counts)[0], twice, atol=1e-2)
    only_second = linearity_of("DoubleSpline", [0, 3, *second_nodes, *second])
    expected = counts - Akima1DInterpolator(second_nodes, second)(counts)
    np.testing.assert_allclose(applied(only_second, counts)[0], expected, atol=4e-3)
    assert isinstance(both, Successive)


def test_a_loss_that_grows_with_the_counts_is_undone() -> None:
    """2 % lost at 60000 counts, as the square of the light: what is left is the rounding of the pixels."""
    light = np.linspace(0, 60000, 2000).reshape(40, 50)
    counts = (light * (1 - 0.02 * light / 60000)).astype(np.float32)
    nodes = np.linspace(0, 60000, 25)
    spline = Spline(nodes=nodes * (1 - 0.02 * nodes / 60000), values=-0.02 * nodes**2 / 60000)
    np.testing.assert_allclose(applied(spline, counts)[0], light, atol=0.02)
    assert np.abs(counts - light).max() > 1000


def test_each_amplifier_has_its_own_correction() -> None:
    image = COUNTS.copy()
    result = linearize(image, LAYOUTS, {"A": Polynomial(coefficients=np.array([1e-7])), "B": Proportional()})
    x = COUNTS.astype(np.float64)
    np.testing.assert_allclose(image[:, :25], (x + 1e-7 * x**2)[:, :25], rtol=1e-6)
    np.testing.assert_array_equal(image[:, 25:], COUNTS[:, 25:])
    assert (result.amplifiers, result.linearized, result.out_of_range) == (2, 2, 0)


def test_amplifiers_and_pixels_are_counted() -> None:
    spline = Spline(nodes=np.array([0.0, 30000.0]), values=np.array([0.0, 10.0]))
    result = linearize(COUNTS.copy(), LAYOUTS, {"A": spline, "B": Polynomial(coefficients=np.zeros(2))})
    outside = np.count_nonzero((COUNTS[:, :25] < 0) | (COUNTS[:, :25] > 30000))
    assert (result.amplifiers, result.linearized, result.out_of_range) == (2, 1, outside)


@pytest.mark.parametrize("names", ["A", "ABC", "AC"])
def test_the_amplifiers_have_to_be_the_same(names: str) -> None:
    image = COUNTS.copy()
    corrections = dict.fromkeys(names, Polynomial(coefficients=np.array([1e-7])))
    with pytest.raises(BadFrameError, match="amplifiers") as caught:
        linearize(image, LAYOUTS, corrections, file="frame.fits")
    assert caught.value.file == "frame.fits"
    np.testing.assert_array_equal(image, COUNTS)
