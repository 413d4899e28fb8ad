"""The statistics of coadds: values, errors, masks, counts, tiles, and one warp at a time."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from lsst.images import Box, Image, Mask

from coadd.mock_warps import BOX, TRACT, combine, flags, inputs_of, pixels, samples, warp
from skyloom.coadd import (
    CoaddInput,
    CoaddSettings,
    ErrorSource,
    Statistic,
    apply_alternate_mask,
    assemble_coadd,
    combine_box,
    strips,
)
from skyloom.images import MASK_SCHEMA, SpanSet, bitmask, bits_of

DOCUMENTED = [one for one in Statistic if one is not Statistic.CLIPPED]
VALUES = np.array([1.0, 2.0, 4.0, 5.0, 13.0])
INF = np.inf


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("MEAN", 5.0),
        ("MEDIAN", 4.0),
        ("VARIANCE", VALUES.var(ddof=1)),
        ("STDEV", VALUES.std(ddof=1)),
        ("MEANSQUARE", (VALUES**2).mean()),
        ("IQRANGE", 3.0),
        ("MIN", 1.0),
        ("MAX", 13.0),
        ("SUM", 25.0),
        ("NPOINT", 5.0),
        # About the median 4 by 0.7413 times 3, all within 6.67 but the last, then about the mean 3.
        ("MEANCLIP", 3.0),
        ("VARIANCECLIP", VALUES[:4].var(ddof=1)),
        ("STDEVCLIP", VALUES[:4].std(ddof=1)),
    ],
)
def test_statistics_of_five_samples(statistic: str, expected: float) -> None:
    image, variance, bits, n_image = combine(samples(VALUES), statistic=Statistic(statistic))
    assert image[0] == pytest.approx(expected, rel=1e-6)
    assert variance[0] > 0.0
    assert n_image[0] == 5
    assert flags(bits[0]) == ({"CLIPPED", "INEXACT_PSF"} if statistic.endswith("CLIP") else set())


def test_error_of_a_standard_deviation() -> None:
    _, variance, _, _ = combine(samples(VALUES), statistic=Statistic.STDEV)
    spread = VALUES.var(ddof=1)
    assert variance[0] == pytest.approx(2 * 4 / 25 * spread**2 / (4 * spread), rel=1e-6)


@pytest.mark.parametrize(
    ("source", "expected"), [("INPUTS", (4 * 3 + 5) / 9), ("MOSAIC", (2 * 3 + 5) / 3), ("SCATTER", 6.0**2 * 5 / 18)]
)
def test_error_of_a_mean(source: str, expected: float) -> None:
    """Weights 2 and 1: of the scatter, sum w^2 / W^2 = 5/9 of 6^2 * 2/9 * 9/4."""
    inputs = samples([0.0, 6.0], [3.0, 5.0], weights=[2.0, 1.0])
    image, variance, _, _ = combine(inputs, statistic=Statistic.MEAN, error_source=ErrorSource(source))
    assert image[0] == pytest.approx(2.0)
    assert variance[0] == pytest.approx(expected, rel=1e-6)


def test_inverse_variances_as_weights_give_the_least_variance() -> None:
    spread = np.array([2.0, 5.0, 11.0])
    _, variance, _, _ = combine(samples([1.0, 2.0, 3.0], spread, weights=1 / spread), statistic=Statistic.MEAN)
    assert variance[0] == pytest.approx(1 / (1 / spread).sum(), rel=1e-6)


@pytest.mark.parametrize("statistic", DOCUMENTED)
@pytest.mark.parametrize("source", list(ErrorSource))
def test_pixels_without_a_sample_are_missing_and_no_variance_is_0_or_nan(
    statistic: Statistic, source: ErrorSource
) -> None:
    """No sample; one; two equal ones; two of which one is not a number; two of which one has no variance."""
    values = [[np.nan, 3.0, 3.0, np.nan, 7.0], [np.nan, np.nan, 3.0, 4.0, 4.0]]
    spread = [[INF, 2.0, 2.0, INF, INF], [INF, INF, 2.0, 2.0, 2.0]]
    no_data = bitmask("NO_DATA")
    bits = [[no_data, 0, 0, 0, 0], [no_data, no_data, 0, 0, 0]]
    image, variance, bits, n_image = combine(samples(values, spread, bits), statistic=statistic, error_source=source)
    assert (variance > 0.0).all()
    missing = np.isnan(image)
    assert missing[0]
    assert np.isinf(variance[missing]).all()
    assert ((bits & no_data != 0) == missing).all()
    assert flags(bits[0]) == {"NO_DATA"}
    assert n_image.tolist() == [0, 1, 2, 1, 1]
    assert {"REJECTED", "INEXACT_PSF"} <= flags(bits[3])
    if statistic is Statistic.MEAN:
        equal = np.nan if source is ErrorSource.SCATTER else 3.0
        np.testing.assert_array_equal(image, [np.nan, 3.0, equal, 4.0, 4.0])


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        # Quartiles of two are a quarter in: 1.5 * 0.7413 * 5 = 5.56 from the median keeps both, twice.
        ([0.0, 10.0], {"sigma_clip": 1.5, "clip_iter": 2}, 5.0),
        # Of 0, 1 and 10: 1.5 * 0.7413 * 5 = 5.56 from 1 leaves 0 and 1; then 1.5 * 0.707 from 0.5.
        ([0.0, 1.0, 10.0], {"sigma_clip": 1.5, "clip_iter": 2}, 0.5),
        # Of 0, 0, 0, 1: nothing is a quartile's range from 0, but 1.5 * 0.7413 * 0.25 = 0.28.
        ([0.0, 0.0, 0.0, 1.0], {"sigma_clip": 1.5, "clip_iter": 1}, 0.0),
        # A second look starts from all samples: about 0.5 with sigma 0.707, at 14.1 sigma 10 is in again.
        ([0.0, 1.0, 10.0], {"sigma_clip": 14.1, "clip_iter": 2}, 11 / 3),
    ],
)
def test_clipped_means_of_few_samples(values: list[float], settings: dict[str, Any], expected: float) -> None:
    image, _, _, _ = combine(samples(values), statistic=Statistic.MEANCLIP, **settings)
    assert image[0] == pytest.approx(expected, abs=1e-6)


def test_sample_on_the_limit_stays() -> None:
    """The quartiles of -1, 0, 0, 1 are -0.25 and 0.25."""
    limit = 1.0 / (0.741301109252802 * 0.5)
    inside, _, _, _ = combine(
        samples([-1.0, 0.0, 0.0, 1.0]), statistic=Statistic.VARIANCECLIP, sigma_clip=limit * (1 + 1e-12), clip_iter=1
    )
    outside, _, _, _ = combine(samples([-1.0, 0.0, 0.0, 1.0]), statistic=Statistic.MEANSQUARE)
    assert inside[0] == pytest.approx(2 / 3)
    assert outside[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("plane", "expected"),
    [
        ("EDGE", {"SENSOR_EDGE", "INEXACT_PSF"}),
        ("CR", {"REJECTED", "INEXACT_PSF"}),
        ("NO_DATA", set()),
        ("CLIPPED", {"CLIPPED", "INEXACT_PSF"}),
    ],
)
@pytest.mark.parametrize("online", [False, True])
def test_what_the_planes_of_left_out_samples_become(plane: str, expected: set[str], online: bool) -> None:
    inputs = samples([1.0, 2.0, 30.0], bits=[0, bitmask("SUSPECT"), bitmask(plane)])
    bad = ("NO_DATA", "BAD", "CR", "EDGE", "CLIPPED")
    image, _, bits, n_image = combine(inputs, statistic=Statistic.MEAN, bad_planes=bad, remove_planes=(), online=online)
    assert image[0] == 1.5
    assert n_image[0] == 2
    assert flags(bits[0]) == expected | {"SUSPECT"}


@pytest.mark.parametrize("removed", [(), ("EDGE",)])
@pytest.mark.parametrize(
    ("statistic", "online"),
    [("MEAN", False), ("MEAN", True), ("MEDIAN", False), ("MEANCLIP", False), ("CLIPPED", False)],
)
def test_edge_of_a_detector_is_told_by_the_sample_that_is_lost_there(
    statistic: str, online: bool, removed: tuple[str, ...]
) -> None:
    edge, no_data = bitmask("EDGE"), bitmask("NO_DATA")
    columns = {
        "beyond it": ([2.0, 4.0, np.nan], [2.0, 2.0, INF], [0, 0, edge | no_data], {"SENSOR_EDGE"}),
        "another is missing": ([2.0, 4.0, np.nan], [2.0, 2.0, INF], [0, edge, no_data], set()),
        "used": ([2.0, 4.0, 3.0], 2.0, [0, 0, edge], set()),
        "without variance": ([2.0, 4.0, 3.0], [2.0, 2.0, INF], [0, 0, edge], {"SENSOR_EDGE", "REJECTED"}),
        "bad": ([2.0, 4.0, 3.0], 2.0, [0, 0, edge | bitmask("CR")], {"SENSOR_EDGE", "REJECTED"}),
        "nothing there": ([np.nan] * 3, INF, edge | no_data, {"NO_DATA"}),
    }
    values, spread, bits = (np.column_stack([np.broadcast_to(c[k], 3) for c in columns.values()]) for k in range(3))
    _, _, found, _ = combine(
        samples(values, spread, bits), statistic=Statistic(statistic), online=online, remove_planes=removed
    )
    for (name, (_, _, own, expected)), mask in zip(columns.items(), found, strict=True):
        extra = {"INEXACT_PSF"} if expected & {"SENSOR_EDGE", "REJECTED"} else set()
        kept = {"EDGE"} if not removed and name in ("another is missing", "used") else set()
        assert flags(mask) == expected | extra | kept, (name, own)


@pytest.mark.parametrize("statistic", ["CLIPPED", "MEAN", "MEANCLIP"])
@pytest.mark.parametrize(
    ("threshold", "share", "expected"),
    [
        (0.1, 0.09, False),
        (0.1, 0.1, False),
        (0.1, 0.11, True),
        (0.3, 0.29, False),
        (0.3, 0.31, True),
        (1.0, 0.99, False),
    ],
)
def test_saturation_is_handed_on_above_a_part_of_the_weight(
    statistic: str, threshold: float, share: float, expected: bool
) -> None:
    inputs = samples([1.0, 1.0, 9.0], bits=[0, 0, bitmask("SAT")], weights=[(1 - share) / 2, (1 - share) / 2, share])
    settings = {} if threshold == 0.1 else {"propagation_thresholds": {"SAT": threshold}}
    _, _, bits, _ = combine(inputs, statistic=Statistic(statistic), **settings)
    assert ("SAT" in flags(bits[0])) is expected


def test_planes_are_removed_before_samples_are_combined_and_after_they_are_counted() -> None:
    bits = [0, 0, bitmask("CROSSTALK", "DETECTED")]
    inputs = samples([1.0, 1.0, 4.0], bits=bits)
    for online in (False, True):
        image, _, found, n_image = combine(
            inputs,
            statistic=Statistic.MEAN,
            bad_planes=("NO_DATA", "CROSSTALK"),
            remove_planes=("CROSSTALK",),
            online=online,
        )
        assert image[0] == 2.0
        assert n_image[0] == 2
        assert flags(found[0]) == {"DETECTED"}


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e300])
@pytest.mark.parametrize("statistic", ["CLIPPED", "MEAN", "MEANCLIP", "MEDIAN"])
def test_weights_of_any_size(scale: float, statistic: str) -> None:
    weights = np.array([1.0, 2.0, 3.0]) * scale
    reference = combine(samples([1.0, 2.0, 2.5], weights=[1.0, 2.0, 3.0]), statistic=Statistic(statistic))
    scaled = combine(samples([1.0, 2.0, 2.5], weights=weights), statistic=Statistic(statistic))
    for one, other in zip(reference, scaled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_sums_do_not_overflow_float32() -> None:
    image, variance, _, _ = combine(samples([3e38, 3e38], [1e38, 1e38], weights=[5.0, 5.0]), statistic=Statistic.MEAN)
    assert image[0] == pytest.approx(3e38)
    assert variance[0] == pytest.approx(5e37)


def noisy_warps(n: int = 6, seed: int = 3) -> list[Any]:
    """Warps with trails, bad pixels, missing ones, and boxes of their own."""
    rng = np.random.default_rng(seed)
    warps = []
    for visit in range(n):
        image = rng.normal(314.592, 5.0, BOX.shape)
        image[rng.random(BOX.shape) < 0.02] += 200.0
        variance = rng.uniform(20.0, 30.0, BOX.shape)
        bits = np.zeros(BOX.shape, np.int32)
        for name in ("SAT", "CR", "EDGE", "DETECTED", "INTRP", "SUSPECT", "NOT_DEBLENDED"):
            bits[rng.random(BOX.shape) < 0.05] |= bitmask(name)
        missing = rng.random(BOX.shape) < 0.1
        image[missing], variance[missing], bits[missing] = np.nan, np.inf, bitmask("NO_DATA")
        image[rng.random(BOX.shape) < 0.01] = np.nan
        variance[rng.random(BOX.shape) < 0.01] = np.inf
        whole = warp(visit, image, variance, bits)
        warps.append(whole[Box.factory[-45 + 9 * visit : 256 - visit, -123 + 2 * visit : 78 - 7 * visit]])
    return warps


MASKS = {
    1: {"CLIPPED": SpanSet.from_box(Box.factory[100:140, -50:20])},
    4: {"CLIPPED": SpanSet.from_box(Box.factory[-60:0, 0:300]), "NO_DATA": SpanSet.from_box(Box.factory[120:160, 0:9])},
}
SETTINGS: dict[str, Any] = {
    "bad_planes": ("BAD", "SAT", "CR", "NO_DATA", "EDGE", "CLIPPED"),
    "remove_planes": ("NOT_DEBLENDED", "DETECTED"),
    "propagation_thresholds": {"SAT": 0.1, "CR": 0.3},
}
WEIGHTS = [0.04, 0.05, 0.03, 0.045, 0.06, 0.02]


@pytest.mark.parametrize("statistic", ["CLIPPED", "MEAN", "MEANCLIP", "MEDIAN"])
@pytest.mark.parametrize("size", [2000, 37, 1])
def test_subregions_do_not_show(statistic: str, size: int) -> None:
    inputs = inputs_of(noisy_warps(), WEIGHTS)
    whole, n_whole = assemble_coadd(
        inputs, BOX, TRACT, CoaddSettings(statistic=Statistic(statistic), **SETTINGS), alternate_masks=MASKS
    )
    settings = CoaddSettings(statistic=Statistic(statistic), subregion_size=(size, size), **SETTINGS)
    expected = {2000: 301, 37: 6, 1: 1}[size]
    assert next(strips(BOX, 6, settings)).y.size == expected
    tiled, n_tiled = assemble_coadd(inputs, BOX, TRACT, settings, alternate_masks=MASKS)
    np.testing.assert_array_equal(tiled.image.array, whole.image.array)
    np.testing.assert_array_equal(tiled.variance.array, whole.variance.array)
    np.testing.assert_array_equal(tiled.bits, whole.bits)
    np.testing.assert_array_equal(n_tiled, n_whole)


@pytest.mark.parametrize("statistic", ["CLIPPED", "MEANCLIP"])
def test_box_of_any_shape_is_part_of_the_whole(statistic: str) -> None:
    inputs, settings = inputs_of(noisy_warps(), WEIGHTS), CoaddSettings(statistic=Statistic(statistic), **SETTINGS)
    whole = combine_box(inputs, BOX, BOX, settings, MASKS)
    for box in (Box.factory[100:137, -20:17], Box.factory[-45:-44, -123:-122], Box.factory[255:256, 50:78]):
        part = combine_box(inputs, box, BOX, settings, MASKS)
        for one, other in zip(part, whole, strict=True):
            np.testing.assert_array_equal(one, other[box.slice_within(BOX)])


@pytest.mark.parametrize("source", list(ErrorSource))
def test_one_warp_at_a_time_gives_the_same_mean(source: ErrorSource) -> None:
    inputs = inputs_of(noisy_warps(), WEIGHTS)
    results = [
        assemble_coadd(
            inputs,
            BOX,
            TRACT,
            CoaddSettings(statistic=Statistic.MEAN, error_source=source, online=online, **SETTINGS),
            alternate_masks=MASKS,
        )
        for online in (False, True)
    ]
    (classic, n_classic), (online, n_online) = results
    assert 0.01 < np.isnan(classic.image.array).mean() < 0.2
    np.testing.assert_allclose(online.image.array, classic.image.array, rtol=1e-7)
    np.testing.assert_allclose(online.variance.array, classic.variance.array, rtol=1e-6)
    np.testing.assert_array_equal(online.bits, classic.bits)
    np.testing.assert_array_equal(n_online, n_classic)


def test_edges_of_detectors_are_the_same_in_every_mean() -> None:
    planes = ("BAD", "SAT", "CR", "NO_DATA")
    inputs, expected, usable = inputs_of(noisy_warps(), WEIGHTS), np.zeros(BOX.shape, bool), np.zeros(BOX.shape, bool)
    for part in inputs:
        image, variance, bits = part.planes(part.bbox)
        known = np.isfinite(image) & np.isfinite(variance) & (bits & bitmask(*planes) == 0)
        usable[part.bbox.slice_within(BOX)] |= known
        expected[part.bbox.slice_within(BOX)] |= ~known & (bits & bitmask("EDGE") != 0)
    ways = ({}, {"subregion_size": (37, 37)}, {"online": True}, {"statistic": Statistic.CLIPPED})
    for way in ways:
        settings = CoaddSettings(**({"statistic": Statistic.MEAN, "bad_planes": planes} | way))
        assert "EDGE" in settings.remove_planes
        coadd, _ = assemble_coadd(inputs, BOX, TRACT, settings)
        np.testing.assert_array_equal((coadd.bits & bitmask("SENSOR_EDGE") != 0)[usable], expected[usable])
        assert not (coadd.bits & bitmask("EDGE")).any()
    assert 0.01 < expected[usable].mean() < 0.1


def test_samples_are_counted_where_the_psf_has_inputs() -> None:
    boxes = [Box.factory[-45 + 20 * n : 256 - 10 * n, -123 + 15 * n : 78 - 5 * n] for n in range(5)]
    warps = [warp(n, np.ones(box.shape), box=box) for n, box in enumerate(boxes)]
    coadd, n_image = assemble_coadd(inputs_of(warps), BOX, TRACT, CoaddSettings(statistic=Statistic.MEAN))
    y, x = np.mgrid[-45:256:3, -123:78:3]
    inside = coadd.psf.n_inputs(x.ravel().astype(float), y.ravel().astype(float)).reshape(x.shape)
    np.testing.assert_array_equal(inside, n_image[::3, ::3])
    assert set(np.unique(inside)) == {1, 2, 3, 4, 5}


class Endless:
    """A warp that makes its pixels when they are asked for, and counts how often."""

    def __init__(self, visit: int) -> None:
        self.dataId = {"visit": visit}
        self.rows = 0
        self._known = warp(visit, np.zeros((1, 1)), box=Box.factory[0:1, 0:1])

    def get(self, *, component: str | None = None, parameters: dict[str, Any] | None = None) -> Any:
        if component != "components":
            return getattr(self._known, component)
        box = parameters["bbox"]
        self.rows += box.y.size
        y, x = np.mgrid[box.y.start : box.y.stop, box.x.start : box.x.stop]
        image = (1e-3 * (x + y) + self.dataId["visit"]).astype(np.float32)
        return {
            "image": Image(image, bbox=box),
            "variance": Image(np.ones_like(image), bbox=box),
            "mask": Mask(0, schema=MASK_SCHEMA, bbox=box),
        }


def peak(work: Callable[[], object]) -> float:
    """Largest number of bytes in use."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("online", [False, True])
