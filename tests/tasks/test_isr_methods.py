"""The documented methods of `IsrTask`, each by itself, on frames of which the result is known."""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import replace

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astro_metadata_translator import ObservationInfo
from astropy.table import Table
from lsst.images import Box, Polygon
from lsst.images.cameras import Amplifier, Detector
from matplotlib.image import AxesImage
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
    configured,
    marked,
    master,
    untrimmed,
)

from skyloom.images import Exposure, bitmask
from skyloom.isr import VignetteSettings, unvignetted_field, with_nominal

MOCK = Mock()
COUNTS = MOCK.counts()
BAD, SAT, SUSPECT, NO_DATA = (bitmask(name) for name in ("BAD", "SAT", "SUSPECT", "NO_DATA"))
C11_RAW, C11_DATA = (slice(51, 102), slice(120, 240)), (slice(51, 102), slice(120, 220))
"""Where the amplifier C11 and its data lie in the raw image."""


@pytest.fixture
def exposure() -> Exposure:
    return untrimmed(MOCK.raw(COUNTS))


def trimmed(image: np.ndarray | float = 100.0, variance: float = 4.0, **attributes: object) -> Exposure:
    """An exposure in electrons, of the size of the detector."""
    pixels = np.broadcast_to(np.asarray(image, np.float32), SHAPE).copy()
    spread = np.full(SHAPE, variance, np.float32)
    return Exposure.from_arrays(pixels, variance=spread, unit=u.electron, **attributes)  # type: ignore[arg-type]


def lasting(seconds: float | None, dark_seconds: float | None = None) -> ObservationInfo:
    """An observation with its exposure time and its dark time."""
    times = {"exposure_time": seconds, "dark_time": dark_seconds}
    told = {name: value * u.s for name, value in times.items() if value is not None}
    return ObservationInfo.makeObservationInfo(physical_filter="r", **told)


def levelled(**levels: float) -> Detector:
    """The detector, its amplifier C11 with other levels."""
    return with_nominal(camera().detector(DETECTOR), {"C11": levels})


def c11(detector: Detector) -> Amplifier:
    (found,) = (one for one in detector.amplifiers if one.name == "C11")
    return found


