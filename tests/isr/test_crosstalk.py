from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from bare_amplifiers import bare_amplifier
from lsst.images.cameras import ReadoutCorner

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.isr import AmplifierLayout, IsrSettings, layout_of, read_out
from skyloom.isr.crosstalk import CrosstalkSettings, correct_crosstalk, correct_crosstalk_between
from skyloom.isr.crosstalk_matrix import CrosstalkMatrix
from skyloom.isr.linearity import Spline, linearize
from skyloom.isr.read_order import TrimmedDetector
from skyloom.simulate.mosaic import Mosaic
from skyloom.simulate.readout import expose
from skyloom.simulate.settings import DetectorSettings
from skyloom.simulate.signature import Signature

NAMES = ("LL", "LR", "UL", "UR")
"""The amplifiers are named after their read-out corners, and lie at them."""
ROWS, COLUMNS = 90, 40
CROSSTALK, BAD, SAT = bitmask("CROSSTALK"), bitmask("BAD"), bitmask("SAT")
RATIOS = 1e-4 * np.array([[0, 3, 2.1, -1.2], [0.4, 0, 2.7, 1.5], [2.9, 0, 0, 0.6], [1.1, 2.2, -0.3, 0]])
"""``[source, target]``, far from symmetric."""
SQUARES = 1e-9 * np.roll(RATIOS, 1, axis=1) / 1e-4 * (1 - np.eye(4))
GAINS = np.array([1.5, 1.7, 0.9, 2.2])
PLAIN = CrosstalkSettings(source_level=math.inf)


def layout(name: str, gain: float = 1.0) -> AmplifierLayout:
    y0, x0 = ROWS * name.startswith("U"), COLUMNS * name.endswith("R")
    region = (slice(y0, y0 + ROWS), slice(x0, x0 + COLUMNS))
    return bare_amplifier(name, region, gain)


def detector(image: np.ndarray, gains: np.ndarray | None = None) -> TrimmedDetector:
    gains = np.ones(4) if gains is None else gains
    return TrimmedDetector(
        image=image.astype(np.float32),
        bits=np.zeros(image.shape, np.int32),
        layouts=[layout(name, gain) for name, gain in zip(NAMES, gains, strict=True)],
        corners={name: ReadoutCorner(name) for name in NAMES},
    )


def matrix(**changes: object) -> CrosstalkMatrix:
    return replace(CrosstalkMatrix(sources=NAMES, targets=NAMES, coefficients=RATIOS), **changes)  # type: ignore[arg-type]


def place(amplifier: int, row: int, column: int) -> tuple[int, int]:
    """y, x of the pixel that an amplifier reads at a time: rows and columns count from the corner of the detector."""
    y = row if NAMES[amplifier][0] == "L" else 2 * ROWS - 1 - row
    x = column if NAMES[amplifier][1] == "L" else 2 * COLUMNS - 1 - column
    return y, x


def disturbed(
    image: np.ndarray, ratios: np.ndarray = RATIOS, squares: np.ndarray | None = None, into: np.ndarray | None = None
) -> np.ndarray:
    """An image (another one, where ``into`` is given) with the crosstalk of ``image`` added, pixel by pixel."""
    result = (image if into is None else into).astype(np.float64).copy()
    for row in range(ROWS):
        for column in range(COLUMNS):
            together = [place(amplifier, row, column) for amplifier in range(4)]
            light = np.array([image[at] for at in together], np.float64)
            for target, at in enumerate(together):
                result[at] += ratios[:, target] @ light
                if squares is not None:
                    result[at] += squares[:, target] @ light**2
    return result


def scene() -> np.ndarray:
    """Sky, with one bright source of no symmetry in each amplifier."""
    image = np.random.default_rng(1).normal(200, 10, (2 * ROWS, 2 * COLUMNS))
    for amplifier, (row, column) in enumerate([(10, 5), (20, 30), (70, 12), (50, 25)]):
        y, x = place(amplifier, row, column)
        image[y : y + 4, x] = image[y, x : x + 3] = 55000.0
    return image


TRUTH = scene()


