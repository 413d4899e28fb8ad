from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from lsst.images import MaskedImage

from skyloom.errors import BadFrameError
from skyloom.images import bitmask
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.isr import CrosstalkMatrix, InterpolationSettings, IsrSettings, correct_raw, linearity_of
from skyloom.isr.brighter_fatter import BrighterFatterSettings
from skyloom.simulate import DetectorSettings, Mosaic
from skyloom.simulate.charge import brighter_fatter_kernel
from skyloom.simulate.readout import expose as expose_frame
from skyloom.simulate.signature import Signature, draw_fringes, make_signature

MakeRaw = Callable[..., RawExposure]
Master = Callable[..., MaskedImage]
MOSAIC = Mosaic.of(Camera.read("simulated"))
CCD = MOSAIC.ccds[0]
CCD_SIZE = 1024
RAW_SHAPE = CCD.raw_shape
SHAPE = CCD.shape
QUIET = DetectorSettings(noise=False, quantise=False, hot_pixels=0, bad_columns=0, dark_electrons_per_s=0.0)
PLAIN = DetectorSettings(
    bias_structure_adu=0.0,
    pixel_response=0.0,
    vignetting=0.0,
    hot_pixels=0,
    bad_columns=0,
    overscan_slope_adu=0.0,
    dark_electrons_per_s=0.0,
)


def expose(light: np.ndarray, signature: Signature, settings: DetectorSettings, rng: np.random.Generator) -> np.ndarray:
    return expose_frame(light, CCD, signature, settings, rng, seconds=60.0).raw


@pytest.fixture(scope="module")
def signature() -> Signature:
    return make_signature(QUIET, 1, MOSAIC, CCD, "r")


@pytest.fixture(scope="module")
def light() -> np.ndarray:
    y, x = np.mgrid[:CCD_SIZE, :CCD_SIZE]
    return 500.0 + 0.1 * x + 20000.0 * np.exp(-0.5 * ((x - 511.7) ** 2 + (y - 300.2) ** 2) / 4.0)


@pytest.fixture(scope="module")
def masters(signature: Signature, master: Master) -> dict[str, MaskedImage]:
    return {"bias": master(signature.bias, u.adu), "flat": master(30000 * signature.flat / CCD.gain_map(), u.adu)}


def test_undoes_what_the_detector_did(
    make_raw: MakeRaw, signature: Signature, light: np.ndarray, masters: dict[str, MaskedImage]
) -> None:
    raw = make_raw(expose(light, signature, QUIET, np.random.default_rng(3)))
    exposure = correct_raw(raw, **masters)
    # float32 raw counts near 1000 are good to 6e-5 ADU, those near 14000 to 1e-3.
    np.testing.assert_allclose(exposure.image.array, light, rtol=3e-7, atol=3e-3)
    assert exposure.unit == u.electron
    assert not exposure.bits.any()
    assert exposure.metadata["LSST ISR FLAT APPLIED"]
    assert not exposure.metadata["LSST ISR DARK APPLIED"]


def test_undoes_crosstalk_and_non_linearity(
    make_raw: MakeRaw, signature: Signature, light: np.ndarray, masters: dict[str, MaskedImage]
) -> None:
    disturbed = replace(QUIET, crosstalk=3e-4, nonlinearity=0.03)
    raw = make_raw(expose(light, signature, disturbed, np.random.default_rng(3)))
    names = tuple(amplifier.layout.name for amplifier in CCD.amplifiers)
    matrix = CrosstalkMatrix(sources=names, targets=names, coefficients=3e-4 * (1 - np.eye(len(names))))
    true = np.linspace(0.0, 20000.0, 200)
    linearities = {}
    for amplifier in CCD.amplifiers:
        counted = true * (1.0 - 0.03 * true / amplifier.layout.saturation_adu)
        linearities[amplifier.layout.name] = linearity_of("Spline", np.r_[counted, counted - true])
    exposure = correct_raw(raw, crosstalk=matrix, linearities=linearities, **masters)
    np.testing.assert_allclose(exposure.image.array, light, rtol=1e-6, atol=5e-3)
    assert exposure.metadata["LSST ISR CROSSTALK APPLIED"]
    assert exposure.metadata["LSST ISR LINEARIZED AMPLIFIERS"] == len(names)
    without = correct_raw(raw, **masters).image.array
    assert np.abs(without - light).max() > 100.0


