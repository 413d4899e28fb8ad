"""Offsets of visits, held against the true difference of their skies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
from lsst.images import Box

from backmatch.tract_visits import BIN, Visit, flat, grid, handles_of, patch_warp, places, sky_map, warps_of
from skyloom.background import render_field
from skyloom.backmatch import (
    MatchSettings,
    PatchWarp,
    TractModelSettings,
    VisitOffset,
    by_visit,
    match_visits,
    visit_figures,
)
from skyloom.errors import BadFrameError

TRACT = sky_map().tract(0)
SETTINGS = MatchSettings(model=TractModelSettings(x_bin=BIN, y_bin=BIN))
N_FULL = (2 * BIN) ** 2


def visits_of(*visits: Visit) -> dict[int, dict[int, PatchWarp]]:
    return by_visit(patch_warp(*one) for one in warps_of(list(visits), TRACT))


def match(*visits: Visit, reference: int = 1, **changes: object) -> Mapping[int, VisitOffset | None]:
    settings = dataclasses.replace(SETTINGS, **changes)  # type: ignore[arg-type]
    return match_visits(visits_of(*visits), reference, grid(TRACT), settings)


def truth(one: Visit, other: Visit) -> np.ndarray:
    """Sky of one less that of another at the superpixels."""
    x, y = np.meshgrid(grid(TRACT).x, grid(TRACT).y)
    return np.asarray(one.sky(x, y) - other.sky(x, y))


def stars(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A crowded field, what all visits show: sixty stars, products of their profiles along x and y."""
    rng = np.random.default_rng(5)
    (cx, cy), flux = rng.uniform(0, 1024, (2, 60, 1)), rng.uniform(20, 900, (60, 1))
    along_x, along_y = np.exp(-((x[0] - cx) ** 2) / 72.0), np.exp(-((y[:, 0] - cy) ** 2) / 72.0)
    return np.asarray(along_y.T @ (flux * along_x))


REFERENCE = Visit(number=1, sky=flat(50.0))


def test_constant_offsets_are_found_to_the_noise_of_superpixels() -> None:
    other = Visit(number=2, sky=flat(10.0), sigma=2.0)
    offset = match(REFERENCE, other)[2]
    assert offset is not None
    assert offset.measured.all()
    assert offset.differences is not None
    count = offset.differences.superpixels.count  # fewer at the edges
    assert count.max() == N_FULL
    error = (offset.values - 40.0) / np.sqrt((1.0**2 + 2.0**2) / count)
    assert np.abs(error).max() < 3.0
    assert 0.6 < np.std(error) < 1.2
    assert abs(np.mean(offset.values) - 40.0) < 4 * np.sqrt(5.0) / 1024


@pytest.mark.parametrize("style", ["LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE"])
@pytest.mark.parametrize("apart", [False, True], ids=["whole tract", "overlap"])
def test_gradients_are_found_within_a_hundredth(style: str, apart: bool) -> None:
    other = Visit(number=2, sky=lambda x, y: 10.0 + x / 50.0 - y / 100.0, sigma=1.0, scene=stars)
    reference = dataclasses.replace(REFERENCE, scene=stars)
    if apart:
        reference = dataclasses.replace(reference, covered=lambda x, y: x < 800.0)
        other = dataclasses.replace(other, covered=lambda x, y: (x > 200.0) & (y > 150.0))
    offset = match(reference, other, style=style)[2]
    assert offset is not None
    if apart:
        box = Box.factory[151:1024, 201:800]
        x, y = places(box)
        error = render_field(offset.field(box, 64), box) - (reference.sky(x, y) - other.sky(x, y))
        assert np.abs(error).max() < 0.01 * 1024 / 50.0
        return
    assert np.abs(offset.values - truth(REFERENCE, other)).max() < 0.01 * 1024 / 50.0
    slope = np.polyfit(grid(TRACT).x, offset.values.mean(axis=0), 1)[0]
    assert slope == pytest.approx(-1 / 50.0, rel=0.003)


def test_plane_without_noise_is_reproduced_to_rounding() -> None:
    plane = Visit(number=2, sky=lambda x, y: 10.0 + x / 64.0 - y / 128.0, sigma=0.0)
    covered = dataclasses.replace(REFERENCE, sigma=0.0, covered=lambda x, y: (x > 170.0) & (np.abs(y - 700) > 90.0))
    offset = match(covered, plane, style="LINEAR")[2]
    assert offset is not None
    assert not offset.measured.all()
    box = TRACT.bbox
    x, y = places(box)
    expected = 50.0 - plane.sky(x, y)
    pixels = render_field(offset.field(box, 64), box)
    assert np.abs(pixels - expected).max() < 1e-6 * 50.0