def test_what_is_left_is_a_hundred_thousandth_of_the_sources() -> None:
    frame = detector(disturbed(TRUTH))
    assert np.abs(frame.image - TRUTH).max() > 15
    correct_crosstalk(frame, matrix(), PLAIN)
    # The last digit of a float32 pixel of 55000 counts is 0.004.
    np.testing.assert_allclose(frame.image, TRUTH, atol=0.02)
    residual = np.abs(frame.image - TRUTH)[TRUTH < 1000]
    assert residual.max() < 1e-6 * 55000


@pytest.mark.parametrize(("orders", "left"), [(1, 1e-4), (2, 1.2e-6), (3, 2e-8)])
def test_every_order_leaves_less(orders: int, left: float) -> None:
    """With ratios of up to a hundredth, thirty times as large as before."""
    frame = replace(detector(TRUTH), image=disturbed(TRUTH, 30 * RATIOS))  # float64, to see beyond its rounding
    correct_crosstalk(frame, matrix(coefficients=30 * RATIOS), replace(PLAIN, orders=orders))
    residual = np.abs(frame.image - TRUTH).max() / 55000
    assert left / 50 < residual < left


def test_pixels_are_matched_from_the_corners() -> None:
    """One pixel in each amplifier in turn disturbs one pixel of each other one."""
    for source in range(4):
        image = np.zeros((2 * ROWS, 2 * COLUMNS))
        image[place(source, 7, 11)] = 10000.0
        frame = detector(image)
        correct_crosstalk(frame, matrix(), PLAIN)
        expected = image.copy()
        for target in range(4):
            expected[place(target, 7, 11)] -= 10000.0 * RATIOS[source, target]
        np.testing.assert_allclose(frame.image, expected, atol=1e-6, rtol=1e-7)


def test_other_corners_match_other_pixels() -> None:
    """Amplifiers that are all read at their own lower left see one another unmirrored."""
    image = np.random.default_rng(2).uniform(0, 1000, (2 * ROWS, 2 * COLUMNS))
    frame = replace(detector(image), corners=dict.fromkeys(NAMES, ReadoutCorner.LL))
    correct_crosstalk(frame, matrix(), PLAIN)
    parts = [image[one.trimmed] for one in frame.layouts]
    for target, one in enumerate(frame.layouts):
        signal = sum(RATIOS[source, target] * parts[source] for source in range(4))
        np.testing.assert_allclose(frame.image[one.trimmed], parts[target] - signal, rtol=1e-6)


def test_the_first_axis_is_the_source() -> None:
    observed = disturbed(TRUTH)
    exchanged = CrosstalkMatrix(sources=NAMES, targets=NAMES, coefficients=RATIOS.T, quadratic=SQUARES.T)
    wrong, right = detector(observed), detector(observed)
    correct_crosstalk(wrong, exchanged, PLAIN)
    correct_crosstalk(right, exchanged.transposed(), PLAIN)
    assert np.abs(wrong.image - TRUTH).max() > 10
    np.testing.assert_allclose(right.image, TRUTH, atol=0.02)
    np.testing.assert_array_equal(exchanged.transposed().squared_ratios(), SQUARES)


def test_amplifiers_are_found_by_name() -> None:
    frame = detector(disturbed(TRUTH))
    sources, targets = [2, 0, 3, 1], [3, 1, 0, 2]
    shuffled = CrosstalkMatrix(
        sources=tuple(NAMES[i] for i in sources),
        targets=tuple(NAMES[i] for i in targets),
        coefficients=RATIOS[np.ix_(sources, targets)],
        valid=np.ones((4, 4), bool),
    )
    correct_crosstalk(frame, shuffled, replace(PLAIN, orders=2))
    np.testing.assert_allclose(frame.image, TRUTH, atol=0.01)


def test_coefficients_that_cannot_be_used_count_as_zero() -> None:
    holes = RATIOS.copy()
    holes[0, 1], holes[2, 2], holes[3, 0] = np.nan, np.nan, np.inf
    valid = np.ones((4, 4), bool)
    valid[1, 2] = False
    used = RATIOS.copy()
    used[0, 1] = used[3, 0] = used[1, 2] = 0.0
    frame = detector(disturbed(TRUTH, used))
    correct_crosstalk(frame, matrix(coefficients=holes, valid=valid), PLAIN)
    np.testing.assert_allclose(frame.image, TRUTH, atol=0.02)