def test_memory_does_not_grow_with_the_number_of_warps(online: bool) -> None:
    box = Box.factory[0:400, 0:500]
    settings = CoaddSettings(statistic=Statistic.MEAN, online=online, max_memory_mb=8.0)

    def make(n: int) -> list[CoaddInput]:
        return [CoaddInput(visit, 1.0, Endless(visit), box) for visit in range(n)]

    assemble_coadd(make(2), box, TRACT, settings)
    few, many = make(8), make(64)
    assert peak(lambda: assemble_coadd(many, box, TRACT, settings)) < 1.25 * peak(
        lambda: assemble_coadd(few, box, TRACT, settings)
    )
    assert {part.handle.rows for part in many} == {400}


def test_alternate_masks_on_a_box() -> None:
    box = Box.factory[0:2, 10:20]
    bits = np.zeros(box.shape, np.int32)
    bits[:, 2:4] = bitmask("CR", "SUSPECT")
    bits[:, 7] = bitmask("NO_DATA")
    planes = {
        "CLIPPED": SpanSet.from_box(Box.factory[-5:1, 5:18]),
        "NO_DATA": SpanSet.from_box(Box.factory[0:9, 13:15]),
    }
    apply_alternate_mask(bits, box, planes, bitmask("CR", "CLIPPED", "NO_DATA"))
    suspect, clipped, missing = bitmask("SUSPECT"), bitmask("CLIPPED"), bitmask("NO_DATA")
    cosmic = bitmask("CR", "SUSPECT")
    assert bits[0].tolist() == [
        clipped, clipped, clipped | cosmic, missing | suspect, missing, clipped, clipped, missing, 0, 0,
    ]  # fmt: skip
    assert bits[1].tolist() == [0, 0, cosmic, missing | suspect, missing, 0, 0, missing, 0, 0]
    with pytest.raises(KeyError):
        apply_alternate_mask(bits, box, {"NONE": SpanSet.empty()}, 0)


