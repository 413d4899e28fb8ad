"""Which visits a region is attributed to: the table of decisions, big footprints, masks that tell little."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box

from coadd.artifact_scene import make_scene
from skyloom.coadd import CoaddInput, ExposureHandle
from skyloom.coadd.clip_attribution import Overlaps, big_footprints, count_overlaps, decide, detected_mask
from skyloom.coadd.clip_detection import Regions
from skyloom.coadd.clip_settings import AttributionSettings
from skyloom.images import SpanSet, bitmask

AREA = 1000
DEFAULTS = AttributionSettings()


def table(*shares: float, ignored: dict[int, int] | None = None) -> list[int]:
    """Visits that are clipped in a region of 1000 pixels of which they detect some shares."""
    lost = np.zeros((len(shares), 1), np.int64)
    for visit, number in (ignored or {}).items():
        lost[visit] = number
    detected = np.array([[round(share * AREA)] for share in shares], np.int64)
    return np.flatnonzero(decide(Overlaps(lost, detected, np.array([AREA])), DEFAULTS)[:, 0]).tolist()


@pytest.mark.parametrize(
    ("shares", "clipped"),
    [
        ((0.49, 0, 0, 0), []),
        ((0.50, 0, 0, 0), []),
        ((0.51, 0, 0, 0), [0]),
        ((0.3, 0.59, 0.2), []),
        ((0.3, 0.60, 0.2), []),
        ((0.3, 0.61, 0.2), [1]),
        ((0.7, 0.61, 0.2), []),
        ((0.46, 0.1, 0.46, 0.15), [0, 2]),
        ((0.46, 0.1, 0.46, 0.16), []),
        ((0.46, 0.46, 0.1), []),  # two of three visits that see something: not told apart
        ((0.46, 0.46, 0.0, 0.0, 0.0), []),
        ((0.45, 0.46, 0.1, 0.1), []),
        ((0.70, 0.46, 0.1, 0.15), [0, 1]),  # two, though one alone is above 0.6
        ((0.70, 0.46, 0.1, 0.16), [0]),
        ((0.9, 0.9, 0.9, 0.1, 0.1), []),
        ((0, 0, 0), []),
    ],
)
def test_table_of_decisions(shares: tuple[float, ...], clipped: list[int]) -> None:
    assert table(*shares) == clipped


@pytest.mark.parametrize(
    ("shares", "ignored", "clipped"),
    [
        ((0.3, 0, 0), {0: 300}, []),  # 0.3 of 0.7
        ((0.36, 0, 0), {0: 300}, [0]),
        ((0.36, 0, 0), {0: 361}, []),  # more bad pixels than detected ones
        ((0.5, 0, 0), {0: 499}, [0]),
        ((0.5, 0, 0), {0: 500}, []),  # just half of it is good
        ((0.7, 0.61, 0.2), {1: 620}, [0]),  # the second does not count
    ],
)
def test_bad_pixels_of_a_visit(shares: tuple[float, ...], ignored: dict[int, int], clipped: list[int]) -> None:
    assert table(*shares, ignored=ignored) == clipped


def test_counts_of_large_regions_do_not_overflow() -> None:
    area = np.array([3_000_000_000])
    overlaps = Overlaps(np.zeros((2, 1), np.int64), np.array([[2_000_000_000], [0]]), area)
    assert decide(overlaps, DEFAULTS)[:, 0].tolist() == [True, False]


def test_counts_in_warps_that_reach_a_region_in_part() -> None:
    scene = make_scene(3, 60, 1)
    for warp in scene.warps:
        warp.bits[...] = 0
    scene.warps[0].bits[10:20, 10:20] |= bitmask("DETECTED")
    scene.warps[0].bits[10:12, 10:20] |= bitmask("SAT")
    scene.warps[1].bits[10:20, 10:15] |= bitmask("DETECTED_NEGATIVE")
    corner = scene.box.y.start, scene.box.x.start
    inputs = scene.inputs()
    cut = Box.factory[corner[0] + 14 : corner[0] + 60, corner[1] : corner[1] + 60]
    inputs[1] = CoaddInput(2, 1.0, ExposureHandle(scene.warps[1][cut], 2), cut)
    away = Box.factory[corner[0] + 40 : corner[0] + 60, corner[1] + 40 : corner[1] + 60]
    inputs[2] = CoaddInput(3, 1.0, ExposureHandle(scene.warps[2][away], 3), away)
    square = SpanSet.from_box(Box.factory[corner[0] + 8 : corner[0] + 18, corner[1] + 10 : corner[1] + 20])
    regions = Regions.of_spans([square, square.shifted(30, 0)], scene.box)
    settings = AttributionSettings(search_unmarked=False)
    overlaps = count_overlaps(inputs, regions, ("SAT", "NO_DATA"), settings)
    assert overlaps.area.tolist() == [100, 100]
    assert overlaps.ignored.tolist() == [[20, 0], [60, 60], [100, 100]]
    assert overlaps.detected.tolist() == [[60, 0], [20, 0], [0, 0]]


@pytest.mark.parametrize(
    ("area", "clipped", "whole"),
    [(99, 99, False), (100, 100, False), (101, 100, False), (101, 101, True), (150, 101, True)],
)
def test_big_footprints(area: int, clipped: int, whole: bool) -> None:
    scene = make_scene(1, 200, 1)
    bits = scene.warps[0].bits
    bits[...] = 0
    bits[50, 10 : 10 + area] = bitmask("DETECTED")
    bits[80, 10:190] = bitmask("DETECTED")
    y, x = scene.box.y.start, scene.box.x.start
    marked = SpanSet.from_runs([y + 50, y + 80], [x + 10, x + 10], [x + 10 + clipped, x + 12])
    found = big_footprints(scene.inputs()[0], marked, scene.box, DEFAULTS)
    assert len(found) == whole
    if whole:
        assert found[0] == SpanSet.from_runs([y + 50], [x + 10], [x + 10 + area])


def test_warps_without_detected_pixels_are_searched() -> None:
    scene = make_scene(1, 120, 1, brightest=100.0)
    star = scene.stars[0]
    notes: dict[int, str] = {}
    bits, box = detected_mask(scene.inputs()[0], scene.box, DEFAULTS, notes)
    found = bits & bitmask("DETECTED") != 0
    assert found[round(star["y"]) - box.y.start, round(star["x"]) - box.x.start]
    assert found.mean() < 0.2
    assert "searched" in notes[1]
    assert not (scene.warps[0].bits & bitmask("DETECTED")).any()
    scene.warps[0].psf = None
    bits, _ = detected_mask(scene.inputs()[0], scene.box, DEFAULTS, notes)
    assert not (bits & bitmask("DETECTED")).any()
    assert "no PSF" in notes[1]
    bits, _ = detected_mask(scene.inputs()[0], scene.box, AttributionSettings(search_unmarked=False), notes)
    assert "nothing can be attributed" in notes[1]


@pytest.mark.parametrize("values", [{"min_overlap": 1.1}, {"min_big_overlap": -1}, {"max_overlap_double": 0.5}])
def test_limits_that_make_no_sense(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"out of range|cannot be told"):
        AttributionSettings(**values)