def test_undoes_the_brighter_fatter_effect(make_raw: MakeRaw, signature: Signature, light: np.ndarray) -> None:
    flat = Signature(bias=0.0 * signature.bias, dark=signature.dark, flat=np.ones(SHAPE), bad=signature.bad)
    raw = make_raw(expose(light, flat, replace(QUIET, brighter_fatter=0.02), np.random.default_rng(3)))
    kernel = -brighter_fatter_kernel(0.02)
    settings = IsrSettings(brighter_fatter=BrighterFatterSettings(method="FLUX_CONSERVING", threshold=1.0))
    exposure = correct_raw(raw, brighter_fatter=kernel, settings=settings)
    peak = np.unravel_index(np.argmax(light), SHAPE)
    assert correct_raw(raw).image.array[peak] < 0.998 * light[peak]
    # Beyond the border the simulator has no charge at all, and the correction supposes some.
    inner = slice(20, -20), slice(20, -20)
    np.testing.assert_allclose(exposure.image.array[inner], light[inner], rtol=1e-5, atol=0.02)
    assert exposure.metadata["LSST ISR BF APPLIED"]
    assert exposure.metadata["LSST ISR BF CONVERGED"]
    assert not ((exposure.bits & bitmask("EDGE")) != 0)[8, 8:-8].any()
    assert ((exposure.bits & bitmask("EDGE")) != 0)[:8].all()


def test_fringes_are_taken_off(make_raw: MakeRaw, signature: Signature, master: Master) -> None:
    pattern = draw_fringes(1, CCD, "r")
    sky = 2000.0 * (1.0 + 0.03 * pattern)
    noisy = replace(QUIET, noise=True)
    raw = make_raw(expose(sky * np.ones(SHAPE), signature, noisy, np.random.default_rng(3)))
    calibrations = {"bias": master(signature.bias, u.adu), "flat": master(signature.flat)}
    before = correct_raw(raw, **calibrations)
    after = correct_raw(raw, fringes=[master(pattern)], **calibrations)

    def amplitude(image: np.ndarray) -> float:
        return float(np.mean((image - image.mean()) * pattern) / np.mean(pattern**2))

    assert amplitude(before.image.array) == pytest.approx(60.0, rel=0.02)
    assert abs(amplitude(after.image.array)) < 60.0 / 20
    assert after.metadata["LSST ISR FRINGE AMPLITUDES"] == pytest.approx([60.0], rel=0.05)


def test_a_flat_without_unit_holds_no_gains(
    make_raw: MakeRaw, signature: Signature, light: np.ndarray, master: Master
) -> None:
    raw = make_raw(expose(light, signature, QUIET, np.random.default_rng(3)))
    exposure = correct_raw(raw, bias=master(signature.bias), flat=master(3.0 * signature.flat))
    np.testing.assert_allclose(exposure.image.array, light, rtol=3e-7, atol=3e-3)


def test_variance_is_that_of_repeated_exposures(make_raw: MakeRaw, master: Master) -> None:
    signature = make_signature(PLAIN, 1, MOSAIC, CCD, "r")
    flat = np.ones(SHAPE)
    flat[:, 512:] = 0.5
    seen = Signature(bias=signature.bias, dark=signature.dark, flat=flat, bad=signature.bad)
    frames = [
        correct_raw(
            make_raw(expose(np.full(SHAPE, 800.0), seen, PLAIN, np.random.default_rng(seed))), flat=master(flat)
        )
        for seed in (1, 2)
    ]
    for half in (slice(0, 512), slice(512, 1024)):
        measured = (frames[0].image.array - frames[1].image.array)[:, half].var() / 2
        stated = frames[0].variance.array[:, half].mean()
        # The row medians of 32 overscan columns add their own noise: pi/2 of the read noise squared over 32.
        assert measured == pytest.approx(stated, rel=0.01)


def test_variance_follows_the_stated_law(
    make_raw: MakeRaw, signature: Signature, light: np.ndarray, master: Master
) -> None:
    raw = make_raw(expose(light, signature, QUIET, np.random.default_rng(3)))
    dark = master(np.full(SHAPE, 0.5), u.electron / u.s, variance=0.01)
    exposure = correct_raw(
        raw, bias=master(signature.bias, u.adu, variance=0.04), dark=dark, flat=master(signature.flat)
    )
    counted = (light * signature.flat + 25.0 + 0.04 * CCD.gain_map() ** 2 + 0.01 * 60.0**2) / (
        signature.flat / np.median(signature.flat)
    ) ** 2
    np.testing.assert_allclose(exposure.variance.array, counted, rtol=1e-4)
    np.testing.assert_allclose(exposure.image.array, light - 30.0 / signature.flat, rtol=1e-5, atol=5e-3)
    assert exposure.metadata["LSST ISR DARK TIME"] == 60.0


