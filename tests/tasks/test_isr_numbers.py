"""The signature removal on mock frames whose every number follows from how they were made."""

from __future__ import annotations

import math

import astropy.units as u
import numpy as np
import pytest
from mock_frames import (
    DETECTOR,
    FLAT,
    NAMES,
    REGIONS,
    SHAPE,
    Mock,
    amplifier,
    boxes,
    camera,
    camera_of,
    configured,
    frame,
    marked,
    master,
    read_out,
    untrimmed,
)
from scipy import ndimage

from skyloom.images import Exposure
from skyloom.instruments import Camera
from skyloom.isr import CrosstalkMatrix, InterpolationSettings, with_nominal
from skyloom.isr.interpolation import interpolate_unusable
from skyloom.kernels.interpolate import kriging_weights

MOCK = Mock()
PER_ROW = {"overscan.fitType": "MEDIAN_PER_ROW"}
EXACT = {**PER_ROW, "flatScalingType": "USER"}
FITS = [
    "MEAN", "MEANCLIP", "MEDIAN", "MEDIAN_PER_ROW", "MEAN_PER_ROW", "POLY", "CHEB", "LEG", "NATURAL_SPLINE",
    "CUBIC_SPLINE", "AKIMA_SPLINE",
]  # fmt: skip
CURVES = FITS[5:]


def strip(rows: int, *, low: bool = False) -> Camera:
    """One amplifier of 10 columns, with 10 columns of overscan at its high side, or at its low one."""
    data, overscan = ([10, 20], [0, 10]) if low else ([0, 10], [10, 20])
    y = [0, rows]
    raw = {"box": {"x": [0, 20], "y": y}, "data": {"x": data, "y": y}, "serial_overscan": {"x": overscan, "y": y}}
    return camera_of((rows, 10), [{"name": "A", "box": {"x": [0, 10], "y": y}, "raw": raw}])


def overscan_corrected(image: np.ndarray, method: str, *, low: bool = False, order: int = 5) -> Exposure:
    """The untrimmed image of a `strip` after its overscan correction."""
    exposure = untrimmed(frame(strip(len(image), low=low), image))
    task = configured(**{"overscan.fitType": method, "overscan.order": order})
    assert task.overscanCorrection(exposure, amplifier(exposure, "A")) is not None
    return exposure


def test_the_mock() -> None:
    raw = MOCK.raw()
    assert raw.detector is not None
    assert (raw.detector.id, raw.detector.bbox.shape) == (DETECTOR, (204, 200))
    assert [one.bbox.shape for one in raw.detector.amplifiers] == 8 * [(51, 100)]
    assert raw.image[25, 50] == pytest.approx(8000 + FLAT[25, 50] * 46000 + 25 + MOCK.bias_structure()[25, 50])


def test_bias_dark_and_flat_go_away() -> None:
    exposure = configured(**EXACT).run(MOCK.raw(), **MOCK.masters()).exposure
    np.testing.assert_allclose(exposure.image.array, MOCK.light(), rtol=1e-6, atol=5e-3)
    assert not exposure.bits.any()
    truth = (FLAT * MOCK.light() + 25 + 5.0**2) / FLAT**2
    np.testing.assert_allclose(exposure.variance.array, truth, rtol=1e-5)


@pytest.mark.parametrize("gain", [1.0, 1.7])
def test_what_is_left_is_noise(gain: float) -> None:
    mock = Mock(gain=gain, seed=20000913)
    task = configured(**EXACT, doEmpiricalReadNoise=True)
    exposure = task.run(mock.raw(), **mock.masters()).exposure
    pull = (exposure.image.array - mock.light()) / np.sqrt(exposure.variance.array)
    assert not marked(exposure, "BAD", "SAT").any()
    # 40800 pixels, and in each row the noise of the median of 20.
    assert np.median(pull) == pytest.approx(0.0, abs=0.02)
    assert pull.std() == pytest.approx(1.0, abs=0.02)


def test_variance_of_a_raw_frame() -> None:
    exposure = untrimmed(MOCK.raw())
    assert exposure.detector is not None
    assert np.median(exposure.variance.array) == 1.0
    for one in exposure.detector.amplifiers:
        assert one.assembled_raw_geometry is not None
        configured().updateVariance(exposure[one.assembled_raw_geometry.bbox], one)
    assert np.median(exposure.variance.array) == pytest.approx(np.median(MOCK.counts()) + 25.0, abs=0.01)


