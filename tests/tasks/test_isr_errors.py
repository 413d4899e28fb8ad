"""What `IsrTask` refuses, and what it warns of."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from lsst.images import Box
from lsst.images.cameras import Detector
from lsst.pex.config import FieldValidationError
from mock_frames import (
    DETECTOR,
    NAMES,
    SHAPE,
    Mock,
    amplifier,
    boxes,
    camera,
    configured,
    marked,
    master,
    read_out,
    untrimmed,
)

from skyloom.errors import BadFrameError
from skyloom.images import Exposure, RawExposure, bitmask
from skyloom.isr import CrosstalkMatrix, Linearity, linearity_of, mode_cards, with_nominal
from skyloom.tasks import CfhtIsrTask

MOCK = Mock()
COUNTS = MOCK.counts()
KERNEL = -1e-7 * (1.0 + np.hypot(*np.mgrid[-3:4, -3:4]) ** 2) ** -1.5


def raw(image: np.ndarray | None = None, **cards: Any) -> RawExposure:
    return MOCK.raw(COUNTS if image is None else image, **cards)


def crosstalk(names: tuple[str, ...] = NAMES, own: float = 0.0) -> CrosstalkMatrix:
    number = len(names)
    coefficients = 1e-5 * (1 - np.eye(number)) + own * np.eye(number)
    return CrosstalkMatrix(sources=names, targets=names, coefficients=coefficients)


def linear(names: tuple[str, ...] = NAMES) -> dict[str, Linearity]:
    return dict.fromkeys(names, linearity_of("Proportional", []))


def described(kind: str, coefficients: list[float]) -> Detector:
    """The detector, with a linearity of its first amplifier as a camera may state it."""
    detector = with_nominal(camera().detector(DETECTOR), {})
    for number, one in enumerate(detector.amplifiers):
        assert one.nominal_calibrations is not None
        update = {"linearity_type": kind, "linearity_coefficients": np.array(coefficients)}
        nominal = one.nominal_calibrations.model_copy(update=update)
        detector.amplifiers[number] = one.model_copy(update={"nominal_calibrations": nominal})
    return detector


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"doBias": True}, "require bias"),
        ({"doDark": True}, "require dark"),
        ({"doFlat": True}, "require flat"),
        ({"doDefect": True}, "require defects"),
        ({"doCrosstalk": True}, "require crosstalk"),
        ({"doBrighterFatter": True}, "require brighter-fatter"),
        ({"doIlluminationCorrection": True, "illumFilters": ["r"]}, "require illumination"),
        ({"fringe.filters": ["i", "r"]}, "fringe frame for r"),
        ({"usePtcGains": True}, "photon-transfer curve"),
        ({"usePtcReadNoise": True}, "photon-transfer curve"),
    ],
)
def test_required_calibrations_that_are_missing(settings: dict[str, Any], missing: str) -> None:
    with pytest.raises(RuntimeError, match=missing) as caught:
        configured(**settings).run(raw())
    assert isinstance(caught.value, BadFrameError)
    assert caught.value.file == "mock.fits"
    assert caught.value.cure


@pytest.mark.parametrize(
    "settings",
    [
        {"doIlluminationCorrection": True, "illumFilters": ["i"]},
        {"doIlluminationCorrection": False, "illumFilters": ["r"]},
        {"fringe.filters": ["i"]},
        {"fringe.filters": ["r"], "doFringe": False},
        {"fringe.filters": ["r"], "doFringe": None},
        {"doLinearize": True},
    ],
)
def test_what_other_filters_need_is_not_required(settings: dict[str, Any]) -> None:
    assert configured(**settings).run(raw()).exposure.unit == u.electron


@pytest.mark.parametrize("kind", ["bias", "dark", "flat", "fringes", "illumMaskedImage"])
@pytest.mark.parametrize("shape", [(204, 199), (200, 204), (1, 1)])
def test_calibrations_of_another_size(kind: str, shape: tuple[int, int]) -> None:
    task = configured(doIlluminationCorrection=True, illumFilters=["r"]) if kind[0] == "i" else configured()
    with pytest.raises(RuntimeError, match=rf"{shape[0]} x {shape[1]}.*204 x 200"):
        task.run(raw(), **{kind: master(np.ones(shape))})


@pytest.mark.parametrize("method", ["darkCorrection", "flatCorrection"])
def test_calibrations_of_another_size_for_the_methods(method: str) -> None:
    exposure = Exposure.from_arrays(np.ones(SHAPE), unit=u.electron, obs_info=raw().obs_info)
    with pytest.raises(RuntimeError, match=r"10 x 20.*204 x 200"):
        getattr(configured(), method)(exposure, master(np.ones((10, 20))))


@pytest.mark.parametrize("frame", [None, 42, "mock.fits", COUNTS, master(np.ones(SHAPE))])
def test_what_is_no_frame(frame: Any) -> None:
    with pytest.raises(TypeError, match=type(frame).__name__):
        configured().run(frame)
    with pytest.raises(RuntimeError, match=type(frame).__name__):
        configured().convertIntToFloat(frame)


def test_a_frame_without_detector() -> None:
    bare = replace(raw(), detector=None)
    for given in ({}, {"camera": camera()}, {"detectorNum": DETECTOR}):
        with pytest.raises(RuntimeError, match="no detector"):
            configured().run(bare, **given)
    found = configured().run(bare, camera=camera(), detectorNum=DETECTOR).exposure
    np.testing.assert_array_equal(found.image.array, configured().run(raw()).exposure.image.array)


def test_a_dark_for_a_frame_of_unknown_length() -> None:
    frame = replace(raw(), obs_info=None)
    with pytest.raises(RuntimeError, match="dark time is nan"):
        configured().run(frame, dark=MOCK.masters()["dark"])
    with pytest.raises(RuntimeError, match="a second"):
        configured().run(raw(), dark=master(np.ones(SHAPE), u.electron))


def test_a_calibration_of_another_read_out_mode() -> None:
    bias = MOCK.masters()["bias"]
    bias.metadata.update(mode_cards({"SPEED": "fast"}))
    with pytest.raises(RuntimeError, match="slow, the bias frame with fast"):
        configured().run(replace(raw(), mode={"SPEED": "slow"}), bias=bias)


@pytest.mark.parametrize(
    ("flat", "what"), [(np.zeros(SHAPE), "no positive pixel"), (np.full(SHAPE, np.nan), "no positive pixel")]
)
def test_a_flat_without_light(flat: np.ndarray, what: str) -> None:
    with pytest.raises(RuntimeError, match=what):
        configured().run(raw(), flat=master(flat))


@pytest.mark.parametrize(
    ("matrix", "what"),
    [
        (lambda: crosstalk(("A", "B")), r"amplifiers \['A', 'B'\]"),
        (lambda: crosstalk((*NAMES[:7], "other")), "other"),
        (lambda: crosstalk(own=1e-3), "disturb themselves"),
        (lambda: replace(crosstalk(), sources=NAMES[:7], coefficients=np.zeros((7, 8))), "sources"),
        (lambda: replace(crosstalk(), coefficients=np.zeros((7, 7))), r"shape \(7, 7\) for 8 source"),
    ],
)
def test_crosstalk_of_other_amplifiers(matrix: Callable[[], CrosstalkMatrix], what: str) -> None:
    with pytest.raises(RuntimeError, match=what):
        configured().run(raw(), crosstalk=matrix())


@pytest.mark.parametrize("names", [NAMES[:7], (*NAMES, "more"), (*NAMES[:7], "other")])
def test_linearity_of_other_amplifiers(names: tuple[str, ...]) -> None:
    with pytest.raises(RuntimeError, match="linearity correction is for amplifiers"):
        configured().run(raw(), linearizer=linear(names))


@pytest.mark.parametrize(
    ("kind", "coefficients"),
    [("Squared", []), ("Spline", [1.0, 2.0, 3.0]), ("LookupTable", [0.0, 0.0]), ("Magic", [1.0])],
)
def test_a_description_with_a_senseless_linearity(kind: str, coefficients: list[float]) -> None:
    frame = replace(raw(), detector=described(kind, coefficients))
    with pytest.raises(RuntimeError, match=r"look-up table|linearity of kind"):
        configured().run(frame)
    assert configured(doLinearize=False).run(frame).exposure.unit == u.electron


@pytest.mark.parametrize(
    "kernel", [KERNEL[:6], KERNEL[0], np.where(np.eye(7) > 0, np.nan, KERNEL), -KERNEL, np.zeros((3, 3, 3))]
)
def test_a_brighter_fatter_kernel_of_no_use(kernel: np.ndarray) -> None:
    with pytest.raises(RuntimeError, match="brighter-fatter kernel"):
        configured().run(raw(), bfKernel=kernel)


@pytest.mark.parametrize("value", [np.nan, 0.0, 65535.0])
def test_an_empty_image(value: float) -> None:
    with pytest.raises(RuntimeError, match="the frame is empty"):
        configured().run(raw(np.full(COUNTS.shape, value)))


def test_an_image_of_another_size() -> None:
    frame = replace(raw(), image=COUNTS[:200])
    with pytest.raises(RuntimeError, match=r"200 x 240.*204"):
        configured().run(frame)


def test_all_amplifiers_bad() -> None:
    with pytest.raises(RuntimeError, match="every amplifier is defective"):
        configured().run(raw(), defects=boxes((0, 0, 200, 204)))
    with pytest.raises(RuntimeError, match="every amplifier is defective"):
        configured(saturation=100.0).run(raw())


@pytest.mark.parametrize("level", [{"gain": math.nan}, {"gain": 0.0}, {"gain": -1.0}, {"read_noise": math.nan}])
def test_gains_and_noises_of_no_use(level: dict[str, float]) -> None:
    frame = replace(raw(), detector=with_nominal(camera().detector(DETECTOR), {"C10": level}))
    with pytest.raises(RuntimeError, match=r"amplifier C10 of detector det20 has gain"):
        configured().run(frame)


def test_a_photon_transfer_curve_of_no_use() -> None:
    curve = {"amplifiers": {name: {"gain": 1.2, "read_noise": 4.0} for name in NAMES}}
    curve["amplifiers"]["C21"] = {"gain": math.nan, "read_noise": 4.0}
    with pytest.raises(RuntimeError, match="gain nan for amplifier C21"):
        configured(usePtcGains=True).run(raw(), ptc=curve)
    assert configured(usePtcReadNoise=True).run(raw(), ptc=curve).exposure.unit == u.electron
    del curve["amplifiers"]["C21"]
    with pytest.raises(RuntimeError, match="read_noise nan for amplifier C21"):
        configured(usePtcReadNoise=True).run(raw(), ptc=curve)


def test_a_distortion_for_a_frame_of_no_place() -> None:
    with pytest.raises(RuntimeError, match="no projection"):
        configured(doAddDistortionModel=True).run(replace(raw(), projection=None))


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="doApplyGains or normalizeGains, and doFlat"):
        configured(doApplyGains=True, doFlat=True)
    with pytest.raises(ValueError, match="needs doAmpOffset"):
        configured(**{"ampOffset.doApplyAmpOffset": True})
    with pytest.raises(ValueError, match="normalizeGains"):
        configured(normalizeGains=True, doFlat=True)
    configured(doApplyGains=True, doFlat=False)
    configured(**{"ampOffset.doApplyAmpOffset": True}, doAmpOffset=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("badStatistic", "MODE"),
        ("edgeMaskLevel", "SENSOR"),
        ("flatScalingType", "MAX"),
        ("overscan.fitType", "GUESS"),
        ("overscan.maxDeviation", 0.0),
        ("overscan.leadingColumnsToSkip", -1),
        ("flatUserScale", 0.0),
        ("illumScale", -1.0),
        ("numEdgeSuspect", -1),
        ("maskListToInterpolate", ["SAT", "NO_SUCH_PLANE"]),
        ("negativeVarianceMaskName", "NO_SUCH_PLANE"),
        ("vignette.radius", 0.0),
        ("crosstalk.crosstalkBackgroundMethod", "ROW"),
    ],
)
def test_settings_that_make_no_sense(name: str, value: Any) -> None:
    with pytest.raises(FieldValidationError) as caught:
        configured(**{name: value})
    assert isinstance(caught.value, ValueError)


def test_amplifiers_of_different_sizes() -> None:
    detector = with_nominal(camera().detector(DETECTOR), {})
    first = copy.deepcopy(detector.amplifiers[0])
    assert first.assembled_raw_geometry is not None
    geometry = first.assembled_raw_geometry
    first.bbox = geometry.data_bbox = Box.from_shape((51, 90))
    detector.amplifiers[0] = first
    task = configured(doAmpOffset=True, **{"ampOffset.ampEdgeWidth": 20})
    with pytest.raises(RuntimeError, match=r"51 x 90, 51 x 100"):
        task.run(replace(raw(), detector=detector))


def test_what_megaprime_does_not_have() -> None:
    task = CfhtIsrTask(config=CfhtIsrTask.ConfigClass())
    with pytest.raises(ValueError, match="brighter-fatter"):
        task.run(raw(), bfKernel=KERNEL)
    with pytest.raises(ValueError, match="amplifier C00") as caught:
        task.run(raw(SATURATE=65535))
    assert isinstance(caught.value, BadFrameError)
    with pytest.raises(TypeError, match="int"):
        task.run(1)  # type: ignore[arg-type]


def test_a_frame_without_projection(caplog: pytest.LogCaptureFixture) -> None:
    configured().run(raw())
    configured(expectWcs=False).run(replace(raw(), projection=None))
    assert "no projection" not in caplog.text
    configured().run(replace(raw(), projection=None))
    assert "mock.fits has no projection." in caplog.text


def test_a_bad_amplifier(caplog: pytest.LogCaptureFixture) -> None:
    exposure = configured().run(raw(), defects=boxes((100, 51, 100, 51))).exposure
    assert "amplifiers C11 are bad as a whole." in caplog.text
    assert exposure.metadata["LSST ISR BAD AMPLIFIERS"] == ["C11"]
    expected = np.zeros(SHAPE, bool)
    expected[51:102, 100:] = True
    np.testing.assert_array_equal(marked(exposure, "BAD"), expected)


def test_a_gain_of_no_use_to_the_variance(caplog: pytest.LogCaptureFixture) -> None:
    detector = with_nominal(camera().detector(DETECTOR), {"C00": {"gain": math.nan}})
    configured().updateVariance(untrimmed(raw()), detector.amplifiers[0])
    assert "Amplifier C00 has gain nan" in caplog.text


def test_no_rough_zero_point(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", logger="skyloom.isr")
    task = configured(fluxMag0T1={"r": 1e11})
    task.run(raw())
    assert task.run(raw(EXPTIME=0.0)).exposure.photo_calib is None
    assert "zero point" not in caplog.text
    task.run(raw(FILTER="i"))
    assert "No rough zero point is set for filter i" in caplog.text
    assert task.run(replace(raw(), obs_info=None)).exposure.photo_calib is None
    assert "No rough zero point: the exposure time is nan s." in caplog.text


@pytest.mark.parametrize("passes", [1, 20])
def test_a_brighter_fatter_effect_that_does_not_converge(passes: int, caplog: pytest.LogCaptureFixture) -> None:
    task = configured(brighterFatterMaxIter=passes, brighterFatterThreshold=1e-2)
    exposure = task.run(raw(), bfKernel=KERNEL).exposure
    assert exposure.metadata["LSST ISR BF CONVERGED"] is (passes == 20)
    assert ("did not converge" in caplog.text) == (passes == 1)
    assert task.metadata["LSST ISR BF ITERS"] <= passes


@pytest.mark.parametrize("number", [0, 3])
def test_pixels_that_are_not_numbers(number: int, caplog: pytest.LogCaptureFixture) -> None:
    image = COUNTS.copy()
    image[100, 50 : 50 + number] = np.nan
    task = configured()
    task.run(raw(image))
    assert task.metadata["NUMNANS"] == number
    assert ("3 pixels are not numbers" in caplog.text) == (number == 3)


def test_no_place_tells_of_fringes(caplog: pytest.LogCaptureFixture) -> None:
    pattern = np.sin(np.arange(200) / 9.0) * np.ones(SHAPE)
    frame = raw(read_out(1000.0 + 20.0 * pattern, MOCK.levels()))
    settings = {"fringe.large": 20, "fringe.num": 500, "doInterpolate": False, "overscan.fitType": "MEDIAN_PER_ROW"}
    task = configured(**settings)
    exposure = task.run(frame, fringes=master(pattern)).exposure
    assert "fringes" not in caplog.text
    assert exposure.image.array.std() < 0.05
    without = task.run(frame, fringes=master(np.full(SHAPE, np.nan))).exposure
    assert "no place tells how strong the fringes are" in caplog.text
    np.testing.assert_allclose(without.image.array, 1000.0 + 20.0 * pattern, rtol=1e-5)
    assert without.metadata["LSST ISR FRINGE SAMPLES"] == 0


def test_counts_beyond_a_look_up_table(caplog: pytest.LogCaptureFixture) -> None:
    table = np.zeros((1, 40000))
    beyond = dict.fromkeys(NAMES, linearity_of("LookupTable", [0, 0], table))
    exposure = configured(**{"overscan.fitType": "MEDIAN_PER_ROW"}).run(raw(), linearizer=beyond).exposure
    signal = COUNTS[:51, :100] - MOCK.levels()[:, None]
    outside = np.count_nonzero(signal >= 40000)
    assert outside > 0
    assert exposure.metadata["LSST ISR LINEARITY OUT OF RANGE"] == outside
    assert f"{outside} pixels are outside the range of the linearity correction" in caplog.text


def test_an_overscan_of_no_use(caplog: pytest.LogCaptureFixture) -> None:
    exposure = untrimmed(raw())
    exposure.bits[:51, 100:120] = bitmask("SAT")
    assert configured().overscanCorrection(exposure, amplifier(exposure, "C00")) is None
    assert "overscan of amplifier C00" in caplog.text