def test_a_dark_in_adu_gets_the_gains(
    make_raw: MakeRaw, signature: Signature, light: np.ndarray, master: Master
) -> None:
    raw = make_raw(expose(light, signature, QUIET, np.random.default_rng(3)))
    both = [
        correct_raw(raw, dark=master(np.full(SHAPE, 0.5), u.electron / u.s)),
        correct_raw(raw, dark=master(0.5 / CCD.gain_map(), u.adu / u.s)),
    ]
    np.testing.assert_allclose(both[0].image.array, both[1].image.array, rtol=1e-6)
    with pytest.raises(BadFrameError, match="a second"):
        correct_raw(raw, dark=master(np.full(SHAPE, 0.5), u.adu))


def test_the_read_noise_is_measured(make_raw: MakeRaw) -> None:
    plain = make_signature(PLAIN, 1, MOSAIC, CCD, "r")
    raw = make_raw(expose(np.full(SHAPE, 300.0), plain, PLAIN, np.random.default_rng(5)))
    metadata = correct_raw(raw).metadata
    assert metadata["OVERSCAN"] == "Overscan corrected"
    for amplifier, gain in (("A", 1.5), ("B", 1.7)):
        expected = np.sqrt(5.0**2 + gain**2 / 12)
        assert metadata[f"LSST ISR READNOISE {amplifier}"] == pytest.approx(expected, rel=0.02)
        assert metadata[f"LSST ISR NOISE SOURCE {amplifier}"] == "serial overscan"
    nominal = correct_raw(raw, settings=IsrSettings(measured_read_noise=False)).metadata
    assert nominal["LSST ISR READNOISE A"] == 5.0


def test_saturated_pixels_are_masked_and_grown(make_raw: MakeRaw) -> None:
    pixels = np.full(RAW_SHAPE, 1000.0)
    pixels[100, 200] = 60000.0
    pixels[5, 1087] = 65535.0
    pixels[300, 300] = 59999.0
    exposure = correct_raw(make_raw(pixels))
    saturated = (exposure.bits & bitmask("SAT")) != 0
    expected = np.zeros(SHAPE, bool)
    for y, x in ((100, 200), (99, 200), (101, 200), (100, 199), (100, 201), (5, 1023), (4, 1023), (6, 1023), (5, 1022)):
        expected[y, x] = True
    np.testing.assert_array_equal(saturated, expected)
    assert exposure.metadata["LSST ISR MASK SAT A"] == 1
    assert np.isfinite(exposure.image.array).all()


def test_defects_are_masked_and_bridged(
    make_raw: MakeRaw, signature: Signature, light: np.ndarray, masters: dict[str, MaskedImage]
) -> None:
    raw = expose(light, signature, QUIET, np.random.default_rng(3))
    raw[200:210, 100] = 50000.0
    boxes = Table(rows=[(100, 200, 1, 10), (1020, 1020, 50, 50)], names=("x0", "y0", "width", "height"))
    exposure = correct_raw(make_raw(raw), defects=boxes, **masters)
    bad = (exposure.bits & bitmask("BAD")) != 0
    assert bad[200:210, 100].all()
    assert bad[1020:, 1020:].all()
    assert np.count_nonzero(bad) == 26
    assert ((exposure.bits & bitmask("INTRP")) != 0)[bad].all()
    assert np.isinf(exposure.variance.array[bad]).all()
    np.testing.assert_allclose(exposure.image.array[200:210, 100], light[200:210, 100], rtol=2e-3)


def test_not_a_number_is_masked(make_raw: MakeRaw) -> None:
    pixels = np.full(RAW_SHAPE, 1000.0) + np.arange(RAW_SHAPE[1])
    pixels[50, 60] = np.nan
    exposure = correct_raw(make_raw(pixels), settings=IsrSettings(interpolation=InterpolationSettings(planes=())))
    assert exposure.metadata["NUMNANS"] == 1
    assert exposure.bits[50, 60] == bitmask("UNMASKEDNAN")
    assert np.isnan(exposure.image.array[50, 60])


def test_bad_response_is_masked_and_not_divided_by(make_raw: MakeRaw, master: Master) -> None:
    flat = np.ones(SHAPE)
    flat[10, 10], flat[20, 20], flat[30, 30], flat[40, 40] = 0.0, np.nan, -1.0, 0.05
    pixels = np.full(RAW_SHAPE, 1000.0)
    pixels[:CCD_SIZE, :512] += np.arange(512)
    exposure = correct_raw(make_raw(pixels), flat=master(flat))
    assert np.isfinite(exposure.image.array).all()
    bad = np.argwhere(exposure.bits & bitmask("BAD"))
    np.testing.assert_array_equal(bad, [[10, 10], [20, 20], [30, 30], [40, 40]])