def test_read_noise_of_the_overscan() -> None:
    mock = Mock(gain=1.7, seed=1)
    exposure = untrimmed(mock.raw())
    assert exposure.detector is not None
    task = configured(**{"overscan.fitType": "POLY", "overscan.order": 1}, doEmpiricalReadNoise=True)
    noises = []
    for one in exposure.detector.amplifiers:
        fit = task.overscanCorrection(exposure, one)
        assert fit is not None
        assert one.assembled_raw_geometry is not None
        part = exposure[one.assembled_raw_geometry.data_bbox]
        task.updateVariance(part, one, fit.overscanImage)
        electrons = 1.7 * np.sqrt(part.variance.array - part.image.array / 1.7)
        assert np.ptp(electrons) < 1e-2
        noises.append(np.median(electrons))
    # 1020 pixels each: 2.2 %; rounding adds a twelfth of a count squared.
    assert np.mean(noises) == pytest.approx(math.sqrt(5.0**2 + 1.7**2 / 12), rel=0.02)
    assert np.std(noises) < 0.04 * 5.0


def test_dark_and_flat_by_themselves() -> None:
    exposure = Exposure.from_arrays(
        FLAT * MOCK.light() + 25.0,
        variance=np.ones(SHAPE),
        unit=u.electron,
        obs_info=MOCK.raw().obs_info,
    )
    before = np.median(exposure.image.array)
    task = configured(**EXACT)
    task.darkCorrection(exposure, MOCK.masters()["dark"])
    assert before - np.median(exposure.image.array) == pytest.approx(5.0 * 5.0, abs=0.01)
    assert exposure.image.array.std() == pytest.approx((FLAT * MOCK.light()).std(), abs=0.01)
    task.flatCorrection(exposure, MOCK.masters()["flat"])
    assert exposure.image.array.std() == pytest.approx(MOCK.light().std(), abs=0.01)


@pytest.mark.parametrize("level", [15000.0, 20000.0, 40000.0, 55000.0])
def test_saturated_pixels_are_those_of_the_star(level: float) -> None:
    mock = Mock(overscan_ramp=0.0, sky=0.0, dark=0.0)
    raw = mock.raw(read_out(mock.light(), mock.levels()))
    exposure = configured(saturation=level, growSaturationFootprintSize=0, doWidenSaturationTrails=False).run(raw)
    radius = 2.0 * math.sqrt(2 * math.log(45000.0 / (level - 8000.0))) if level < 53000 else 0.0
    y, x = np.mgrid[-20:21, -20:21]
    expected = np.count_nonzero(np.hypot(x, y) < radius)
    assert np.count_nonzero(marked(exposure.exposure, "SAT")) == expected
    assert exposure.exposure.metadata["LSST ISR MASK SAT C00"] == expected
    assert (expected > 0) == (level < 53000)


def test_saturated_pixels_grow_to_their_four_neighbours() -> None:
    exposure = Exposure.from_arrays(np.ones(SHAPE), variance=np.ones(SHAPE), unit=u.electron)
    for y, x in ((50, 60), (0, 0), (203, 199)):
        exposure.bits[y, x] = 2
    configured().saturationInterpolation(exposure)
    expected = np.zeros(SHAPE, bool)
    diamond = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    for y, x in ((50 + dy, 60 + dx) for dy, dx in diamond):
        expected[y, x] = True
    expected[[0, 0, 1, 203, 203, 202], [0, 1, 0, 199, 198, 199]] = True
    np.testing.assert_array_equal(marked(exposure, "SAT"), expected)
    np.testing.assert_array_equal(marked(exposure, "INTRP"), expected)


def test_an_image_far_below_its_overscan_is_bad() -> None:
    raw = MOCK.raw(read_out(np.full(SHAPE, -1000.0), MOCK.levels()))
    exposure = configured(**PER_ROW).run(raw).exposure
    assert np.count_nonzero(marked(exposure, "BAD")) == 40800
    assert not marked(exposure, "SAT", "INTRP", "SUSPECT").any()
    assert exposure.metadata["LSST ISR NEGATIVE PIXELS"] == 40800
    other = configured(**PER_ROW, negativeVarianceMaskName="EDGE").run(raw).exposure
    assert np.count_nonzero(marked(other, "EDGE")) == 40800
    left = configured(**PER_ROW, maskNegativeVariance=False).run(raw).exposure
    assert not left.bits.any()