def test_matched_pixels_differ_from_the_reference_by_noise_alone() -> None:
    other = Visit(number=2, sky=lambda x, y: 10.0 + 3.0 * np.sin(x / 400.0) - y / 100.0, sigma=1.5, scene=stars)
    reference = dataclasses.replace(REFERENCE, scene=stars)
    visits = visits_of(reference, other)
    offset = match_visits(visits, 1, grid(TRACT), SETTINGS)[2]
    assert offset is not None
    left = []
    for number, warp in visits[2].items():
        ours, theirs = (visits[one][number].read(warp.bbox).image for one in (1, 2))
        left.append(ours - theirs - render_field(offset.field(warp.bbox, 64), warp.bbox))
    pixels = np.concatenate([one.ravel() for one in left])
    sigma2 = 1.0 + 1.5**2
    assert abs(pixels.mean()) < 0.05 * np.sqrt(sigma2)
    assert np.mean(pixels**2) == pytest.approx(sigma2, rel=0.01)
    figures = visit_figures(2, offset, visits[2], None, joint=False)
    assert figures["mse"] == pytest.approx(figures["difference_variance"], rel=0.01)
    assert figures["difference_variance"] == pytest.approx(sigma2)
    assert figures["chi2_dof"] == pytest.approx(1.0, abs=0.25)
    assert figures["rms"] == pytest.approx(0.8 * np.sqrt(sigma2) / BIN, rel=0.2)


def test_steep_ramps_are_removed() -> None:
    ramp = Visit(number=2, sky=lambda x, y: 50.0 + x + 2.0 * y)
    visits = visits_of(REFERENCE, ramp)
    offset = match_visits(visits, 1, grid(TRACT), SETTINGS)[2]
    assert offset is not None
    figures = visit_figures(2, offset, visits[2], None, joint=False)
    assert figures["mse"] < 1.01 * figures["difference_variance"]


@pytest.mark.parametrize(
    "covered",
    [lambda x, y: (x < 400.0) | (x >= 500.0), lambda x, y: x < 400.0, lambda x, y: (x - y) < 100.0],
    ids=["chip gap", "low coverage", "diagonal"],
)
def test_missing_pixels_shift_nothing(covered: object) -> None:
    other = Visit(number=2, sky=lambda x, y: 10.0 + x / 50.0, covered=covered)  # type: ignore[arg-type]
    offset = match(REFERENCE, other)[2]
    assert offset is not None
    x, y = np.meshgrid(grid(TRACT).x, grid(TRACT).y)
    near = covered(x, y)  # type: ignore[operator]
    assert np.abs(offset.values - truth(REFERENCE, other))[near].max() < 0.15


def test_saturated_pixels_of_either_visit_have_no_effect() -> None:
    def spots(shift: float) -> object:
        return lambda x, y: (x + shift) % 128 + (y % 90) < 30

    other = Visit(number=2, sky=flat(10.0))
    clean = match(REFERENCE, other)[2]
    lit = match(
        dataclasses.replace(REFERENCE, masked=spots(0.0)),  # type: ignore[arg-type]
        dataclasses.replace(other, masked=spots(50.0)),  # type: ignore[arg-type]
    )[2]
    assert clean is not None
    assert lit is not None
    assert np.abs(lit.values - clean.values).max() < 0.05


