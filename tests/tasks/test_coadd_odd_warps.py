"""Tasks that combine warps, given one that cannot take part: it is named with cause and cure, and the rest go on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS
from lsst.images import Box, SkyProjection, TractFrame
from lsst.pipe.base import NoWorkFound, Struct

from coadd.mock_warps import TRACT, warp
from skyloom.coadd import ExposureHandle
from skyloom.errors import BadFrameError, NoOverlapError
from skyloom.images import Exposure, bitmask
from skyloom.psf import CoaddPsf
from skyloom.tasks import AssembleCoaddTask, CompareWarpAssembleCoaddTask, SafeClipAssembleCoaddTask

BOX = Box.factory[0:40, 0:50]
AWAY = Box.factory[100:140, 0:50]
SKY = Struct(bbox=BOX, wcs=TRACT, band="r")
ODD = 3
TASKS = (AssembleCoaddTask, SafeClipAssembleCoaddTask, CompareWarpAssembleCoaddTask)


def visits(n: int = 5) -> list[Exposure]:
    """Visits 1, 2, ... of a field with one detected star."""
    rng, found = np.random.default_rng(5), []
    for visit in range(1, n + 1):
        image = rng.normal(0.0, 1.0, BOX.shape)
        image[18:23, 23:28] += 30.0
        bits = np.zeros(BOX.shape, np.int32)
        bits[16:25, 21:30] = bitmask("DETECTED")
        found.append(warp(visit, image, 1.0, bits, box=BOX))
    return found


def shifted_tract() -> SkyProjection:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd = [150.0, 2.0], [1.5, 1.0], np.diag([-0.25, 0.25]) / 3600
    return SkyProjection.from_fits_wcs(wcs, TractFrame(skymap="s", tract=0, bbox=BOX))


def on_other_sky(frame: Exposure) -> Exposure:
    frame.projection = shifted_tract()
    frame.psf = CoaddPsf(frame.psf.components, frame.projection, BOX)
    return frame


def elsewhere(frame: Exposure) -> Exposure:
    return warp(ODD, frame.image.array, 1.0, box=AWAY)


def with_pixels(**planes: float) -> Callable[[Exposure], Exposure]:
    def change(frame: Exposure) -> Exposure:
        for name, value in planes.items():
            getattr(frame, name).array[...] = value
        return frame

    return change


def in_unit(unit: u.UnitBase | None) -> Callable[[Exposure], Exposure]:
    def change(frame: Exposure) -> Exposure:
        frame.unit = unit
        return frame

    return change


FAULTS = {
    "no value": (with_pixels(image=np.nan), "no pixel with a value: look at its frames"),
    "variance 0": (with_pixels(variance=0.0), "no pixel with a finite positive variance: look at"),
    "variance -1": (with_pixels(variance=-1.0), "no pixel with a finite positive variance: look at"),
    "variance nan": (with_pixels(variance=np.nan), "no pixel with a finite positive variance: look at"),
    "adu": (in_unit(u.adu), "it is in adu, not nJy: calibrate its frames"),
    "no unit": (in_unit(None), "it does not say its unit: calibrate its frames"),
    "box": (elsewhere, "none of the patch's, [y=0:40, x=0:50]: make it for this patch"),
    "sky": (on_other_sky, "its sky projection is not that of the tract, by 0.5 px: make it anew"),
}


def handles(frames: list[Exposure]) -> list[ExposureHandle]:
    return [ExposureHandle(one, int(one.inputs["visit"][0])) for one in frames]


def make(kind: Any) -> Any:
    config = kind.ConfigClass()
    if kind is AssembleCoaddTask:
        config.statistic = "MEAN"
    elif kind is CompareWarpAssembleCoaddTask:
        config.doFilterMorphological = False
    return kind(config=config)


def run(kind: Any, frames: list[Exposure], matched: list[Exposure] | None = None) -> Struct:
    more = (
        {"psfMatchedWarps": handles(matched or visits()[: 1 if len(frames) == 1 else None])} if kind is TASKS[2] else {}
    )
    return make(kind).run(handles(frames), box=BOX, projection=TRACT, band="r", **more)


def assemble(kind: Any, frames: list[Exposure], weights: list[float]) -> Struct:
    more = {"supplementaryData": Struct(psfMatchedWarps=handles(visits()))} if kind is TASKS[2] else {}
    return make(kind).assemble(SKY, handles(frames), None, weights, **more)


@cache
def of_the_others(kind: Any) -> Exposure:
    """The coadd of all visits but the odd one."""
    return run(kind, visits()[: ODD - 1] + visits()[ODD:]).coadd


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("fault", FAULTS)
def test_odd_warp_is_named_and_the_others_are_combined(kind: Any, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    change, words = FAULTS[fault]
    frames = visits()
    frames[ODD - 1] = change(frames[ODD - 1])
    with caplog.at_level(logging.WARNING):
        coadd = run(kind, frames).coadd
    assert f"the warp of visit {ODD} is left out: " in caplog.text
    assert words in caplog.text
    others = of_the_others(kind)
    assert coadd.inputs["visit"].tolist() == [1, 2, 4, 5]
    np.testing.assert_array_equal(coadd.image.array, others.image.array)
    np.testing.assert_array_equal(coadd.variance.array, others.variance.array)
    np.testing.assert_array_equal(coadd.bits, others.bits)


@pytest.mark.parametrize("fault", ["no value", "variance nan", "adu", "box", "sky"])
def test_odd_matched_warp_is_named(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    change, words = FAULTS[fault]
    matched = visits()
    matched[ODD - 1] = change(matched[ODD - 1])
    with caplog.at_level(logging.WARNING):
        coadd = run(CompareWarpAssembleCoaddTask, visits(), matched).coadd
    assert f"the PSF-matched warp of visit {ODD} is left out: " in caplog.text
    assert words in caplog.text
    assert coadd.inputs["visit"].tolist() == [1, 2, 4, 5]


@pytest.mark.parametrize("kind", TASKS)
def test_coadd_of_one_visit_is_its_warp(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        result = run(kind, visits(1))
    np.testing.assert_array_equal(result.coadd.image.array, visits(1)[0].image.array)
    assert (result.n_image.array == 1).all()
    told = "it cannot be told which one is wrong" in caplog.text
    assert told is (kind is not AssembleCoaddTask)


@pytest.mark.parametrize("kind", TASKS)
def test_nothing_is_left_to_combine(kind: Any) -> None:
    with pytest.raises(NoWorkFound, match="0 of 2 warps can take part"):
        run(kind, [elsewhere(one) if n else in_unit(u.adu)(one) for n, one in enumerate(visits(2))])


def test_warps_without_detections_are_searched_and_named(caplog: pytest.LogCaptureFixture) -> None:
    frames = visits()
    for one in frames:
        one.bits[...] = 0
    with caplog.at_level(logging.WARNING):
        run(SafeClipAssembleCoaddTask, frames)
    for visit in range(1, 6):
        assert f"visit {visit}: no detected pixel in its warp: it was searched here" in caplog.text


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize(
    ("fault", "weight", "words"),
    [
        ("adu", 1.0, "adu, not nJy: calibrate"),
        ("no unit", 1.0, "unit: calibrate"),
        ("sky", 1.0, "not that of the tract, by 0.5 px: make it anew"),
        (None, np.nan, "its weight is nan: give those that prepareInputs returns"),
        (None, 0.0, "its weight is 0.0: give those"),
        (None, -1.0, "its weight is -1.0: give those"),
    ],
)
def test_lists_that_were_not_prepared(kind: Any, fault: str | None, weight: float, words: str) -> None:
    frames = visits()
    if fault is not None:
        frames[ODD - 1] = FAULTS[fault][0](frames[ODD - 1])
    weights = [1.0, 1.0, weight, 1.0, 1.0]
    with pytest.raises(BadFrameError, match=f"The warp of visit {ODD} cannot take part.*{words}"):
        assemble(kind, frames, weights)


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("fault", ["no value", "variance 0", "variance -1", "variance nan", "box"])
def test_pixels_that_tell_nothing_do_not_count(kind: Any, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    frames, expected = visits(), of_the_others(kind)
    frames[ODD - 1] = FAULTS[fault][0](frames[ODD - 1])
    with caplog.at_level(logging.WARNING):
        result = assemble(kind, frames, [1.0] * 5)
    np.testing.assert_array_equal(result.coaddExposure.image.array, expected.image.array)
    np.testing.assert_array_equal(result.coaddExposure.variance.array, expected.variance.array)
    assert (result.nImage.array == 4).all()
    assert (f"the warp of visit {ODD} is left out" in caplog.text) is (fault == "box")


@pytest.mark.parametrize("kind", TASKS)
def test_no_warp_on_the_patch(kind: Any) -> None:
    frames = [warp(visit, np.ones(AWAY.shape), box=AWAY) for visit in (1, 2, 3)]
    with pytest.raises((NoWorkFound, NoOverlapError), match=r"None of 3 warps|No warp of visits \[1, 2, 3\]"):
        assemble(kind, frames, [1.0] * 3)
