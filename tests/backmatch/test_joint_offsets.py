"""Offsets of all visits together: where no visit covers all, and the noise of the sum."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from backmatch.tract_visits import BIN, Visit, flat, grid, patch_warp, sky_map, warps_of
from skyloom.background import render_field
from skyloom.backmatch import MatchSettings, TractModelSettings, VisitOffset, by_visit, match_visits, visit_figures

TRACT = sky_map().tract(0)
ONE = MatchSettings(model=TractModelSettings(x_bin=BIN, y_bin=BIN))
JOINT = dataclasses.replace(ONE, solution="JOINT")


def stars(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sixty, drawn as products of their profiles along x and y."""
    cx, cy = np.random.default_rng(5).uniform(0, 1024, (60, 2)).T[..., np.newaxis]
    along_x, along_y = np.exp(-((x[0] - cx) ** 2) / 50.0), np.exp(-((y[:, 0] - cy) ** 2) / 50.0)
    return np.asarray(300.0 * along_y.T @ along_x)


SKIES = (
    flat(30.0),
    lambda x, y: 45.0 + 0.02 * (x - 500.0) - 0.01 * (y - 300.0),
    lambda x, y: 20.0 - 0.03 * (x - 700.0) + 2e-5 * (x - 300.0) ** 2,
    lambda x, y: 38.0 + 0.01 * (y - 900.0) + 1.5 * np.sin(x / 250.0),
    lambda x, y: 5.0 + 0.004 * (y + x),
    lambda x, y: 60.0 - 1e-5 * (y - 400.0) ** 2,
)


def solve(visits: list[Visit], settings: MatchSettings, reference: int = 1) -> dict[int, VisitOffset | None]:
    return match_visits(by_visit(patch_warp(*one) for one in warps_of(visits, TRACT)), reference, grid(TRACT), settings)


def error(visits: list[Visit], offset: VisitOffset | None, number: int) -> np.ndarray:
    """Of the offset in the superpixels that were measured, nJy."""
    assert offset is not None
    x, y = np.meshgrid(grid(TRACT).x, grid(TRACT).y)
    truth = visits[0].sky(x, y) - visits[number - 1].sky(x, y)
    return np.asarray((offset.values - truth)[offset.measured])


def binned_noise(visits: list[Visit], settings: MatchSettings) -> float:
    """Noise of the mean of all matched warps in squares of 64 px, in units of what it must have."""
    warps = by_visit(patch_warp(*one) for one in warps_of(visits, TRACT))
    offsets = match_visits(warps, 1, grid(TRACT), settings)
    mean = np.zeros(TRACT.bbox.shape)
    for number, patches in warps.items():
        offset = offsets[number]
        assert offset is not None
        for warp in patches.values():
            at = warp.patch.inner_bbox
            mean[at.slice_within(TRACT.bbox)] += warp.read(at).image + render_field(offset.field(at, 64), at)
    left = mean / len(visits) - 30.0
    squares = left.reshape(16, 64, 16, 64).mean(axis=(1, 3))
    return float(np.sqrt(np.mean(squares**2)) * 64 * np.sqrt(len(visits)))


def test_visits_that_overlap_in_a_chain_are_matched_all() -> None:
    visits = [
        Visit(number=1, sky=SKIES[0], scene=stars, covered=lambda x, y: x < 420.0),
        Visit(number=2, sky=SKIES[1], scene=stars, covered=lambda x, y: (x > 200.0) & (x < 800.0)),
        Visit(number=3, sky=SKIES[4], scene=stars, covered=lambda x, y: x > 560.0),
    ]
    assert solve(visits, ONE)[3] is None
    found = solve(visits, JOINT)
    for number in (2, 3):
        assert np.abs(error(visits, found[number], number)).max() < 0.3
        assert np.sqrt(np.mean(error(visits, found[number], number) ** 2)) < 0.1
    figures = visit_figures(3, found[3], {}, None, joint=True)
    assert figures["chi2_dof"] == pytest.approx(1.0, abs=0.35)
    assert figures["mse"] == pytest.approx(figures["difference_variance"], rel=0.01)
    assert figures["difference_variance"] == pytest.approx(0.5, rel=0.01)  # one of two, less the mean of both


def test_the_reference_keeps_its_sky_and_others_are_not_torn_apart() -> None:
    visits = [Visit(number=n + 1, sky=sky, scene=stars) for n, sky in enumerate(SKIES)]
    found = solve(visits, JOINT)
    assert found[1] is not None
    assert not found[1].values.any()
    for number in range(2, 7):
        assert np.sqrt(np.mean(error(visits, found[number], number) ** 2)) < 0.06


def test_the_noise_of_the_reference_is_not_in_the_mean() -> None:
    visits = [
        Visit(number=n + 1, sky=lambda x, y, n=n: 30.0 + 10.0 * n + 0.01 * n * x - 0.004 * n * y) for n in range(6)
    ]
    one, joint = binned_noise(visits, ONE), binned_noise(visits, JOINT)
    assert one > 1.2
    assert joint**2 - 1.0 < 0.5 * (one**2 - 1.0)


def test_all_get_the_mean_sky_weighted_by_their_noise() -> None:
    sigmas = (1.0, 2.0, 0.5)
    visits = [
        Visit(number=n + 1, sky=sky, sigma=sigma, scene=stars)
        for n, (sky, sigma) in enumerate(zip((SKIES[0], SKIES[1], SKIES[4]), sigmas, strict=True))
    ]
    found = solve(visits, dataclasses.replace(JOINT, joint_sky="MEAN"))
    x, y = np.meshgrid(grid(TRACT).x, grid(TRACT).y)
    skies = np.array([visit.sky(x, y) for visit in visits])
    mean = np.average(skies, axis=0, weights=1.0 / np.square(sigmas))
    for number, sky in enumerate(skies, start=1):
        offset = found[number]
        assert offset is not None
        assert offset.differences is not None  # none is the reference
        assert np.sqrt(np.mean((sky + offset.values - mean) ** 2)) < 0.06
        figures = visit_figures(number, offset, {}, None, joint=True)
        assert figures["mse"] == pytest.approx(figures["difference_variance"], rel=0.01)


def test_a_visit_apart_from_all_others_is_not_matched() -> None:
    visits = [
        Visit(number=1, sky=flat(1.0), covered=lambda x, y: x < 300.0),
        Visit(number=2, sky=flat(2.0), covered=lambda x, y: x < 400.0),
        Visit(number=3, sky=flat(3.0), covered=lambda x, y: x > 600.0),
    ]
    found = solve(visits, JOINT)
    assert found[3] is None
    np.testing.assert_allclose(error(visits, found[2], 2), 0.0, atol=0.05)


def test_masks_that_differ_from_visit_to_visit_do_not_matter() -> None:
    visits = [
        Visit(
            number=n + 1,
            sky=SKIES[n],
            scene=lambda x, y: 100.0 + 3.0 * stars(x, y),
            masked=lambda x, y, n=n: (x + 37 * n) % 128 + (y % 90) < 40,
        )
        for n in range(4)
    ]
    found = solve(visits, JOINT)
    for number in (2, 3, 4):
        assert np.sqrt(np.mean(error(visits, found[number], number) ** 2)) < 0.1


def test_one_level_a_visit() -> None:
    found = solve(
        [Visit(number=1, sky=flat(3.0)), Visit(number=2, sky=SKIES[4])], dataclasses.replace(JOINT, style="NONE")
    )
    assert found[2] is not None
    assert np.ptp(found[2].values) == 0.0
    assert found[2].values[0, 0] == pytest.approx(3.0 - 5.0 - 0.004 * 1023, abs=0.05)