def test_unusable_amplifiers_neither_disturb_nor_change() -> None:
    used = RATIOS.copy()
    used[1], used[:, 1] = 0.0, 0.0
    frame = detector(disturbed(TRUTH, used))
    correct_crosstalk(frame, matrix().without({"LR"}), PLAIN)
    np.testing.assert_allclose(frame.image, TRUTH, atol=0.02)
    used[0, 2] = 0.0
    np.testing.assert_array_equal(matrix(valid=RATIOS[0, 2] != RATIOS).without({"LR"}).ratios(), used)


def test_pixels_that_are_not_finite_disturb_no_other() -> None:
    observed = disturbed(TRUTH)
    clean, frame = detector(observed), detector(observed)
    bad = [place(0, 40, 20), place(3, 60, 1)]
    for at, value in zip(bad, (np.nan, np.inf), strict=True):
        frame.image[at] = value
        clean.image[at] = 0.0
    correct_crosstalk(clean, matrix(), PLAIN)
    correct_crosstalk(frame, matrix(), PLAIN)
    differing = np.argwhere(frame.image != clean.image).tolist()
    assert sorted(map(tuple, differing)) == sorted(bad)
    assert not frame.bits.any()


def test_bright_sources_mark_their_victims_only() -> None:
    image = np.full((2 * ROWS, 2 * COLUMNS), 100.0)
    source = place(1, 3, 4)
    image[source] = 45100.0
    image[place(2, 30, 8)] = 45099.0
    frame = detector(image)
    frame.bits[source] = SAT
    result = correct_crosstalk(frame, matrix(), CrosstalkSettings(source_level=45000.0))
    expected = np.zeros(image.shape, np.int32)
    expected[source] = SAT
    for target in (0, 2, 3):
        expected[place(target, 3, 4)] = CROSSTALK
    np.testing.assert_array_equal(frame.bits, expected)
    assert result.marked == 3


def test_a_source_without_a_ratio_marks_nothing() -> None:
    image = np.zeros((2 * ROWS, 2 * COLUMNS))
    image[place(2, 3, 4)] = 50000.0
    frame = detector(image)
    correct_crosstalk(frame, matrix(), CrosstalkSettings())
    assert RATIOS[2, 1] == 0
    assert frame.bits[place(1, 3, 4)] == 0
    assert frame.bits[place(0, 3, 4)] == frame.bits[place(3, 3, 4)] == CROSSTALK


def test_strong_crosstalk_is_marked_whatever_its_source() -> None:
    image = TRUTH + 20000.0  # every pixel has as much crosstalk from the sky
    frame = detector(image)
    result = correct_crosstalk(frame, matrix(), replace(PLAIN, signal_level=5.0))
    signal = disturbed(image) - image
    expected = np.zeros(image.shape, bool)
    for one in frame.layouts:
        part = signal[one.trimmed]
        expected[one.trimmed] = np.abs(part - np.median(part)) >= 5.0
    np.testing.assert_array_equal(frame.bits == CROSSTALK, expected)
    assert 10 < result.marked == expected.sum() < 200
    assert any((signal[one.trimmed] < np.median(signal[one.trimmed]) - 5.0).any() for one in frame.layouts)


@pytest.mark.parametrize("background", ["NONE", "AMPLIFIER", "DETECTOR"])
def test_backgrounds_are_no_source(background: str) -> None:
    image = np.zeros((2 * ROWS, 2 * COLUMNS))
    frame = detector(image)
    levels = (1000.0, 1100.0, 1200.0, 4000.0)
    for one, level in zip(frame.layouts, levels, strict=True):
        frame.image[one.trimmed] = level
    frame.image[60:120] = 50000.0  # a third of each amplifier, known to be bad
    frame.bits[60:120] = BAD
    subtracted = {"NONE": np.zeros(4), "AMPLIFIER": np.array(levels), "DETECTOR": np.full(4, 1150.0)}[background]
    correct_crosstalk(frame, matrix(), replace(PLAIN, background=background))  # type: ignore[arg-type]
    for target, one in enumerate(frame.layouts):
        signal = RATIOS[:, target] @ (np.array(levels) - subtracted)
        corner = frame.image[place(target, 0, 0)]
        assert corner == pytest.approx(levels[target] - signal, abs=1e-3), one.name