@pytest.mark.parametrize(("level", "suspect"), [("DETECTOR", 3940), ("AMP", 11280)])
def test_defects_and_edges(level: str, suspect: int) -> None:
    defects = boxes((0, 0, 40, 50))
    settings = {**PER_ROW, "numEdgeSuspect": 5, "edgeMaskLevel": level}
    bridged = configured(**settings, interpolate_max_run=40).run(MOCK.raw(), defects=defects).exposure
    counts = {name: np.count_nonzero(marked(bridged, name)) for name in ("BAD", "INTRP", "SUSPECT", "NO_DATA")}
    assert counts == {"BAD": 2000, "INTRP": 2000, "SUSPECT": suspect, "NO_DATA": 0}
    # So wide a hole has no value that could be trusted, unless the settings say so.
    wide = configured(**settings).run(MOCK.raw(), defects=defects).exposure
    counts = {name: np.count_nonzero(marked(wide, name)) for name in counts}
    assert counts == {"BAD": 2000, "INTRP": 0, "SUSPECT": suspect, "NO_DATA": 2000}


def test_crosstalk_of_a_saturated_source() -> None:
    signal = np.full(SHAPE, 1000.0) + MOCK.bias_structure()
    signal[20:25, 48:53] = 54000.0
    ratios = 1e-4 * (1 + np.arange(64).reshape(8, 8) % 7 / 7) * (1 - np.eye(8))
    disturbed = signal.copy()
    for target, region in enumerate(REGIONS):
        for source, other in enumerate(REGIONS):
            disturbed[region] += ratios[source, target] * signal[other]
    matrix = CrosstalkMatrix(sources=NAMES, targets=NAMES, coefficients=ratios)
    raw = MOCK.raw(read_out(disturbed, MOCK.levels()))
    task = configured(**PER_ROW, doInterpolate=False, growSaturationFootprintSize=0, doSetBadRegions=False)
    exposure = task.run(raw, crosstalk=matrix).exposure
    assert np.abs(disturbed - signal).max() > 4
    np.testing.assert_allclose(exposure.image.array, signal, atol=0.02)
    assert np.count_nonzero(marked(exposure, "SAT")) == 25
    victims = np.zeros(SHAPE, bool)
    for rows, columns in REGIONS[1:]:
        victims[rows, columns][20:25, 48:53] = True
    np.testing.assert_array_equal(marked(exposure, "CROSSTALK"), victims)


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize("method", FITS)
def test_constant_overscan(method: str, low: bool) -> None:
    data, overscan = (slice(10, 20), slice(0, 10)) if low else (slice(0, 10), slice(10, 20))
    image = np.full((30, 20), 2, np.uint16)
    image[:, data] = 10
    result = overscan_corrected(image, method, low=low).image.array
    np.testing.assert_allclose(result[:, data], 8.0, rtol=1e-6)
    np.testing.assert_allclose(result[:, overscan], 0.0, atol=1e-6)


@pytest.mark.parametrize("method", ["MEDIAN", "MEDIAN_PER_ROW", "MEAN_PER_ROW"])
def test_half_a_count_is_not_cut_off(method: str) -> None:
    """Of whole counts, too: there it shows in how many pixels are on either side."""
    image = np.full((30, 20), 10.0)
    image[:, 10:] = 2.5
    whole = image.copy()
    whole[:, 10:] = np.tile([2, 3], 5)
    for counts in (image, whole.astype(np.uint16)):
        counts[4, [3, 12]] = 12345
        exposure = configured(**{"overscan.fitType": method}).run(frame(strip(30), counts)).exposure
        row = exposure.image.array[10]
        np.testing.assert_allclose(row, 7.5, atol=0.01)
        assert exposure.image.array[4, 3] == pytest.approx(12342.5, abs=0.3)


@pytest.mark.parametrize("method", ["MEDIAN_PER_ROW", "MEAN_PER_ROW"])
def test_a_wave_in_the_overscan(method: str) -> None:
    wave = np.rint(50 * np.sin(2 * np.pi * np.arange(500) / 50)).astype(np.int32)
    image = np.repeat(wave[:, None], 20, axis=1) + np.repeat([50, 0], 10)
    result = overscan_corrected(image, method).image.array
    np.testing.assert_array_equal(result, np.tile(np.repeat([50.0, 0.0], 10), (500, 1)))


@pytest.mark.parametrize("method", CURVES)
def test_a_ramp_in_the_overscan(method: str) -> None:
    rows = np.arange(100.0)
    image = np.full((100, 20), 10.0)
    image[:, 10:] = 2 + rows[:, None] + np.tile([-0.5, 0.5], 5)
    result = overscan_corrected(image, method).image.array
    np.testing.assert_allclose(result[:, :10], np.tile((10 - 2 - rows)[:, None], 10), atol=1e-4)
    np.testing.assert_allclose(result[:, 10:], np.tile([-0.5, 0.5], (100, 5)), atol=1e-4)