@pytest.mark.parametrize(("statistic", "online"), [("MEAN", False), ("MEAN", True), ("CLIPPED", False)])
def test_alternate_masks_leave_samples_out_and_do_not_touch_the_warps(statistic: str, online: bool) -> None:
    inputs = samples(
        [[1.0, 1.0, 1.0], [4.0, 4.0, 4.0], [4.0, 4.0, 4.0]], bits=[[0, bitmask("CR"), 0], [0] * 3, [0] * 3]
    )
    masks = {0: {"CLIPPED": pixels(0), "NO_DATA": pixels(1)}}
    image, _, bits, n_image = combine(
        inputs,
        masks,
        statistic=Statistic(statistic),
        online=online,
        structure=1e9,
        bad_planes=("NO_DATA", "CR", "CLIPPED"),
    )
    assert image.tolist() == [4.0, 4.0, 3.0]
    assert n_image.tolist() == [2, 2, 3]
    extra = {"REJECTED"} if statistic == "CLIPPED" else set()
    assert flags(bits[0]) == {"CLIPPED", "INEXACT_PSF"} | extra
    assert flags(bits[1]) == flags(bits[2]) == set()
    assert bits_of(inputs[0].handle.get(component="mask")).tolist() == [[0, bitmask("CR"), 0]]


def test_scale_offset_and_error_of_an_input() -> None:
    from lsst.images.fields import ChebyshevField

    inputs = samples([2.0, 7.0], [1.0, 1.0])
    field = ChebyshevField(inputs[0].bbox, np.array([[1.5]]), unit=u.nJy)
    one = CoaddInput(0, 1.0, inputs[0].handle, inputs[0].bbox, scale=2.0, offset=field, offset_rms=3.0)
    image, variance, _, _ = combine([one, inputs[1]], statistic=Statistic.MEAN)
    assert image[0] == pytest.approx((2 * 2.0 + 1.5 + 7.0) / 2)
    assert variance[0] == pytest.approx((4.0 + 9.0 + 1.0) / 4)
    assert inputs[0].handle.get(component="image").array[0, 0] == 2.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sigma_clip": 0.0}, "sigma_clip"),
        ({"clip_iter": 0}, "clip_iter"),
        ({"subregion_size": (0, 5)}, "subregion_size"),
        ({"online": True}, "MEAN"),
    ],
)
def test_settings_of_documented_statistics_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CoaddSettings(**settings)