def test_quadratic_crosstalk() -> None:
    observed = disturbed(TRUTH, squares=SQUARES)
    linear, both = detector(observed), detector(observed)
    correct_crosstalk(linear, matrix(quadratic=SQUARES), PLAIN)
    correct_crosstalk(both, matrix(quadratic=SQUARES), replace(PLAIN, quadratic=True, orders=2))
    assert np.abs(linear.image - TRUTH).max() > 3
    np.testing.assert_allclose(both.image, TRUTH, atol=0.01)


@pytest.mark.parametrize("quadratic", [False, True])
def test_the_variance_is_that_of_repeated_sources(quadratic: bool) -> None:
    rng = np.random.default_rng(3)
    ratios, squares = 1000 * RATIOS, 30000 * SQUARES
    level, spread = 2000.0, np.array([30.0, 50.0, 70.0, 90.0])
    frame = replace(detector(np.full((2 * ROWS, 2 * COLUMNS), level)), variance=np.empty((2 * ROWS, 2 * COLUMNS)))
    assert frame.variance is not None
    for one, sigma in zip(frame.layouts, spread, strict=True):
        frame.variance[one.trimmed] = sigma**2
    hole = place(0, 2, 2)
    frame.variance[hole] = np.inf
    correct_crosstalk(frame, matrix(coefficients=ratios, quadratic=squares), replace(PLAIN, quadratic=quadratic))
    draws = level + spread[:, None] * rng.standard_normal((4, 200_000))
    for target in range(4):
        corrected = draws[target] - ratios[:, target] @ draws - quadratic * (squares[:, target] @ draws**2)
        assert frame.variance[place(target, 0, 0)] == pytest.approx(corrected.var(), rel=0.02)
    assert np.isfinite(frame.variance).sum() == frame.variance.size - 1


@pytest.mark.parametrize("gains", [GAINS, np.array([1.5, np.nan, 0.9, -1.0])])
def test_ratios_of_electrons_correct_adu_and_the_other_way_round(gains: np.ndarray) -> None:
    used = np.where(np.isfinite(gains) & (gains > 0), gains, 1.2)
    squares = SQUARES / 3
    scale = np.empty_like(TRUTH)
    for one, gain in zip(detector(TRUTH).layouts, used, strict=True):
        scale[one.trimmed] = gain
    settings = replace(PLAIN, quadratic=True, orders=2)
    in_adu = detector(disturbed(TRUTH, squares=squares) / scale, gains)
    correct_crosstalk(in_adu, matrix(unit="ELECTRON", quadratic=squares), settings)
    np.testing.assert_allclose(in_adu.image * scale, TRUTH, atol=0.02)
    in_electrons = detector(disturbed(TRUTH, squares=squares) * scale, gains)
    correct_crosstalk(in_electrons, matrix(quadratic=squares), settings, unit="ELECTRON")
    np.testing.assert_allclose(in_electrons.image / scale, TRUTH, atol=0.02)
    same = detector(disturbed(TRUTH), gains)
    correct_crosstalk(same, matrix(), PLAIN)
    np.testing.assert_allclose(same.image, TRUTH, atol=0.02)


def test_other_detectors_disturb_too() -> None:
    others = {"two": TRUTH[::-1], "three": TRUTH[:, ::-1]}
    itself = RATIOS + 2e-4 * np.eye(4)  # an amplifier of another detector may well disturb that of the same name
    own = np.random.default_rng(4).normal(300, 10, TRUTH.shape)
    observed = disturbed(others["three"], -RATIOS.T, into=disturbed(others["two"], itself, into=own))
    frame, sources = detector(observed), {name: detector(image) for name, image in others.items()}
    matrices = {
        "two": matrix(coefficients=itself),
        "absent": matrix(coefficients=itself),
        "three": matrix(coefficients=-RATIOS.T),
    }
    result = correct_crosstalk_between(frame, sources, matrices, CrosstalkSettings())
    np.testing.assert_allclose(frame.image, own, atol=1e-3)
    assert result.missing == ("absent",)
    assert result.marked > 0
    for name, image in others.items():
        np.testing.assert_array_equal(sources[name].image, image.astype(np.float32))
        assert not sources[name].bits.any()


