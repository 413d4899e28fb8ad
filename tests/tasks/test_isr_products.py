"""What `IsrTask.run` gives beside the frame, and what its rarer settings do to it."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io.fits import Header
from lsst.images._transforms import _ast
from lsst.images.cameras import CameraFrameSet, Detector
from lsst.images.serialization import read_archive, write_archive
from lsst.pipe.base import Struct
from mock_frames import (
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
    read_out,
    untrimmed,
)

from skyloom.images import Exposure, RawExposure, bitmask, from_post_isr, pixel_to_radec, to_post_isr
from skyloom.isr import IsrFrame, TransmissionCurve, linearity_of, transmission_from_data
from skyloom.tasks import CfhtIsrTask, IsrTask

MOCK = Mock()
COUNTS = MOCK.counts()
EXACT = {"overscan.fitType": "MEDIAN_PER_ROW", "flatScalingType": "USER"}
DEFECTS = boxes((150, 150, 3, 10), (20, 190, 5, 5))


def run(mock: Mock | None = None, /, calibrations: dict[str, Any] | None = None, **settings: Any) -> Struct:
    """Of a frame, mostly that without noise, with its masters."""
    mock = mock or MOCK
    raw = mock.raw(COUNTS if mock is MOCK else None)
    return configured(**EXACT | settings).run(raw, **mock.masters() | {"defects": DEFECTS} | (calibrations or {}))


@pytest.fixture(scope="module")
def everything() -> Struct:
    """All products."""
    kept = ("doSaveInterpPixels", "doBinnedExposures", "qa.doThumbnailOss", "qa.doThumbnailFlattened")
    settings = dict.fromkeys((*kept, "doMeasureBackground", "doEmpiricalReadNoise"), True)
    return run(Mock(seed=3), **settings, **{"qa.thumbnailRange": 300.0})


FIELDS = {
    "exposure",
    "outputExposure",
    "preInterpExposure",
    "ossThumb",
    "outputOssThumbnail",
    "flattenedThumb",
    "outputFlattenedThumbnail",
    "outputBin1Exposure",
    "outputBin2Exposure",
}


def test_fields_of_the_result(everything: Struct) -> None:
    assert set(everything.getDict()) == FIELDS
    assert all(value is not None for value in everything.getDict().values())
    assert everything.outputExposure is everything.exposure
    assert everything.outputOssThumbnail is everything.ossThumb
    assert everything.outputFlattenedThumbnail is everything.flattenedThumb
    plain = run().getDict()
    assert set(plain) == FIELDS
    assert {name for name, value in plain.items() if value is not None} == {"exposure", "outputExposure"}


@pytest.mark.parametrize("kind", [IsrTask, CfhtIsrTask])
def test_the_order_of_the_arguments(kind: type[IsrTask]) -> None:
    names = list(inspect.signature(kind.run).parameters)
    assert names[1:10] == [
        "ccdExposure", "bias", "linearizer", "dark", "flat", "defects", "fringes", "bfKernel", "camera",
    ]  # fmt: skip
    masters = MOCK.masters()
    task = configured(**EXACT)
    by_place = task.run(MOCK.raw(COUNTS), masters["bias"], None, masters["dark"], masters["flat"], DEFECTS).exposure
    np.testing.assert_array_equal(by_place.image.array, run().exposure.image.array)


def test_thumbnails(everything: Struct) -> None:
    shape = (204 // 4, 200 // 4, 3)
    for picture in (everything.ossThumb, everything.flattenedThumb):
        assert picture.shape == shape
        assert picture.dtype == np.uint8
    # The sky of the one falls off to the edges as the response does, that of the other is flat; both have the star.
    sky = {
        name: picture[..., 0].astype(float)
        for name, picture in (("before", everything.ossThumb), ("after", everything.flattenedThumb))
    }
    assert sky["before"][20:30, 20:30].mean() > 1.15 * sky["before"][20:30, :3].mean()
    assert sky["after"][20:30, 20:30].mean() == pytest.approx(sky["after"][20:30, :3].mean(), rel=0.1)
    for picture in sky.values():
        assert picture[6, 12] == picture.max()


def test_thumbnails_of_another_size() -> None:
    found = run(**{"qa.doThumbnailOss": True, "qa.thumbnailBinning": 10})
    assert found.ossThumb.shape == (20, 20, 3)
    assert found.flattenedThumb is None


@pytest.mark.parametrize(
    ("name", "factor", "left"), [("outputBin1Exposure", 8, (4, 0)), ("outputBin2Exposure", 64, (12, 8))]
)
def test_coarser_pixels(everything: Struct, name: str, factor: int, left: tuple[int, int]) -> None:
    fine, coarse = everything.exposure, getattr(everything, name)
    rows, columns = coarse.image.array.shape
    assert (204 - rows * factor, 200 - columns * factor) == left
    assert coarse.image.unit == u.electron
    for row in range(rows):
        for column in range(columns):
            block = (slice(row * factor, (row + 1) * factor), slice(column * factor, (column + 1) * factor))
            pixels, variance = fine.image.array[block].astype(float), fine.variance.array[block].astype(float)
            assert coarse.image.array[row, column] == pytest.approx(pixels.mean(), rel=1e-5)
            assert coarse.mask.array[row, column, 0] == np.bitwise_or.reduce(fine.bits[block], axis=None)
            if np.isfinite(variance).all():
                assert coarse.variance.array[row, column] == pytest.approx(variance.mean() / factor**2, rel=1e-5)


def test_the_variance_of_coarser_pixels_is_that_of_what_was_measured() -> None:
    defects = boxes((0, 0, 8, 8), (8, 0, 3, 8))
    found = run(calibrations={"defects": defects}, doBinnedExposures=True, binFactor1=8)
    fine, coarse = found.exposure, found.outputBin1Exposure
    assert np.isinf(fine.variance.array[:8, :11]).all()
    assert coarse.variance.array[0, 0] == np.inf
    assert coarse.variance.array[0, 1] == pytest.approx(fine.variance.array[:8, 11:16].mean() / 40, rel=1e-5)


def test_the_frame_before_interpolation(everything: Struct) -> None:
    before, after = everything.preInterpExposure, everything.exposure
    assert not marked(before, "INTRP").any()
    np.testing.assert_array_equal(marked(before, "BAD"), marked(after, "INTRP"))
    assert np.count_nonzero(marked(before, "BAD")) == 55
    bad = marked(before, "BAD")
    np.testing.assert_array_equal(before.image.array[~bad], after.image.array[~bad])
    assert (before.image.array[bad] != after.image.array[bad]).mean() > 0.9
    assert np.isfinite(before.variance.array).all()
    assert np.isinf(after.variance.array[bad]).all()


def test_only_what_is_listed_is_interpolated() -> None:
    image = COUNTS.copy()
    image[100, 60] = np.nan
    image[110, 60] = 65000.0
    for settings, expected in (
        ({}, {"BAD", "SAT", "UNMASKEDNAN"}),
        ({"doInterpolate": False}, set()),
        ({"doSaturationInterpolation": False}, {"BAD", "UNMASKEDNAN"}),
        ({"maskListToInterpolate": ["SAT"]}, {"SAT", "UNMASKEDNAN"}),
        ({"maskListToInterpolate": ["BAD"], "doSaturationInterpolation": False}, {"BAD", "UNMASKEDNAN"}),
        ({"maskListToInterpolate": [], "doNanInterpolation": False}, {"SAT"}),
    ):
        exposure = configured(**EXACT | settings).run(MOCK.raw(image), **MOCK.masters(), defects=DEFECTS).exposure
        done = marked(exposure, "INTRP")
        for plane in ("BAD", "SAT", "UNMASKEDNAN"):
            assert marked(exposure, plane).any()
            assert done[marked(exposure, plane)].all() == done[marked(exposure, plane)].any() == (plane in expected)


@pytest.mark.parametrize(("statistic", "level"), [("MEDIAN", 1000.0), ("MEANCLIP", 1000.0)])
def test_bad_pixels_that_are_not_interpolated_get_the_level_of_the_frame(statistic: str, level: float) -> None:
    settings = {"maskListToInterpolate": ["SAT"], "badStatistic": statistic}
    exposure = run(**settings).exposure
    np.testing.assert_allclose(exposure.image.array[marked(exposure, "BAD")], level, atol=0.5)
    assert exposure.metadata["LSST ISR BAD PIXELS FILLED"] == 55
    left = run(**settings, doSetBadRegions=False).exposure
    np.testing.assert_allclose(left.image.array, MOCK.light(), rtol=1e-5)


def test_metadata(everything: Struct) -> None:
    metadata = everything.exposure.metadata
    assert metadata["LSST ISR UNITS"] == "electron"
    assert metadata["LSST ISR OVERSCAN SERIAL UNITS"] == "adu"
    assert {
        kind: metadata[f"LSST ISR {kind} APPLIED"] for kind in ("BIAS", "DARK", "FLAT", "DEFECTS")
    } == dict.fromkeys(("BIAS", "DARK", "FLAT", "DEFECTS"), True)
    for kind in ("CROSSTALK", "LINEARIZER", "BF", "FRINGE", "ILLUMINATION"):
        assert metadata[f"LSST ISR {kind} APPLIED"] is False
    assert (metadata["LSST ISR GAIN SOURCE"], metadata["LSST ISR NOISE SOURCE"]) == ("amp", "serial overscan")
    assert metadata["LSST ISR READNOISE UNITS"] == "electron"
    image = everything.exposure.image.array
    for name, region in zip(NAMES, REGIONS, strict=True):
        assert metadata[f"LSST ISR OVERSCAN SERIAL MEAN {name}"] == pytest.approx(8000.0, abs=1.0)
        assert metadata[f"LSST ISR OVERSCAN SERIAL MEDIAN {name}"] == pytest.approx(8000.0, abs=3.0)
        assert metadata[f"LSST ISR OVERSCAN SERIAL STDEV {name}"] == pytest.approx(29.44, rel=0.02)
        assert metadata[f"LSST ISR OVERSCAN RESIDUAL SERIAL MEAN {name}"] == pytest.approx(0.0, abs=0.5)
        assert metadata[f"LSST ISR OVERSCAN RESIDUAL SERIAL MEDIAN {name}"] == pytest.approx(0.0, abs=0.5)
        assert metadata[f"LSST ISR OVERSCAN RESIDUAL SERIAL STDEV {name}"] == pytest.approx(5.0, rel=0.1)
        assert metadata[f"LSST GAIN {name}"] == metadata[f"LSST ISR GAIN {name}"] == 1.0
        assert metadata[f"LSST READNOISE {name}"] == metadata[f"LSST ISR READNOISE {name}"] == pytest.approx(5, rel=0.1)
        assert metadata[f"LSST ISR MASK SAT {name}"] == 0
        assert metadata[f"LSST ISR MASK BAD {name}"] == {"C30": 25, "C21": 9, "C31": 21}.get(name, 0)
        finite = image[region]
        assert metadata[f"LSST ISR FINAL MEAN {name}"] == pytest.approx(finite.mean(dtype=float), rel=1e-6)
        assert metadata[f"LSST ISR FINAL MEDIAN {name}"] == pytest.approx(np.median(finite), rel=1e-6)
        assert metadata[f"LSST ISR FINAL STDEV {name}"] == pytest.approx(33.0, rel=0.1)
        level = metadata[f"LSST ISR FINAL MEDIAN {name}"] - metadata[f"LSST ISR OVERSCAN SERIAL MEDIAN {name}"]
        assert metadata[f"LSST ISR LEVEL {name}"] == pytest.approx(level)
        assert metadata[f"ISR BACKGROUND {name} MEDIAN"] == pytest.approx(1000.0, abs=5.0)
        assert metadata[f"ISR VARIANCE {name} MEDIAN"] == pytest.approx(1140.0, rel=0.1)
    assert metadata["NUMNANS"] == 0
    assert metadata["SKYLEVEL"] == pytest.approx(1000.0, abs=2.0)
    assert metadata["FLATNESS_NGRIDS"] == "1x1"


def test_metadata_of_the_task_are_those_of_the_frame() -> None:
    task = configured(**EXACT)
    exposure = task.run(MOCK.raw(COUNTS), **MOCK.masters()).exposure
    for key, value in exposure.metadata.items():
        found = task.metadata[key]
        assert found == value or (isinstance(value, float) and math.isnan(value) and math.isnan(found))
    task.emptyMetadata()
    assert not list(task.metadata)


def test_the_metadata_are_kept_on_disk(tmp_path: Path) -> None:
    """Those that are not numbers, and lists, too."""
    exposure = run(calibrations={"defects": boxes((0, 0, 100, 51))}, interpolate_max_run=5).exposure
    assert math.isnan(exposure.metadata["LSST ISR FINAL MEDIAN C00"])
    write_archive(to_post_isr(exposure), str(tmp_path / "frame.fits"))
    found = from_post_isr(read_archive(str(tmp_path / "frame.fits")))
    assert found.metadata["LSST ISR BAD AMPLIFIERS"] == '["C00"]'
    for key, value in exposure.metadata.items():
        if isinstance(value, float) and math.isnan(value):
            assert math.isnan(found.metadata[key])
        elif not isinstance(value, list):
            assert found.metadata[key] == value
    np.testing.assert_array_equal(found.image.array, exposure.image.array)
    np.testing.assert_array_equal(found.bits, exposure.bits)


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("LSST ISR FINAL MEDIAN C00", {"doStandardStatistics": False}),
        ("ISR BACKGROUND C00 MEDIAN", {"qa.saveStats": False}),
        ("SKYLEVEL", {"doMeasureBackground": False}),
    ],
)
def test_figures_that_are_not_wanted(key: str, settings: dict[str, Any], everything: Struct) -> None:
    assert key in everything.exposure.metadata
    assert key not in run(**settings).exposure.metadata


def test_gains_and_noises_of_a_photon_transfer_curve() -> None:
    curve = {"amplifiers": {name: {"gain": 1.1 + 0.1 * n, "read_noise": 3.0 + n} for n, name in enumerate(NAMES)}}
    calibrations = {"ptc": curve, "dark": None, "flat": None}
    reference = run(calibrations=calibrations).exposure
    both = run(calibrations=calibrations, usePtcGains=True, usePtcReadNoise=True).exposure
    noise = run(calibrations=calibrations, usePtcReadNoise=True).exposure
    measured = ~marked(reference, "INTRP")
    for n, region in enumerate(REGIONS):
        good = measured[region]
        gain = 1.1 + 0.1 * n
        image = reference.image.array[region][good]
        np.testing.assert_allclose(both.image.array[region][good], gain * image, rtol=1e-6)
        np.testing.assert_allclose(both.variance.array[region][good], gain * image + (3.0 + n) ** 2, rtol=1e-5)
        np.testing.assert_allclose(noise.variance.array[region][good], image + (3.0 + n) ** 2, rtol=1e-5)
    assert both.metadata["LSST ISR GAIN C31"] == pytest.approx(1.8)
    assert both.detector is not None
    assert amplifier(MOCK.raw(COUNTS), "C31").nominal_calibrations.gain == 1.0  # type: ignore[union-attr]


@pytest.mark.parametrize(("filters", "divided"), [(["r"], True), (["i"], False), ([], False)])
def test_illumination_by_filter(filters: list[str], divided: bool) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = 1.0 + 0.05 * np.sin(x / 40.0) + 0.001 * y
    settings = {"doIlluminationCorrection": True, "illumFilters": filters, "illumScale": 2.0}
    exposure = run(calibrations={"illumMaskedImage": master(light)}, **settings).exposure
    good = ~marked(exposure, "INTRP")
    expected = MOCK.light() * (2.0 / light if divided else 1.0)
    np.testing.assert_allclose(exposure.image.array[good], expected[good], rtol=1e-5)
    assert exposure.metadata["LSST ISR ILLUMINATION APPLIED"] is divided


VIGNETTE = {"doVignette": True, "vignette.radius": 0.9, "vignette.xCenter": 0.2}
"""90 pixels about the place 20 pixels to the right of the middle."""


@pytest.mark.parametrize("value", [None, 0.0, -50.0])
def test_vignetted_pixels(value: float | None) -> None:
    exposure = run(**VIGNETTE, vignetteValue=value).exposure
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    radius = np.hypot(x - 119.5, y - 101.5)
    outside = marked(exposure, "VIGNETTED")
    assert outside[radius > 90.2].all()
    assert not outside[radius < 89.7].any()
    np.testing.assert_array_equal(marked(exposure, "NO_DATA"), outside)
    np.testing.assert_array_equal(exposure.image.array[outside], np.float32(np.nan if value is None else value))
    assert np.isinf(exposure.variance.array[outside]).all()
    inside = (radius < 89.0) & ~marked(exposure, "INTRP")
    np.testing.assert_allclose(exposure.image.array[inside], MOCK.light()[inside], rtol=1e-5)
    assert exposure.metadata["LSST ISR VIGNETTED PIXELS"] == np.count_nonzero(outside)
    assert exposure.valid_polygon is not None
    # One side of the circle is cut off by the edge of the detector, 80.5 pixels from its centre.
    angle = math.acos(80.0 / 90.0)
    assert exposure.valid_polygon.area == pytest.approx(90**2 * (math.pi - angle + math.sin(2 * angle) / 2), rel=5e-3)


def test_vignetting_that_is_not_marked_or_not_there() -> None:
    exposure = run(**VIGNETTE, doMaskVignettePolygon=False, vignetteValue=-5.0).exposure
    assert exposure.valid_polygon is not None
    assert not marked(exposure, "VIGNETTED", "NO_DATA").any()
    wide = run(doVignette=True, **{"vignette.radius": 10.0}).exposure
    assert wide.valid_polygon is not None
    assert wide.valid_polygon.area == pytest.approx(204 * 200)
    assert not marked(wide, "VIGNETTED").any()
    assert run().exposure.valid_polygon is None
    away = run(doVignette=True, **{"vignette.xCenter": 50.0, "vignette.radius": 1.0}).exposure
    assert away.valid_polygon is None
    assert marked(away, "VIGNETTED").all()


CURVES = {
    "atmosphere": {"wavelengths": [4000.0, 8000.0], "throughput": [0.6, 1.0], "beyond": [0.6, 1.0]},
    "optics": {"wavelengths": [4000.0, 8000.0], "throughput": [[0.9, 0.9], [0.5, 0.5]], "radii": [0.0, 1.0]},
    "filter": {"wavelengths": [4999.0, 5000.0, 7000.0, 7001.0], "throughput": [0.0, 1.0, 1.0, 0.0]},
    "sensor": {
        "wavelengths": [4000.0, 8000.0],
        "throughput": [[[0.8, 0.8], [0.4, 0.4]], [[0.8, 0.8], [0.4, 0.4]]],
        "x": [0.0, 199.0],
        "y": [0.0, 203.0],
    },
}


@pytest.mark.parametrize("absent", [None, *CURVES])
def test_the_throughput_is_the_product_of_all(absent: str | None) -> None:
    curves: dict[str, TransmissionCurve | None] = {
        f"{name}Transmission": None if name == absent else transmission_from_data(data) for name, data in CURVES.items()
    }
    found = run(calibrations=curves, doAttachTransmissionCurve=True).exposure.transmission
    x, y, wavelengths = np.array([99.5, 149.5, 0.0]), np.array([101.5, 101.5, 101.5]), np.array([4500.0, 6000.0])
    parts = {
        "atmosphere": np.interp(wavelengths, [4000, 8000], [0.6, 1.0])[None, :],
        "optics": np.interp(np.abs(x - 99.5) / 100.0, [0, 1], [0.9, 0.5])[:, None],  # pixels of 10 micrometres
        "filter": np.array([[0.0, 1.0]]),
        "sensor": np.interp(x, [0, 199], [0.8, 0.4])[:, None],
    }
    expected = np.ones((3, 2))
    for name, part in parts.items():
        expected = expected * (1.0 if name == absent else part)
    np.testing.assert_allclose(found.sample_at(x, y, wavelengths), expected, atol=1e-9)
    assert run(calibrations=curves).exposure.transmission is None


@pytest.mark.parametrize("gain", [math.nan, 1.5])
def test_a_frame_of_which_nothing_is_known(gain: float) -> None:
    image = np.random.default_rng(1).integers(100, 200, (60, 70)).astype(np.uint16)
    image[10, 20] = 5000
    image[30, 40] = 4999
    frame = RawExposure(image=image, header=Header(), file="unknown.fits")
    settings = {"doAssembleCcd": False, "gain": gain, "readNoise": 4.0, "saturation": 5000.0}
    settings |= {"growSaturationFootprintSize": 0, "doInterpolate": False}
    exposure = configured(**settings).run(frame).exposure
    used = 1.0 if math.isnan(gain) else gain
    np.testing.assert_allclose(exposure.image.array, used * image, rtol=1e-6)
    np.testing.assert_allclose(exposure.variance.array, used * image + 16.0, rtol=1e-6)
    np.testing.assert_array_equal(np.argwhere(exposure.bits), [[10, 20]])
    assert exposure.bits[10, 20] == bitmask("SAT")
    assert exposure.unit == u.electron
    open_ended = configured(**settings | {"saturation": math.nan}).run(frame).exposure
    assert not open_ended.bits.any()


def test_a_frame_with_a_detector_is_assembled_all_the_same() -> None:
    exposure = run(doAssembleCcd=False).exposure
    np.testing.assert_array_equal(exposure.image.array, run().exposure.image.array)


@pytest.mark.parametrize("before", [np.uint16, np.float32])
def test_an_untrimmed_exposure_is_as_good_as_a_raw_frame(before: type) -> None:
    raw = MOCK.raw(COUNTS.astype(before))
    task = configured(**EXACT)
    exposure = task.run(untrimmed(raw), **MOCK.masters()).exposure
    reference = task.run(raw, **MOCK.masters()).exposure
    np.testing.assert_allclose(exposure.image.array, reference.image.array, atol=1e-2)
    np.testing.assert_array_equal(exposure.bits, reference.bits)
    assert exposure.physical_filter == "r"


class HookedTask(IsrTask):
    """A task of a camera whose lamp leaks, and whose corner is of no use."""

    seen: list[str]

    def mask_camera_specific(self, frame: IsrFrame) -> None:
        self.seen.append("masks")
        assert ((frame.bits & bitmask("BAD")) != 0).sum() == 55  # that of the defects is there
        frame.bits[:10, :10] |= bitmask("BAD")

    def subtract_stray_light(self, frame: IsrFrame) -> None:
        self.seen.append("light")
        assert frame.unit == u.electron
        # The dark is off, the flat is still on.
        np.testing.assert_allclose(frame.image[100, 100], FLAT[100, 100] * 1000.0 + 70.0, rtol=1e-5)
        frame.image -= 70.0


@pytest.mark.parametrize("wanted", [True, False])
def test_steps_of_a_camera(wanted: bool) -> None:
    task = HookedTask(config=configured(**EXACT, doStrayLight=wanted, doCameraSpecificMasking=wanted).config)
    task.seen = []
    raw = MOCK.raw(read_out(FLAT * MOCK.light() + 25.0 + 70.0 + MOCK.bias_structure(), MOCK.levels()))
    exposure = task.run(raw, **MOCK.masters(), defects=DEFECTS).exposure
    assert task.seen == (["masks", "light"] if wanted else [])
    assert marked(exposure, "BAD")[:10, :10].all() == wanted
    good = ~marked(exposure, "BAD")
    expected = MOCK.light() + (0.0 if wanted else 70.0 / FLAT)
    np.testing.assert_allclose(exposure.image.array[good], expected[good], rtol=1e-5)


def test_the_steps_that_there_are_do_nothing() -> None:
    both = run(doStrayLight=True, doCameraSpecificMasking=True).exposure
    np.testing.assert_array_equal(both.image.array, run().exposure.image.array)


def bent(detector: Detector, growth: float) -> Detector:
    """The same detector behind optics whose field angle is s r (1 + growth r^2), r in mm."""
    s = math.radians(0.2 / 3600) / 0.01
    k = s * growth
    frames = _ast.FrameSet(_ast.Frame(2, "Ident=FOCAL_PLANE,Unit(1)=mm,Unit(2)=mm"))
    terms = [[s, 1, 1, 0], [k, 1, 3, 0], [k, 1, 1, 2], [s, 2, 0, 1], [k, 2, 0, 3], [k, 2, 2, 1]]
    optics = _ast.PolyMap(terms, 2, "IterInverse=1,NiterInverse=20,TolInverse=1e-12")
    frames.addFrame(1, optics, _ast.Frame(2, "Ident=FIELD_ANGLE,Unit(1)=rad,Unit(2)=rad"))
    pixels = _ast.Frame(2, f"Ident=DETECTOR_{detector.id}")
    pixels._impl.Bottom_1, pixels._impl.Top_1 = 0, 200
    pixels._impl.Bottom_2, pixels._impl.Top_2 = 0, 204
    to_pixels = _ast.CmpMap(_ast.MatrixMap(100.0 * np.eye(2)), _ast.ShiftMap([99.5, 101.5]), True)
    frames.addFrame(1, to_pixels, pixels)
    return Detector(detector._attributes, detector.amplifiers, CameraFrameSet("mock", frames), visit=detector.visit)


@pytest.mark.parametrize("wanted", [True, False])
def test_distortion(wanted: bool) -> None:
    raw = MOCK.raw(COUNTS)
    assert raw.detector is not None
    growth = 0.002
    exposure = configured(doAddDistortionModel=wanted).run(replace(raw, detector=bent(raw.detector, growth))).exposure
    assert exposure.projection is not None
    x = np.array([99.5, 199.5, -0.5])
    ra, dec = pixel_to_radec(exposure.projection, x, np.full(3, 101.5))
    radius = np.abs(x - 99.5)
    expected = 0.2 * radius * (1.0 + wanted * growth * (radius / 100.0) ** 2)
    offset = np.hypot((ra - 150.0) * np.cos(np.radians(2.2)), dec - 2.2) * 3600
    np.testing.assert_allclose(offset, expected, atol=1e-3)  # 0.04 arcsec with distortion


@pytest.mark.parametrize("applied", [True, False])
def test_levels_of_amplifiers(applied: bool) -> None:
    truth = np.array([1.0, -0.5, 2.0, 0.25, -1.5, 0.0, -0.75, -0.5])
    signal = np.full(SHAPE, 1000.0)
    for level, region in zip(truth, REGIONS, strict=True):
        signal[region] += level
    settings = {
        "doAmpOffset": True, "ampOffset.ampEdgeWidth": 30, "ampOffset.doApplyAmpOffset": applied,
        "ampOffset.doBackground": False, "ampOffset.doDetection": False, "overscan.fitType": "MEDIAN_PER_ROW",
    }  # fmt: skip
    task = configured(**settings)
    exposure = task.run(MOCK.raw(read_out(signal, MOCK.levels()))).exposure
    found = [exposure.metadata[f"LSST ISR AMPOFFSET PEDESTAL {name}"] for name in NAMES]
    # The pixels are float32: the last digit of 1000 is 6e-5.
    np.testing.assert_allclose(found, truth, atol=1e-4)
    assert task.metadata.getArray("AMPOFFSET_PEDESTALS") == pytest.approx(found)
    assert exposure.metadata["LSST ISR AMPOFFSET INTERFACEOFFSET C00-C01"] == pytest.approx(1.5, abs=1e-4)
    assert exposure.metadata["LSST ISR AMPOFFSET PEDESTAL SUBTRACTED"] is applied
    np.testing.assert_allclose(exposure.image.array, 1000.0 if applied else signal, atol=1e-3)


def test_levels_of_amplifiers_under_stars_and_a_slope() -> None:
    truth = np.array([1.0, -0.5, 2.0, 0.25, -1.5, 0.0, -0.75, -0.5])
    rng = np.random.default_rng(8)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    signal = 1000.0 + 0.05 * x - 0.02 * y + rng.normal(0, 1.0, SHAPE)
    for at_x, at_y in rng.uniform(0, 200, (25, 2)):
        signal += 3000.0 * np.exp(-0.5 * ((x - at_x) ** 2 + (y - at_y) ** 2) / 4.0)
    for level, region in zip(truth, REGIONS, strict=True):
        signal[region] += level
    settings = {"doAmpOffset": True, "ampOffset.ampEdgeWidth": 30, "overscan.fitType": "MEDIAN_PER_ROW"}
    exposure = configured(**settings).run(MOCK.raw(read_out(signal, MOCK.levels()))).exposure
    found = [exposure.metadata[f"LSST ISR AMPOFFSET PEDESTAL {name}"] for name in NAMES]
    np.testing.assert_allclose(found, truth, atol=0.3)
    assert np.polyfit(truth, found, 1)[0] == pytest.approx(1.0, abs=0.1)


def test_linearity_as_the_camera_describes_it() -> None:
    raw = MOCK.raw(COUNTS)
    assert raw.detector is not None
    signal = FLAT * MOCK.light() + 25.0
    plain = read_out(signal, MOCK.levels())
    for number, one in enumerate(raw.detector.amplifiers):
        assert one.nominal_calibrations is not None
        update = {"linearity_type": "Squared", "linearity_coefficients": np.array([1e-6, 0.0])}
        raw.detector.amplifiers[number] = one.model_copy(
            update={"nominal_calibrations": one.nominal_calibrations.model_copy(update=update)}
        )
    task = configured(**EXACT, maskNegativeVariance=False)
    exposure = task.run(replace(raw, image=plain)).exposure
    np.testing.assert_allclose(exposure.image.array, signal * (1 + 1e-6 * signal), rtol=1e-5)
    assert exposure.metadata["LSST ISR LINEARIZED AMPLIFIERS"] == 8
    assert exposure.metadata["LSST ISR LINEARIZER APPLIED"] is True
    given = dict.fromkeys(NAMES, linearity_of("Proportional", []))
    np.testing.assert_allclose(
        task.run(replace(raw, image=plain), linearizer=given).exposure.image.array, signal, rtol=1e-5
    )


@pytest.mark.parametrize("after", [True, False])
def test_fringes_before_and_after_the_flat(after: bool) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pattern = np.sin(x / 6.0 + y / 11.0)
    response = 0.7 + 0.003 * x
    # A fringe frame that was not flattened goes with light that was not.
    fringe = pattern if after else pattern * response
    light = response * (1000.0 + 30.0 * pattern)
    raw = MOCK.raw(read_out(light, MOCK.levels()))
    settings = {"fringeAfterFlat": after, "fringe.large": 25, "fringe.num": 3000}
    found = configured(**EXACT | settings).run(raw, flat=master(response), fringes=master(fringe)).exposure
    assert found.metadata["LSST ISR FRINGE APPLIED"] is True
    assert found.image.array.std() < 30.0 / 20 / math.sqrt(2)
    # The other order leaves what the flat does to the fringes.
    settings["fringeAfterFlat"] = not after
    other = configured(**EXACT | settings).run(raw, flat=master(response), fringes=master(fringe)).exposure
    assert other.image.array.std() > 3 * found.image.array.std()


def test_no_variance() -> None:
    exposure = run(doVariance=False, calibrations={"flat": None, "defects": None}).exposure
    assert (exposure.variance.array == 1).all()


def test_suspect_pixels() -> None:
    assert not marked(run().exposure, "SUSPECT").any()
    suspect = marked(run(doSuspect=True).exposure, "SUSPECT")
    np.testing.assert_array_equal(suspect, np.hstack([COUNTS[:, :100], COUNTS[:, 120:220]]) >= 40000.0)
    assert suspect.any()


def test_the_band_and_the_projection() -> None:
    raw = MOCK.raw(COUNTS)
    exposure = configured().run(raw, camera=camera()).exposure
    assert exposure.band == "r"
    assert exposure.projection is raw.projection
    assert configured().run(raw).exposure.band is None
    assert isinstance(exposure, Exposure)