@pytest.mark.parametrize("kind", [np.uint16, np.int32, ">i2", np.float64])
def test_integers_become_floats(kind: type) -> None:
    raw = MOCK.raw(COUNTS.astype(kind))
    found = configured().convertIntToFloat(raw)
    assert (found.image.array.dtype, found.variance.array.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(found.image.array, raw.image.astype(np.float32))
    assert (found.variance.array == 1).all()
    assert not found.bits.any()
    assert found.unit == u.adu
    assert (found.detector, found.obs_info, found.projection) == (raw.detector, raw.obs_info, raw.projection)
    assert found.metadata["EXPNUM"] == 7


def test_floats_stay_as_they_are(exposure: Exposure) -> None:
    exposure.bits[3, 4] = SAT
    assert configured().convertIntToFloat(exposure) is exposure
    assert exposure.bits[3, 4] == SAT
    raw = MOCK.raw(COUNTS.astype(np.float32))
    configured().convertIntToFloat(raw).image.array[...] = 0.0
    np.testing.assert_array_equal(raw.image, COUNTS.astype(np.float32))


@pytest.mark.parametrize("level", ["SAT", "SUSPECT"])
def test_levels_of_one_amplifier(exposure: Exposure, level: str) -> None:
    exposure.image.array[60, [130, 131, 230]] = 12000.0, np.nextafter(np.float32(12000), np.float32(0)), 12001.0
    exposure.image.array[10, 10] = 12000.0
    detector = levelled(saturation=12000.0, suspect_level=12000.0)
    method = configured().saturationDetection if level == "SAT" else configured().suspectDetection
    method(exposure, c11(detector))
    # The overscan, too: whatever reaches the level in what the amplifier reads.
    np.testing.assert_array_equal(np.argwhere(exposure.bits), [[60, 130], [60, 230]])
    assert exposure.bits[60, 130] == bitmask(level)


def test_levels_that_are_not_numbers_mark_nothing(exposure: Exposure) -> None:
    amp = c11(levelled(saturation=np.nan, suspect_level=np.nan))
    configured().saturationDetection(exposure, amp)
    configured().suspectDetection(exposure, amp)
    assert not exposure.bits.any()
    configured(saturation=8000.0).saturationDetection(exposure, amp)
    assert np.count_nonzero(exposure.bits) == np.count_nonzero(COUNTS[C11_RAW].astype(np.float32) >= 8000.0) > 0


@pytest.mark.parametrize("listed", ["table", "boxes"])
def test_a_defect_that_holds_an_amplifier(exposure: Exposure, listed: str) -> None:
    rows = [(0, 0, 5, 5), (90, 51, 110, 60)]  # x0, y0, width, height on the trimmed detector
    defects: Table | list[Box] = boxes(*rows)
    if listed == "boxes":
        defects = [Box.from_shape((height, width), start=(y0, x0)) for x0, y0, width, height in rows]
    exposure.image.array[60, 130] = 65000.0
    assert configured().maskAmplifier(exposure, amplifier(exposure, "C11"), defects) is True
    expected = np.zeros(COUNTS.shape, np.int32)
    expected[C11_RAW] = BAD
    np.testing.assert_array_equal(exposure.bits, expected)


@pytest.mark.parametrize("defects", [None, boxes((100, 51, 99, 51)), [Box.from_shape((50, 100), start=(51, 100))]])
def test_a_defect_of_a_part_is_no_bad_amplifier(exposure: Exposure, defects: Table | list[Box] | None) -> None:
    exposure.image.array[60, [130, 230]] = 65000.0, 41000.0
    assert configured(doSuspect=True).maskAmplifier(exposure, amplifier(exposure, "C11"), defects) is False
    np.testing.assert_array_equal(np.argwhere(exposure.bits), [[60, 130], [60, 230]])
    assert exposure.bits[60, [130, 230]].tolist() == [SAT | SUSPECT, SUSPECT]


@pytest.mark.parametrize(("saturation", "suspect"), [(True, True), (True, False), (False, True), (False, False)])
def test_an_amplifier_of_which_no_pixel_is_good(exposure: Exposure, saturation: bool, suspect: bool) -> None:
    exposure.image.array[C11_DATA] = 65000.0
    bad = configured(doSaturation=saturation, doSuspect=suspect).maskAmplifier(
        exposure, amplifier(exposure, "C11"), None
    )
    assert bad is (saturation or suspect)
    expected = np.zeros(COUNTS.shape, np.int32)
    expected[C11_DATA] = BAD * bad | SAT * saturation | SUSPECT * suspect
    np.testing.assert_array_equal(exposure.bits, expected)


def test_one_good_pixel_saves_an_amplifier(exposure: Exposure) -> None:
    exposure.image.array[C11_DATA] = 65000.0
    exposure.image.array[101, 219] = 10000.0
    assert configured().maskAmplifier(exposure, amplifier(exposure, "C11"), None) is False
    assert not marked(exposure, "BAD").any()


def test_overscan_of_one_amplifier(exposure: Exposure) -> None:
    task = configured(**{"overscan.fitType": "MEDIAN_PER_ROW"})
    found = task.overscanCorrection(exposure, amplifier(exposure, "C11"))
    assert found is not None
    np.testing.assert_allclose(found.imageFit, MOCK.levels())
    np.testing.assert_allclose(found.overscanFit, MOCK.levels())
    np.testing.assert_allclose(found.overscanImage.image.array, 0.0, atol=1e-3)
    expected = COUNTS.copy()
    expected[C11_RAW] -= MOCK.levels()[:, None]
    np.testing.assert_allclose(exposure.image.array, expected, rtol=1e-6, atol=1e-3)
    assert (exposure.variance.array == 1).all()
    assert exposure.metadata["OVERSCAN"] == "Overscan corrected"
    assert exposure.metadata["LSST ISR OVERSCAN SERIAL MEDIAN C11"] == pytest.approx(8000.0)
    assert exposure.metadata["LSST ISR OVERSCAN RESIDUAL SERIAL STDEV C11"] == pytest.approx(0.0, abs=1e-3)
    assert task.metadata["FIT MEDIAN C11"] == pytest.approx(8000.0)
    assert task.metadata["RESIDUAL MEAN C11"] == pytest.approx(0.0, abs=1e-3)


def test_masked_overscan_does_not_count(exposure: Exposure) -> None:
    exposure.image.array[51:80, 220:240] += 500.0
    exposure.bits[51:80, 220:235] = SAT
    exposure.bits[51:80, 235:240] = BAD
    task = configured(**{"overscan.fitType": "MEAN"})
    found = task.overscanCorrection(exposure, amplifier(exposure, "C11"))
    assert found is not None
    np.testing.assert_allclose(found.imageFit, MOCK.levels()[29:].mean())


def test_overscan_without_a_usable_pixel(exposure: Exposure, caplog: pytest.LogCaptureFixture) -> None:
    exposure.bits[C11_RAW] = SAT
    before = exposure.image.array.copy()
    assert configured().overscanCorrection(exposure, amplifier(exposure, "C11")) is None
    np.testing.assert_array_equal(exposure.image.array, before)
    assert "No pixel of the overscan of amplifier C11" in caplog.text


def test_amplifiers_without_overscan_and_without_raw_pixels(exposure: Exposure) -> None:
    amp = copy.deepcopy(amplifier(exposure, "C11"))
    assert amp.assembled_raw_geometry is not None
    amp.assembled_raw_geometry.serial_overscan_bbox = amp.assembled_raw_geometry.data_bbox
    assert configured().overscanCorrection(exposure, amp) is None
    amp = amp.model_copy(update={"assembled_raw_geometry": None})
    with pytest.raises(RuntimeError, match="amplifier C11"):
        configured().overscanCorrection(exposure, amp)
    assert "OVERSCAN" not in exposure.metadata


def test_variance_in_adu_and_electrons() -> None:
    amp = c11(levelled(gain=1.6, read_noise=4.0))
    for unit, gain in ((u.adu, 1.6), (u.electron, 1.0)):
        part = Exposure.from_arrays(np.linspace(0, 9000, 20).reshape(4, 5), variance=np.ones((4, 5)), unit=unit)
        pixels, spread = part.image.array.copy(), part.variance.array
        configured().updateVariance(part, amp)
        np.testing.assert_allclose(spread, pixels / gain + (4.0 / gain) ** 2, rtol=1e-6)
        np.testing.assert_array_equal(part.image.array, pixels)


@pytest.mark.parametrize("kind", ["exposure", "image", "array"])
def test_variance_with_the_noise_of_the_overscan(kind: str) -> None:
    residual = np.random.default_rng(1).normal(0, 3.0, (200, 40)).astype(np.float32)
    overscan = Exposure.from_arrays(residual, variance=np.ones((200, 40)), unit=u.adu)
    overscan.image.array[:100, 0] = 50.0
    overscan.bits[:100, 0] = np.where(np.arange(100) % 2, SAT, SUSPECT)
    given = {"exposure": overscan, "image": overscan.image, "array": overscan.image.array}[kind]
    amp = c11(levelled(gain=2.0, read_noise=20.0))
    part = Exposure.from_arrays(np.full((4, 5), 100.0), variance=np.ones((4, 5)), unit=u.adu)
    configured(doEmpiricalReadNoise=True).updateVariance(part, amp, given)
    np.testing.assert_allclose(part.variance.array, 50.0 + 3.0**2, rtol=0.01)
    configured(doEmpiricalReadNoise=False).updateVariance(part, amp, given)
    np.testing.assert_allclose(part.variance.array, 50.0 + 10.0**2)
    configured(doEmpiricalReadNoise=True).updateVariance(part, amp)
    np.testing.assert_allclose(part.variance.array, 50.0 + 10.0**2)
    part.unit = u.electron
    configured(doEmpiricalReadNoise=True).updateVariance(part, amp, given)
    np.testing.assert_allclose(part.variance.array, 100.0 + 6.0**2, rtol=0.03)


def test_variances_that_are_none() -> None:
    exposure = trimmed(variance=1.0)
    exposure.variance.array[3, [4, 5, 6]] = 0.0, -1.0, np.nan
    configured().maskNegativeVariance(exposure)
    np.testing.assert_array_equal(np.argwhere(exposure.bits == BAD), [[3, 4], [3, 5]])
    configured(negativeVarianceMaskName="EDGE").maskNegativeVariance(exposure)
    assert exposure.bits[3, 4] == BAD | bitmask("EDGE")


def test_dark_of_a_second() -> None:
    exposure = trimmed(obs_info=lasting(40.0, 41.0))
    pixels, spread = exposure.image.array, exposure.variance.array
    dark = master(np.full(SHAPE, 0.25), u.electron / u.s, variance=1e-3)
    configured().darkCorrection(exposure, dark)
    assert exposure.image.array is pixels
    np.testing.assert_allclose(pixels, 100.0 - 41.0 * 0.25, rtol=1e-6)
    np.testing.assert_allclose(spread, 4.0 + 41.0**2 * 1e-3, rtol=1e-6)
    configured().darkCorrection(exposure, dark, invert=True)
    np.testing.assert_allclose(pixels, 100.0, rtol=1e-6)
    np.testing.assert_allclose(dark.image.array, 0.25)


@pytest.mark.parametrize("seconds", [0.0, 10.0, 60.0])
def test_a_dark_with_a_dark_time_is_scaled(seconds: float) -> None:
    exposure = trimmed(obs_info=lasting(seconds))
    configured().darkCorrection(exposure, trimmed(30.0, 9.0, obs_info=lasting(None, 20.0)))
    np.testing.assert_allclose(exposure.image.array, 100.0 - 30.0 * seconds / 20, rtol=1e-6)
    np.testing.assert_allclose(exposure.variance.array, 4.0 + 9.0 * (seconds / 20) ** 2, rtol=1e-6)


@pytest.mark.parametrize("info", [None, lasting(0.0)])
def test_a_dark_without_dark_time_is_one_of_a_second(
    info: ObservationInfo | None, caplog: pytest.LogCaptureFixture
) -> None:
    exposure = trimmed(obs_info=lasting(10.0))
    configured().darkCorrection(exposure, trimmed(3.0, obs_info=info))
    np.testing.assert_allclose(exposure.image.array, 70.0, rtol=1e-6)
    assert "no dark time" in caplog.text
    configured().darkCorrection(exposure, master(np.full(SHAPE, 3.0), u.electron), invert=True)
    np.testing.assert_allclose(exposure.image.array, 100.0, rtol=1e-6)
    assert caplog.text.count("no dark time") == 2


def test_dark_masks_and_missing_pixels() -> None:
    exposure = trimmed(obs_info=lasting(10.0))
    dark = master(np.ones(SHAPE), u.electron / u.s)
    dark.image.array[5, 6] = np.nan
    dark.mask.set("BAD", np.indices(SHAPE)[0] == 9)
    configured().darkCorrection(exposure, dark)
    assert exposure.image.array[5, 6] == 100.0
    expected = np.zeros(SHAPE, bool)
    expected[5, 6] = expected[9] = True
    np.testing.assert_array_equal(marked(exposure, "BAD"), expected)


@pytest.mark.parametrize("info", [None, lasting(None), lasting(math.nan)])
def test_an_unknown_dark_time(info: ObservationInfo | None) -> None:
    exposure = trimmed(obs_info=info)
    with pytest.raises(RuntimeError, match="dark time is nan"):
        configured().darkCorrection(exposure, master(np.ones(SHAPE)))
    assert (exposure.image.array == 100).all()
    assert not exposure.bits.any()


def test_flat_and_back() -> None:
    exposure = trimmed(1000.0 * FLAT)
    pixels, spread = exposure.image.array, exposure.variance.array
    flat = master(FLAT, variance=1e-4)
    configured(flatScalingType="USER").flatCorrection(exposure, flat)
    np.testing.assert_allclose(pixels, 1000.0, rtol=1e-6)
    np.testing.assert_allclose(spread, (4.0 + 1e-4 * 1000.0**2) / FLAT**2, rtol=1e-5)
    configured(flatScalingType="USER").flatCorrection(exposure, flat, invert=True)
    np.testing.assert_allclose(pixels, 1000.0 * FLAT, rtol=1e-6)
    assert (spread > 4.0).all()
    for kind, level in (("MEAN", FLAT.mean()), ("MEDIAN", np.median(FLAT))):
        exposure = trimmed(1000.0 * FLAT)
        configured(flatScalingType=kind).flatCorrection(exposure, flat)
        np.testing.assert_allclose(exposure.image.array, 1000.0 * level, rtol=1e-6)


@pytest.mark.parametrize("fails", [False, True])
def test_flat_context_gives_the_frame_back(fails: bool) -> None:
    signal = FLAT * MOCK.light() + 25.0
    exposure = trimmed(signal, 1000.0, obs_info=lasting(5.0))
    masters = MOCK.masters()
    task = configured(flatScalingType="USER")

    class BodyError(Exception):
        pass

    def body() -> None:
        with task.flatContext(exposure, masters["flat"], masters["dark"]) as inside:
            assert inside is exposure
            assert np.median(inside.image.array) == pytest.approx(np.median(MOCK.light()), abs=0.01)
            np.testing.assert_allclose(inside.image.array, MOCK.light(), rtol=1e-6)
            if fails:
                raise BodyError

    if fails:
        with pytest.raises(BodyError):
            body()
    else:
        body()
    np.testing.assert_allclose(exposure.image.array, signal, rtol=1e-6)
    np.testing.assert_allclose(exposure.variance.array, 1000.0, rtol=1e-5)


def test_flat_context_that_cannot_begin_leaves_nothing() -> None:
    exposure = trimmed(100.0, obs_info=lasting(5.0))
    task = configured()
    with (
        pytest.raises(RuntimeError, match="flat frame is"),
        task.flatContext(exposure, master(np.ones((3, 4))), master(np.ones(SHAPE))),
    ):
        pytest.fail("the context has begun")
    np.testing.assert_allclose(exposure.image.array, 100.0)


@pytest.mark.parametrize(("dark", "flat"), [(False, None), (None, False), (False, False)])
def test_flat_context_makes_what_the_settings_want(dark: bool | None, flat: bool | None) -> None:
    exposure = trimmed(100.0, obs_info=lasting(5.0))
    task = configured(flatScalingType="USER", doDark=dark, doFlat=flat)
    with task.flatContext(exposure, master(np.full(SHAPE, 2.0)), master(np.full(SHAPE, 4.0))):
        expected = (100.0 - (0.0 if dark is False else 20.0)) / (1.0 if flat is False else 2.0)
        np.testing.assert_allclose(exposure.image.array, expected)
    np.testing.assert_allclose(exposure.image.array, 100.0)
    with task.flatContext(exposure, master(np.full(SHAPE, 2.0))):
        np.testing.assert_allclose(exposure.image.array, 100.0 / (1.0 if flat is False else 2.0))


def test_a_pixel_without_response_keeps_its_value_in_the_flat_context() -> None:
    exposure = trimmed(100.0)
    response = FLAT.copy()
    response[3, [4, 5, 6]] = 0.0, -1.0, np.nan
    with configured(flatScalingType="USER").flatContext(exposure, master(response)):
        assert exposure.image.array[3, 4:7].tolist() == [100.0] * 3
    np.testing.assert_allclose(exposure.image.array, 100.0, rtol=1e-6)


@pytest.mark.parametrize("listed", ["table", "boxes"])
def test_defects_take_values_from_their_neighbours(listed: str) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    truth = 500.0 + 0.5 * y
    rows = [(150, 40, 2, 30), (-3, 100, 5, 1), (195, 203, 20, 20)]
    expected = ((x >= 150) & (x < 152) & (y >= 40) & (y < 70)) | ((x < 2) & (y == 100)) | ((x >= 195) & (y == 203))
    exposure = trimmed(np.where(expected, -9000.0, truth))
    defects: Table | list[Box] = boxes(*rows)
    if listed == "boxes":
        defects = [Box.from_shape((height, width), start=(y0, x0)) for x0, y0, width, height in rows]
    configured().maskAndInterpDefect(exposure, defects)
    np.testing.assert_array_equal(exposure.bits == bitmask("BAD", "INTRP"), expected)
    np.testing.assert_array_equal(exposure.bits != 0, expected)
    np.testing.assert_allclose(exposure.image.array, truth, atol=0.3)
    assert np.isinf(exposure.variance.array[expected]).all()
    assert (exposure.variance.array[~expected] == 4).all()


@pytest.mark.parametrize(("level", "count"), [("DETECTOR", 3940), ("AMP", 11280)])
def test_edges_with_the_defects(level: str, count: int) -> None:
    exposure = trimmed(detector=camera().detector(DETECTOR))
    configured(numEdgeSuspect=5, edgeMaskLevel=level).maskAndInterpDefect(exposure, [])
    assert np.count_nonzero(marked(exposure, "SUSPECT")) == count
    assert not marked(exposure, "BAD", "INTRP").any()
    alone = trimmed()
    configured(numEdgeSuspect=5, edgeMaskLevel=level).maskAndInterpDefect(alone, [])
    assert np.count_nonzero(marked(alone, "SUSPECT")) == 3940


def test_what_is_not_a_number_gets_one(caplog: pytest.LogCaptureFixture) -> None:
    exposure = trimmed()
    exposure.image.array[10, [20, 30, 40]] = np.nan, np.inf, -np.inf
    exposure.variance.array[10, 50] = np.nan
    exposure.image.array[60, 60] = np.nan
    exposure.bits[60, 60] = BAD
    task = configured()
    task.maskAndInterpNan(exposure)
    places = [[10, 20], [10, 30], [10, 40], [10, 50], [60, 60]]
    np.testing.assert_array_equal(np.argwhere(marked(exposure, "UNMASKEDNAN")), places)
    np.testing.assert_array_equal(np.argwhere(marked(exposure, "INTRP")), places)
    np.testing.assert_allclose(exposure.image.array, 100.0, rtol=1e-6)
    assert task.metadata["NUMNANS"] == 5
    assert "5 pixels are not numbers" in caplog.text


def test_numbers_stay(caplog: pytest.LogCaptureFixture) -> None:
    exposure = trimmed()
    task = configured()
    task.maskAndInterpNan(exposure)
    assert task.metadata["NUMNANS"] == 0
    assert not exposure.bits.any()
    assert "not numbers" not in caplog.text


@pytest.mark.parametrize(("growth", "count"), [(0, 1), (1, 5), (2, 13)])
def test_saturated_pixels_take_values_from_their_neighbours(growth: int, count: int) -> None:
    exposure = trimmed()
    exposure.image.array[50, 60] = 65000.0
    exposure.bits[50, 60] = SAT
    exposure.bits[100, 100] = BAD
    configured(growSaturationFootprintSize=growth).saturationInterpolation(exposure)
    assert np.count_nonzero(marked(exposure, "SAT")) == count
    np.testing.assert_array_equal(marked(exposure, "SAT"), marked(exposure, "INTRP"))
    y, x = np.nonzero(marked(exposure, "SAT"))
    assert (np.abs(y - 50) + np.abs(x - 60)).max() == growth
    np.testing.assert_allclose(exposure.image.array, 100.0, rtol=1e-6)


def disc(detector: Detector, x: float, y: float, radius: float) -> Polygon:
    """A field in the focal plane, its centre and radius in pixels of the detector."""
    centre = detector.to_focal_plane.apply_forward(x=x, y=y)
    return unvignetted_field(
        VignetteSettings(
            x_centre_mm=centre.x, y_centre_mm=centre.y, radius_mm=radius * detector.pixel_size, polygon_points=200
        )
    )


def test_part_of_the_detector_that_sees_the_sky(caplog: pytest.LogCaptureFixture) -> None:
    detector = camera().detector(DETECTOR)
    exposure, task = trimmed(detector=detector), configured()
    task.setValidPolygonIntersect(exposure, disc(detector, 100.0, 100.0, 50.0))
    assert exposure.valid_polygon is not None
    assert exposure.valid_polygon.area == pytest.approx(math.pi * 50**2, rel=1e-3)
    task.setValidPolygonIntersect(exposure, disc(detector, -0.5, 100.0, 50.0))
    assert exposure.valid_polygon is not None
    assert exposure.valid_polygon.area == pytest.approx(math.pi * 50**2 / 2, rel=1e-3)
    assert exposure.valid_polygon.x_vertices.min() == pytest.approx(-0.5)
    task.setValidPolygonIntersect(exposure, disc(detector, 100.0, 100.0, 5000.0))
    assert exposure.valid_polygon is not None
    assert exposure.valid_polygon.area == pytest.approx(200 * 204)
    with caplog.at_level(logging.INFO):
        task.setValidPolygonIntersect(exposure, disc(detector, 5000.0, 100.0, 50.0))
    assert exposure.valid_polygon is None
    assert "does not overlap detector det20" in caplog.text
    assert not exposure.bits.any()
    exposure.detector = None
    with pytest.raises(RuntimeError, match="no detector"):
        task.setValidPolygonIntersect(exposure, disc(detector, 100.0, 100.0, 50.0))


def test_zero_point_of_a_known_filter(caplog: pytest.LogCaptureFixture) -> None:
    exposure = trimmed(obs_info=lasting(30.0))
    configured(fluxMag0T1={"r": 2e11}).roughZeroPoint(exposure)
    assert exposure.photo_calib is not None
    # 3631 Jy is AB magnitude 0; the 31.4 mag of a nanojansky are rounded.
    assert exposure.photo_calib.calibration_mean == pytest.approx(3631e9 / (2e11 * 30.0), rel=1e-4)
    assert exposure.photo_calib.calibration_err == 0.0
    assert exposure.photo_calib.zero_point_mag == pytest.approx(2.5 * math.log10(2e11 * 30.0))
    assert not any(record.levelname == "WARNING" for record in caplog.records)


def test_zero_point_of_another_filter(caplog: pytest.LogCaptureFixture) -> None:
    exposure = trimmed(obs_info=lasting(1.0))
    configured(defaultFluxMag0T1=1.0).roughZeroPoint(exposure)
    assert exposure.photo_calib is not None
    assert exposure.photo_calib.calibration_mean == pytest.approx(3.630780547701e12, rel=1e-12)
    assert not any(record.levelname == "WARNING" for record in caplog.records)
    configured(fluxMag0T1={"g": 2.0}).roughZeroPoint(exposure)
    assert "set for filter r" in caplog.text


@pytest.mark.parametrize(("seconds", "level"), [(0.0, "DEBUG"), (-1.0, "WARNING"), (math.nan, "WARNING")])
def test_no_zero_point_without_exposure_time(seconds: float, level: str, caplog: pytest.LogCaptureFixture) -> None:
    exposure = trimmed(obs_info=lasting(seconds))
    with caplog.at_level(logging.DEBUG):
        configured().roughZeroPoint(exposure)
    assert exposure.photo_calib is None
    assert [record.levelname for record in caplog.records if "No rough zero point" in record.message] == [level]
    exposure.obs_info = None
    configured().roughZeroPoint(exposure)
    assert exposure.photo_calib is None


def test_background(caplog: pytest.LogCaptureFixture) -> None:
    exposure = trimmed(np.random.default_rng(2).normal(700.0, 10.0, SHAPE))
    task = configured(**{"qa.flatness.meshX": 50, "qa.flatness.meshY": 51})
    task.measureBackground(exposure)
    task.measureBackground(exposure, None)
    assert exposure.metadata == {}
    exposure.image.array[:51, :50] *= 1.1
    task.measureBackground(exposure, task.config.qa)
    assert exposure.metadata["SKYLEVEL"] == pytest.approx(700.0, abs=1.5)
    assert exposure.metadata["SKYSIGMA"] == pytest.approx(10.0, rel=0.2)
    assert exposure.metadata["FLATNESS_PP"] == pytest.approx(0.1, abs=0.002)
    assert exposure.metadata["FLATNESS_RMS"] == pytest.approx(0.1 * math.sqrt(15) / 16, abs=0.001)
    assert exposure.metadata["FLATNESS_NGRIDS"] == "4x4"
    assert not any(record.levelname == "WARNING" for record in caplog.records)
    exposure.image.array[...] = np.nan
    task.measureBackground(exposure, task.config.qa)
    assert "cannot be measured" in caplog.text
    assert math.isnan(exposure.metadata["FLATNESS_RMS"])


@pytest.mark.parametrize("value", [None, np.nan])
def test_a_picture_of_a_step(value: float | None) -> None:
    plt.close("all")
    exposure, task = trimmed(MOCK.light()), configured()
    if value is not None:
        exposure.image.array[...] = value
    task.debugView(exposure, "flat")
    assert plt.get_fignums() == []
    task.debug_frames = {"flat": 7}
    task.debugView(exposure, "dark")
    assert plt.get_fignums() == []
    for _ in range(2):
        task.debugView(exposure, "flat")
    assert plt.get_fignums() == [7]
    axes = plt.figure(7).axes[0]
    assert axes.get_title() == "flat"
    (picture,) = (child for child in axes.get_children() if isinstance(child, AxesImage))
    np.testing.assert_array_equal(np.ma.filled(picture.get_array(), np.nan), exposure.image.array)
    plt.close("all")


def test_pictures_during_a_run() -> None:
    plt.close("all")
    task = configured()
    task.debug_frames = {"overscan": 1, "gains": 2, "exposure": 3, "no such step": 4}
    task.run(MOCK.raw(COUNTS))
    assert plt.get_fignums() == [1, 2, 3]
    plt.close("all")


@pytest.mark.parametrize("wanted", [True, None, False])
def test_linearity_is_wanted_by_settings_and_description(wanted: bool | None) -> None:
    detector = camera().detector(DETECTOR)
    task = configured(doLinearize=wanted)
    assert task.doLinearize(detector) is False
    first = detector.amplifiers[0]
    assert first.nominal_calibrations is not None
    squared = first.nominal_calibrations.model_copy(update={"linearity_type": "Squared"})
    detector.amplifiers[0] = first.model_copy(update={"nominal_calibrations": squared})
    assert task.doLinearize(detector) is (wanted is not False)


def test_the_methods_one_after_the_other_are_the_run() -> None:
    """Whoever makes their own list of the steps gets what the task gives."""
    mock = Mock(gain=1.7, seed=4)
    raw, masters, defects = mock.raw(), mock.masters(), boxes((120, 130, 1, 20))
    settings = {"overscan.fitType": "MEAN", "saturation": 20000.0, "doWidenSaturationTrails": False}
    task = configured(**settings)
    reference = task.run(raw, **masters, defects=defects).exposure
    whole = task.convertIntToFloat(raw)
    assert whole.detector is not None
    image, bits = np.empty(SHAPE, np.float32), np.zeros(SHAPE, np.int32)
    for one, name, region in zip(whole.detector.amplifiers, NAMES, REGIONS, strict=True):
        assert one.name == name
        assert one.assembled_raw_geometry is not None
        assert not task.maskAmplifier(whole, one, defects)
        task.overscanCorrection(whole, one)
        part = whole[one.assembled_raw_geometry.data_bbox]
        image[region], bits[region] = part.image.array, part.bits
    image -= mock.bias_structure()
    mine = Exposure.from_arrays(1.7 * image, bits, unit=u.electron, obs_info=raw.obs_info, detector=raw.detector)
    for one in whole.detector.amplifiers:
        task.updateVariance(mine[one.bbox], one)
    task.darkCorrection(mine, masters["dark"])
    task.flatCorrection(mine, masters["flat"])
    task.maskAndInterpDefect(mine, defects)
    task.saturationInterpolation(mine)
    np.testing.assert_allclose(mine.image.array, reference.image.array, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(mine.variance.array, reference.variance.array, rtol=1e-4)
    np.testing.assert_array_equal(mine.bits, reference.bits)
    assert marked(mine, "SAT").any()


def test_frames_are_not_changed_by_a_run() -> None:
    raw, masters = MOCK.raw(COUNTS.copy()), MOCK.masters()
    before = {name: one.image.array.copy() for name, one in masters.items()}
    configured().run(replace(raw), **masters, defects=boxes((10, 10, 5, 5)))
    np.testing.assert_array_equal(raw.image, COUNTS)
    for name, one in masters.items():
        np.testing.assert_array_equal(one.image.array, before[name])
        assert not one.mask.array.any()