def test_gains_of_other_detectors_are_their_own() -> None:
    own = np.full(TRUTH.shape, 300.0)
    frame = detector(disturbed(TRUTH * 3.0, into=own * 2.0) / 2.0, np.full(4, 2.0))
    source = detector(TRUTH, np.full(4, 3.0))
    correct_crosstalk_between(frame, {"two": source}, {"two": matrix(unit="ELECTRON")}, PLAIN)
    np.testing.assert_allclose(frame.image, own, atol=1e-3)


def test_matrices_that_do_not_fit() -> None:
    frame = detector(TRUTH)
    with pytest.raises(BadFrameError, match=r"shape \(4, 3\)"):
        matrix(coefficients=RATIOS[:, :3])
    with pytest.raises(BadFrameError, match=r"shape \(1, 4\)"):
        matrix(quadratic=RATIOS[:1])
    with pytest.raises(BadFrameError, match="twice"):
        matrix(sources=("LL", "LL", "UL", "UR"))
    with pytest.raises(BadFrameError, match="themselves"):
        correct_crosstalk(frame, matrix(coefficients=RATIOS + 1e-4 * np.eye(4)), PLAIN)
    with pytest.raises(BadFrameError, match="targets"):
        correct_crosstalk(frame, matrix(sources=("A", "LR", "UL", "UR")), PLAIN)
    with pytest.raises(BadFrameError, match="for amplifiers"):
        correct_crosstalk(
            frame, CrosstalkMatrix(sources=NAMES[:2], targets=NAMES[:2], coefficients=np.eye(2)[::-1]), PLAIN
        )
    np.testing.assert_array_equal(frame.image, TRUTH.astype(np.float32))


def test_detectors_that_do_not_fit() -> None:
    frame = detector(TRUTH)
    with pytest.raises(BadFrameError, match="corners"):
        correct_crosstalk(replace(frame, corners={"LL": ReadoutCorner.LL}), matrix(), PLAIN)
    narrow = replace(frame.layouts[0], trimmed=(slice(0, ROWS), slice(0, COLUMNS - 1)))
    with pytest.raises(BadFrameError, match="different shapes"):
        correct_crosstalk(replace(frame, layouts=[narrow, *frame.layouts[1:]]), matrix(), PLAIN)
    without = detector(TRUTH, np.array([np.nan, 0.0, -1.0, np.inf]))
    with pytest.raises(BadFrameError, match="gains"):
        correct_crosstalk(without, matrix(unit="ELECTRON"), PLAIN)
    np.testing.assert_array_equal(frame.image, TRUTH.astype(np.float32))


def test_a_simulated_detector_comes_back_to_its_light(camera: Camera, make_raw: Callable[..., RawExposure]) -> None:
    """Crosstalk is added to counts that are not linear: it goes first, then the non-linearity."""
    ccd = Mosaic.of(camera).ccds[0]
    flat = Signature(
        bias=np.zeros(ccd.shape), dark=np.zeros(ccd.shape), flat=np.ones(ccd.shape), bad=np.zeros((), bool)
    )
    settings = DetectorSettings(noise=False, quantise=False, nonlinearity=0.02, crosstalk=3e-4)
    light = np.full(ccd.shape, 1000.0)
    light[100:140, 200:210] = light[300:310, 800:900] = 85000.0
    raw = make_raw(expose(light, ccd, flat, settings, np.random.default_rng(1), seconds=0).raw)
    assert raw.detector is not None
    layouts = layout_of(raw.detector, raw.image.shape, raw.file)
    read = read_out(raw, layouts, ccd.shape, IsrSettings(), pedestals_adu=None, metadata={})
    corners = {one.name: one.readout_corner for one in raw.detector.amplifiers}
    frame = TrimmedDetector(image=read.image, bits=read.bits, layouts=layouts, corners=corners)
    two = CrosstalkMatrix(sources=("A", "B"), targets=("A", "B"), coefficients=3e-4 * (1 - np.eye(2)))
    correct_crosstalk(frame, two, PLAIN)
    nodes = np.linspace(0, 60000, 25)
    lost = 0.02 * nodes**2 / 60000
    spline = Spline(nodes=nodes - lost, values=-lost)
    assert linearize(frame.image, layouts, {"A": spline, "B": spline}).linearized == 2
    np.testing.assert_allclose(frame.image, light / ccd.gain_map(), atol=0.02)