def test_pixels_that_no_amplifier_reads_are_missing(make_raw: MakeRaw, master: Master) -> None:
    raw = make_raw(np.arange(RAW_SHAPE[0] * RAW_SHAPE[1], dtype=np.float64).reshape(RAW_SHAPE) % 977)
    detector = raw.detector
    assert detector is not None
    raw.detector = detector.copy()
    del raw.detector.amplifiers[1]
    exposure = correct_raw(raw, flat=master(np.ones(SHAPE)))
    assert np.isnan(exposure.image.array[:, 512:]).all()
    assert np.isinf(exposure.variance.array[:, 512:]).all()
    assert (exposure.bits[:, 512:] == bitmask("NO_DATA")).all()
    assert np.isfinite(exposure.image.array[:, :512]).all()


def test_without_overscan_the_bias_frame_or_the_settings_hold_the_pedestal(make_raw: MakeRaw, master: Master) -> None:
    raw = make_raw(1000.0 + np.arange(RAW_SHAPE[1]) * np.ones(RAW_SHAPE))
    detector = raw.detector
    assert detector is not None
    raw.detector = detector.copy()
    for amplifier in raw.detector.amplifiers:
        geometry = amplifier.assembled_raw_geometry
        assert geometry is not None
        geometry.serial_overscan_bbox = geometry.data_bbox
    by_bias = correct_raw(raw, bias=master(np.full(SHAPE, 1000.0), u.adu))
    by_camera = correct_raw(raw, pedestals_adu={"A": 1000.0, "B": 1000.0})
    assert "OVERSCAN" not in by_camera.metadata
    np.testing.assert_array_equal(by_bias.image.array, by_camera.image.array)
    assert by_bias.image.array[0, 10] == 15.0
    assert by_bias.metadata["LSST ISR PEDESTAL SOURCE A"] == "bias frame"
    assert by_camera.metadata["LSST ISR PEDESTAL SOURCE A"] == "camera"
    assert by_camera.metadata["LSST ISR NOISE SOURCE A"] == "amp"


@pytest.mark.parametrize("kind", ["bias", "dark", "flat", "defects"])
def test_a_required_calibration_that_is_missing(make_raw: MakeRaw, kind: str) -> None:
    raw = make_raw(np.arange(RAW_SHAPE[0] * RAW_SHAPE[1], dtype=np.float32).reshape(RAW_SHAPE))
    with pytest.raises(BadFrameError, match=rf"frame\.fits.*{kind}.*skyloom calibs"):
        correct_raw(raw, settings=IsrSettings(**{f"use_{kind}": True}))


def test_calibrations_that_are_switched_off_are_left_out(make_raw: MakeRaw, master: Master) -> None:
    raw = make_raw(1000.0 + np.arange(RAW_SHAPE[1]) * np.ones(RAW_SHAPE))
    off = correct_raw(raw, bias=master(np.full(SHAPE, 10.0)), settings=IsrSettings(use_bias=False))
    np.testing.assert_array_equal(off.image.array, correct_raw(raw).image.array)


@pytest.mark.parametrize("kind", ["bias", "dark", "flat"])
def test_a_calibration_of_the_wrong_shape(make_raw: MakeRaw, kind: str, master: Master) -> None:
    raw = make_raw(np.arange(RAW_SHAPE[0] * RAW_SHAPE[1], dtype=np.float32).reshape(RAW_SHAPE))
    with pytest.raises(BadFrameError, match=r"100 x 90.*1024 x 1024"):
        correct_raw(raw, **{kind: master(np.ones((100, 90)))})


@pytest.mark.parametrize("value", [0.0, 37.0, np.nan])
def test_an_empty_frame(make_raw: MakeRaw, value: float) -> None:
    with pytest.raises(BadFrameError, match="empty"):
        correct_raw(make_raw(np.full(RAW_SHAPE, value)))


def test_a_raw_image_that_is_too_small(make_raw: MakeRaw) -> None:
    raw = make_raw(np.arange(RAW_SHAPE[0] * RAW_SHAPE[1], dtype=np.float32).reshape(RAW_SHAPE))
    raw.image = raw.image[:1000]
    with pytest.raises(BadFrameError, match=r"1000 x 1088.*1040 x 544"):
        correct_raw(raw)