@pytest.mark.parametrize(("max_deviation", "mean"), [(1000.0, 6.5), (20.0, 4.5)])
def test_parallel_overscan(max_deviation: float, mean: float) -> None:
    """A bleed into it raises the mean, unless what is far off does not count."""
    y, x = [0, 50], [0, 100]
    raw = {
        "box": {"x": [0, 120], "y": [0, 60]},
        "data": {"x": x, "y": y},
        "serial_overscan": {"x": [100, 120], "y": [0, 60]},
        "parallel_overscan": {"x": x, "y": [50, 60]},
    }
    of = camera_of((50, 100), [{"name": "A", "box": {"x": x, "y": y}, "raw": raw}])
    image = np.full((60, 120), 2.0)
    image[:, :100] += 4.5
    image[:50, :100] += 100.0
    image[0, 0] += 1.0
    image[50:, 40:44] += 50.0
    settings = {"parallel_overscan.fitType": "MEDIAN_PER_ROW", "parallel_overscan.maxDeviation": max_deviation}
    exposure = configured(**PER_ROW, **settings).run(frame(of, image)).exposure
    assert exposure.metadata["LSST ISR OVERSCAN SERIAL MEAN A"] == pytest.approx(2.0, abs=0.001)
    assert exposure.metadata["LSST ISR OVERSCAN PARALLEL MEAN A"] == pytest.approx(mean, abs=0.001)
    under = exposure.image.array[:, 40:44]
    np.testing.assert_allclose(under, 100.0 if mean == 4.5 else 50.0, atol=0.3)


@pytest.mark.parametrize("gain", [0.1, 1.0, -1.0, 0.0, np.nan])
def test_variance_by_gain(gain: float) -> None:
    detector = with_nominal(camera().detector(DETECTOR), {"C00": {"gain": gain, "read_noise": 1.5}})
    exposure = Exposure.from_arrays(np.full((51, 100), 10.0), variance=np.ones((51, 100)), unit=u.adu)
    configured().updateVariance(exposure, detector.amplifiers[0])
    used = gain if gain > 0 else 1.0
    np.testing.assert_array_equal(exposure.variance.array, np.float32(10.0 / used + (1.5 / used) ** 2))


@pytest.mark.parametrize("scale", [10.0, 0.1, 3.7])
def test_flat_scale(scale: float) -> None:
    exposure = Exposure.from_arrays(np.full((20, 30), 10.0), variance=np.ones((20, 30)), unit=u.electron)
    flat = master(np.ones((20, 30)))
    task = configured(flatScalingType="USER", flatUserScale=scale)
    task.flatCorrection(exposure, flat)
    np.testing.assert_almost_equal(exposure.image.array, 10.0 / (1.0 / scale), decimal=5)
    task.flatCorrection(exposure, flat, invert=True)
    np.testing.assert_almost_equal(exposure.image.array, 10.0, decimal=5)
    for kind in ("MEAN", "MEDIAN"):
        configured(flatScalingType=kind).flatCorrection(exposure, master(np.full((20, 30), scale)))
        np.testing.assert_almost_equal(exposure.image.array, 10.0, decimal=5)


@pytest.mark.parametrize("low", [False, True])
def test_variance_of_amplifiers_with_opposite_ramps(low: bool) -> None:
    rows, columns, overscan, sigma = 234, 60, 32, 1.234
    width, data_at, overscan_at = columns + overscan, overscan * low, 0 if low else columns
    rng = np.random.default_rng(12345)
    image = np.empty((rows, 2 * width))
    amplifiers = []
    for number, slope in enumerate((1.0, -1.0)):
        x0 = number * width
        image[:, x0 : x0 + width] = 1000.0 + slope * np.arange(rows)[:, None]
        image[:, x0 + overscan_at : x0 + overscan_at + overscan] += rng.normal(0, sigma, (rows, overscan))
        y = [0, rows]
        raw = {
            "box": {"x": [x0, x0 + width], "y": y},
            "data": {"x": [x0 + data_at, x0 + data_at + columns], "y": y},
            "serial_overscan": {"x": [x0 + overscan_at, x0 + overscan_at + overscan], "y": y},
        }
        box = {"x": [number * columns, (number + 1) * columns], "y": y}
        amplifiers.append({"name": "AB"[number], "box": box, "raw": raw})
    raw_frame = frame(camera_of((rows, 2 * columns), amplifiers), image)
    task = configured(**{"overscan.fitType": "CHEB", "overscan.order": 1}, doEmpiricalReadNoise=True)
    exposure = task.run(raw_frame).exposure
    assert np.median(exposure.image.array) == pytest.approx(0.0, abs=0.05)
    assert np.median(exposure.variance.array) == pytest.approx(sigma**2, rel=0.05)
    assert not exposure.bits.any()