def test_a_spoilt_corner_leaves_the_rest_alone() -> None:
    def corner(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where((x < 60) & (y < 60), np.random.default_rng(1).uniform(0, 1000, x.shape), 0.0)

    def holes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return ~((x < 60) & (y < 60) & (np.random.default_rng(2).random(x.shape) < 0.6))

    other = Visit(number=2, sky=flat(20.0), scene=corner, covered=holes)
    offset = match(REFERENCE, other)[2]
    assert offset is not None
    np.testing.assert_allclose(offset.values[2:, 2:], 30.0, atol=0.1)


def test_patch_that_the_reference_lacks_gets_what_its_neighbours_tell() -> None:
    reference = dataclasses.replace(REFERENCE, patches=(0, 1, 2))
    other = Visit(number=2, sky=lambda x, y: 10.0 + x / 200.0 - y / 300.0)
    offset = match(reference, other)[2]
    assert offset is not None
    assert not offset.measured[-4:, -4:].any()
    assert np.abs(offset.values - truth(reference, other)).max() < 0.15
    figures = visit_figures(2, offset, visits_of(other)[2], None, joint=False)
    assert figures["n_extrapolated"] == 256 - figures["n_measured"] > 30


def test_nothing_in_common_is_nothing_known() -> None:
    found = match(
        dataclasses.replace(REFERENCE, patches=(0,)),
        Visit(number=2, sky=flat(1.0), patches=(3,)),
        Visit(number=3, sky=flat(2.0)),
    )
    assert found[2] is None
    assert found[3] is not None
    assert found[1] is not None
    assert not found[1].values.any()


def test_one_level_a_visit_where_no_curve_is_wanted() -> None:
    offset = match(REFERENCE, Visit(number=2, sky=lambda x, y: 10.0 + (x - 511.5) / 100.0), style="NONE")[2]
    assert offset is not None
    assert np.ptp(offset.values) == 0.0
    assert offset.values[0, 0] == pytest.approx(40.0, abs=0.02)


def test_too_few_superpixels_for_the_curve_name_the_visit() -> None:
    model = TractModelSettings(x_bin=340, y_bin=340)
    visits = visits_of(REFERENCE, Visit(number=2, sky=flat(1.0)))
    settings = MatchSettings(model=model, undersample="THROW_EXCEPTION")
    with pytest.raises(BadFrameError, match=r"visit 2: AKIMA_SPLINE needs 5 superpixels along a side; .* 3 x 3"):
        match_visits(visits, 1, grid(TRACT, 340), settings)
    reduced = match_visits(visits, 1, grid(TRACT, 340), MatchSettings(model=model))[2]
    assert reduced is not None
    assert reduced.style == "NATURAL_SPLINE"


def test_reference_that_is_not_there() -> None:
    with pytest.raises(BadFrameError, match=r"reference visit 7 has no warp; the visits are \[1\]"):
        match(REFERENCE, reference=7)


def test_two_warps_of_one_visit_on_a_patch() -> None:
    parts = [patch_warp(*one) for one in warps_of([REFERENCE], TRACT)]
    with pytest.raises(BadFrameError, match="visit 1 has two warps on patch 3"):
        by_visit([*parts, parts[3]])


def mean_of(warps: Mapping[int, Mapping[int, PatchWarp]], *, matched: bool = True) -> np.ndarray:
    """Plain mean of the visits over the tract, brought to the sky of visit 1 or as they are."""
    offsets = match_visits(warps, 1, grid(TRACT), SETTINGS)  # type: ignore[arg-type]
    total, count = np.zeros(TRACT.bbox.shape), np.zeros(TRACT.bbox.shape)
    for number, patches in warps.items():
        offset = offsets[number]
        assert offset is not None
        for warp in patches.values():
            at = warp.patch.inner_bbox.intersection(warp.bbox)
            image = np.asarray(warp.read(at).image, np.float64)
            if matched:
                image = image + render_field(offset.field(at, 64), at)
            here = at.slice_within(TRACT.bbox)
            total[here] += np.nan_to_num(image)
            count[here] += np.isfinite(image)
    return total / count


def test_steps_and_slopes_of_the_mean_are_gone() -> None:
    """Visits of unlike skies that cover unlike parts: the mean has the borders of each."""
    skies = (flat(30.0), flat(34.0), lambda x, y: 24.0 + 0.01 * x, lambda x, y: 33.0 - 0.008 * y)
    parts = (None, lambda x, y: x < 620, lambda x, y: y > 380, lambda x, y: x + y > 900)
    visits = [
        Visit(number=n + 1, sky=sky, covered=part) for n, (sky, part) in enumerate(zip(skies, parts, strict=True))
    ]
    before, after = (mean_of(visits_of(*visits), matched=matched) for matched in (False, True))
    tiles = [one.reshape(16, 64, 16, 64).mean(axis=(1, 3)) for one in (before, after)]
    assert np.std(tiles[1]) < 0.2 * np.std(tiles[0])
    assert np.std(tiles[1]) < 0.05


def test_light_of_a_halo_wider_than_superpixels_is_kept() -> None:
    def halo(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 60.0 * np.exp(-np.hypot(x - 500.0, y - 540.0) / 40.0)

    skies = (
        flat(30.0),
        lambda x, y: 45.0 + 0.02 * (x - 500.0) - 0.01 * (y - 300.0),
        lambda x, y: 20.0 - 0.03 * (x - 700.0) + 0.01 * (y - 500.0) + 2e-5 * (x - 300.0) ** 2,
        lambda x, y: 38.0 + 0.01 * (y - 900.0) - 1e-5 * (y - 100.0) ** 2,
    )
    visits = [Visit(number=n + 1, sky=sky, scene=halo) for n, sky in enumerate(skies)]
    mean = mean_of(visits_of(*visits))
    x, y = places(TRACT.bbox)
    radius = np.hypot(x - 500.0, y - 540.0) * TRACT.grid.pixel_scale
    for inner, outer in ((0.0, 10.0), (10.0, 20.0), (20.0, 30.0), (0.0, 30.0)):
        ring = (radius >= inner) & (radius < outer)
        light = (mean - 30.0)[ring].sum()
        assert light == pytest.approx(halo(x, y)[ring].sum(), rel=0.02), (inner, outer)


def test_every_warp_is_read_once_beside_that_of_the_reference() -> None:
    handles = handles_of([REFERENCE, Visit(number=2, sky=flat(1.0)), Visit(number=3, sky=flat(2.0))], TRACT)
    open_now: list[int] = []

    def warp_of(handle: object) -> PatchWarp:
        patch = TRACT.patch(handle.dataId["patch"])  # type: ignore[attr-defined]
        inner = patch_warp(Visit(number=handle.dataId["visit"], sky=flat(0.0)), patch, handle.exposure)  # type: ignore[attr-defined]

        def read(box: object) -> object:
            open_now.append(handle.dataId["visit"])  # type: ignore[attr-defined]
            return inner.read(box)  # type: ignore[arg-type]

        return dataclasses.replace(inner, read=read)  # type: ignore[arg-type]

    match_visits(by_visit(warp_of(one) for one in handles), 1, grid(TRACT), SETTINGS)
    assert open_now == [1, 2, 3] * 4