@pytest.mark.parametrize("method", ["MEDIAN", "MEDIAN_PER_ROW", "MEAN_PER_ROW", "CHEB", "AKIMA_SPLINE"])
def test_the_level_of_an_amplifier_is_good_to_a_twentieth_of_a_count(method: str) -> None:
    rows, rng = 2000, np.random.default_rng(3)
    y = [0, rows]
    raw = {"box": {"x": [0, 36], "y": y}, "data": {"x": [0, 4], "y": y}, "serial_overscan": {"x": [4, 36], "y": y}}
    of = camera_of((rows, 4), [{"name": "A", "box": {"x": [0, 4], "y": y}, "raw": raw, "read_noise": 3.0}])
    truth = 1000.3 + (method != "MEDIAN") * 4.0 * np.sin(np.arange(rows) / 900.0)
    counts = np.rint(truth[:, None] + rng.normal(0, 3.0, (rows, 36))).astype(np.uint16)
    order = 5 if method == "CHEB" else 16
    exposure = configured(**{"overscan.fitType": method, "overscan.order": order}).run(frame(of, counts)).exposure
    error = exposure.image.array - (counts[:, :4] - truth[:, None])
    assert abs(error.mean()) < 0.05


def test_a_flat_image_knows_no_brighter_fatter_effect() -> None:
    image = read_out(np.full(SHAPE, 30000.0), MOCK.levels())
    y, x = np.mgrid[-8:9, -8:9]
    kernel = -5e-7 * (1.0 + x * x + y * y) ** -1.5
    plain = configured(**PER_ROW).run(MOCK.raw(image)).exposure
    moved = configured(**PER_ROW).run(MOCK.raw(image), bfKernel=kernel).exposure
    np.testing.assert_array_equal(moved.image.array, plain.image.array)
    assert moved.metadata["LSST ISR BF APPLIED"]


@pytest.mark.parametrize("width", range(20))
def test_bad_columns_take_values_like_their_neighbours(width: int) -> None:
    """Noise, and noise seen through a PSF, with bad columns at both edges, beside them, and in the middle."""
    noise = np.random.default_rng(666).uniform(-1, 1, (30, 120))
    sharp = noise / np.abs(noise).max()
    smooth = ndimage.gaussian_filter(noise, 1.0)
    smooth /= np.abs(smooth).max()
    bits = np.zeros(noise.shape, np.int32)
    for start in (0, 120 - width, 50):
        bits[:, start : start + width] = 1
    if width:
        bits[:10, width + 1 : width + 4] = bits[20:, 116 - width : 119 - width] = 1
    for truth in (sharp, smooth):
        image = np.where(bits != 0, 100.0, truth).astype(np.float32)
        filled = interpolate_unusable(image, np.ones_like(image), bits.copy(), InterpolationSettings(max_run=40))
        assert filled == np.count_nonzero(bits)
        assert np.abs(image).max() < 2
    residual = np.abs(image - smooth)
    assert residual.max() < 2
    if width == 1:
        assert residual[:, 50].max() < 0.3


def optimal_weights(offsets: np.ndarray) -> np.ndarray:
    """Weights that predict the value at 0 with the least error, by the equations as they stand."""
    system = np.ones((len(offsets) + 1, len(offsets) + 1))
    system[:-1, :-1] = np.exp(-((offsets[:, None] - offsets) ** 2) / 4)
    system[-1, -1] = 0.0
    return np.asarray(np.linalg.solve(system, np.r_[np.exp(-(offsets**2) / 4), 1.0])[:-1])


def test_interpolation_coefficients() -> None:
    for offsets, known in (([-2, -1, 1, 2], [-0.2737, 0.7737, 0.7737, -0.2737]), ([1, 2], [1.4288, -0.4288])):
        np.testing.assert_allclose(kriging_weights(np.array(offsets, float)), known, atol=5e-5)
    for width in range(1, 31):
        for place in range(width):
            left, right = -place - 1.0, width - place + 0.0
            for offsets in ([left - 1, left, right, right + 1], [right, right + 1], [left - 1, left], [left, right]):
                weights = kriging_weights(np.array(offsets))
                np.testing.assert_allclose(weights, optimal_weights(np.array(offsets)), atol=5e-5)
                assert weights.sum() == pytest.approx(1.0, abs=1e-9)
