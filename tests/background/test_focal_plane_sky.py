"""The sky of a visit over a camera of nine detectors, against the sky that was put in."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from camera_sky import BINS, SCALE_LENGTH, SIDE, Visit, camera, pattern, places

from skyloom.background import (
    BackgroundSettings,
    FocalPlaneSettings,
    SkyCells,
    SkyFrame,
    SkyFrameSettings,
    VisitSky,
    bin_sky,
    fit_background,
    fit_focal_plane,
    make_sky_frame,
)
from skyloom.errors import BadFrameError

DETECTORS = tuple(range(9))
GALAXY = Visit(seed=5, galaxy=(70.0, 90.0))
"""Its halo is on four detectors, most of it near a corner of the middle one."""


def in_cells(pixels: np.ndarray) -> np.ndarray:
    n = BINS.bin_size
    return pixels.reshape(SIDE // n, n, SIDE // n, n).mean(axis=(1, 3))


@cache
def true_frames() -> dict[int, SkyFrame]:
    cells = galaxy_cells()
    return {
        one: SkyFrame(
            pattern=in_cells(pattern(one)), error=np.full(each.level.shape, 1e-9), y=each.y, x=each.x, box=each.box
        )
        for one, each in cells.items()
    }


@cache
def plain_cells() -> dict[int, SkyCells]:
    """Those of a visit without a galaxy."""
    return Visit(seed=3, galaxy=None).cells()


@cache
def galaxy_cells() -> dict[int, SkyCells]:
    return GALAXY.cells()


@cache
def sky_of_galaxy() -> VisitSky:
    return fit_focal_plane(galaxy_cells(), true_frames())


def errors(visit: Visit, sky: VisitSky) -> dict[int, np.ndarray]:
    """Fitted less true sky in the cells of each detector, in units of the noise of a pixel."""
    return {one: (each.model - in_cells(visit.sky(one))) / visit.pixel_noise for one, each in sky.detectors.items()}


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def kept_light(visit: Visit, lost: dict[int, np.ndarray]) -> float:
    """Share of the halo within 4.5 scale lengths that is left, of what was lost to the sky in pixels ``[y, x]``."""
    assert visit.galaxy is not None
    light = loss = 0.0
    for one in DETECTORS:
        x, y = places(one)
        near = np.hypot(x - visit.galaxy[0], y - visit.galaxy[1]) < 4.5 * SCALE_LENGTH
        light += visit.halo(one)[near].sum()
        loss += lost[one][near].sum()
    return 1.0 - loss / light


def spread(cells: np.ndarray) -> np.ndarray:
    """Cells at the pixels."""
    return np.kron(cells, np.ones((BINS.bin_size, BINS.bin_size)))


def test_a_smooth_sky_with_a_pattern_is_found_everywhere() -> None:
    visit = Visit(seed=3, galaxy=None)
    sky = fit_focal_plane(plain_cells(), true_frames())
    assert max(rms(each) for each in errors(visit, sky).values()) < 0.02  # a cell's noise is 0.07
    assert sky.strength == pytest.approx(visit.level, rel=0.01)
    assert abs(sky.strength - visit.level) < 5 * sky.strength_error
    assert sky.bright_fraction < 0.05
    assert sky.scatter == pytest.approx(visit.pixel_noise / 16, rel=0.2)


def test_detectors_meet_without_a_step() -> None:
    """The model errs alike on both sides of a gap: by a tenth of the noise of a pixel, 1.6 times that of a cell."""
    error = errors(GALAXY, sky_of_galaxy())
    steps = []
    for row in range(3):
        for left in (3 * row, 3 * row + 1):
            first, second = error[left], error[left + 1]
            if row == 2:  # mounted upside down: their first column is on the right
                first, second = first[:, ::-1], second[:, ::-1]
            steps.append(np.mean(second[:, 0] - first[:, -1]))
    assert np.max(np.abs(steps)) < 0.06
    # Before, the steps of the pattern were a hundred times that.
    assert 0.02 * GALAXY.level / GALAXY.pixel_noise > 2.0


def test_a_halo_larger_than_the_cells_of_a_single_frame_is_kept() -> None:
    sky = sky_of_galaxy()
    camera_loss = {one: spread(each) * GALAXY.pixel_noise for one, each in errors(GALAXY, sky).items()}
    single_loss = {}
    for one in DETECTORS:
        frame = GALAXY.exposure(one)
        found = fit_background(frame.image.array, frame.bits, settings=BackgroundSettings(bin_size=32))
        single_loss[one] = found.render() - GALAXY.sky(one)
    assert kept_light(GALAXY, single_loss) < 0.7
    assert kept_light(GALAXY, camera_loss) == pytest.approx(1.0, abs=0.02)
    assert sky.strength == pytest.approx(GALAXY.level, rel=0.01)


def test_a_wrong_bias_keeps_its_level_and_moves_no_other() -> None:
    visit = Visit(seed=3, galaxy=None)
    spoiled = replace(plain_cells()[1], level=plain_cells()[1].level - 12.0)
    sky = fit_focal_plane({**plain_cells(), 1: spoiled}, true_frames())
    error = errors(visit, sky)
    assert [one for one, each in sky.detectors.items() if each.odd] == [1]
    assert sky.detectors[1].offset == pytest.approx(-12.0, abs=0.7)
    assert max(rms(each) for one, each in error.items() if one != 1) < 0.03
    assert sky.strength == pytest.approx(visit.level, rel=0.01)


def test_a_vignetted_detector_does_not_draw_its_neighbours_down() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    shadow = -240.0 * np.clip(np.hypot(SIDE - x, SIDE - y) / SIDE - 0.8, 0, None)
    visit = Visit(seed=3, galaxy=None, spoiled={0: shadow})
    cells = {**plain_cells(), 0: bin_sky(visit.exposure(0), settings=BINS)}
    sky = fit_focal_plane(cells, true_frames())
    assert np.nanmin(sky.detectors[0].residual) < -15 * visit.pixel_noise  # the shadow stays in the frame
    assert max(rms(each) for one, each in errors(visit, sky).items() if one != 0) < 0.15


def test_a_missing_detector_leaves_the_others_as_they_are() -> None:
    visit, cells = Visit(seed=3, galaxy=None), dict(plain_cells())
    del cells[4]
    sky = fit_focal_plane(cells, true_frames())
    assert sorted(sky.detectors) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert max(rms(each) for each in errors(visit, sky).values()) < 0.02


def test_detectors_without_sky_frames_get_levels_of_their_own() -> None:
    visit = Visit(seed=3, galaxy=None)
    sky = fit_focal_plane(plain_cells())
    steps = {one: np.mean(in_cells(pattern(one))) * visit.level for one in DETECTORS}
    middle = np.median(list(steps.values()))
    offsets = np.array([sky.detectors[one].offset for one in DETECTORS])
    assert rms(offsets - [steps[one] - middle for one in DETECTORS]) < 0.4 * rms(np.array(list(steps.values())))
    assert sky.strength == 0.0
    assert not any(each.odd for each in sky.detectors.values())


def test_the_pattern_of_many_visits_is_that_of_the_detectors() -> None:
    rng = np.random.default_rng(1)
    visits = {
        seed: Visit(
            seed=seed, level=rng.uniform(400, 1500), galaxy=(rng.uniform(-350, 350), 0.0) if seed % 3 == 0 else None
        )
        for seed in range(40, 46)
    }
    made = make_sky_frame({seed: one.cells() for seed, one in visits.items()}, SkyFrameSettings(passes=2))
    assert made.visits == sorted(visits)
    assert made.ratio_scatter < 0.02
    # Used on a visit that it was not made of, it must serve as well as the true one.
    sky = fit_focal_plane(galaxy_cells(), made.frames)
    assert sky.strength == pytest.approx(GALAXY.level, rel=0.02)
    error = errors(GALAXY, sky)
    assert max(rms(error[one]) for one in (0, 1, 2, 3, 6)) < 0.1  # away from the galaxy
    lost = {one: spread(each) * GALAXY.pixel_noise for one, each in error.items()}
    assert kept_light(GALAXY, lost) == pytest.approx(1.0, abs=0.04)


def test_two_visits_make_no_sky_frame() -> None:
    few = {1: galaxy_cells(), 2: plain_cells()}
    with pytest.raises(BadFrameError, match="3 visits"):
        make_sky_frame(few)


def test_a_sky_frame_of_other_cells_is_refused() -> None:
    frame = true_frames()[0]
    coarse = replace(frame, pattern=frame.pattern[:8, :8])
    with pytest.raises(BadFrameError, match="bin_size"):
        fit_focal_plane(galaxy_cells(), {0: coarse}, FocalPlaneSettings(iterations=1))


def test_cameras_know_where_detectors_are() -> None:
    """Rows of the top detectors run down: mosaic places of the cells are those of the pixels."""
    for one in (1, 7):
        cells = galaxy_cells()[one]
        x, y = cells.places()
        expected_x, expected_y = (in_cells(each) * 0.06 for each in places(one))
        np.testing.assert_allclose(x, expected_x, atol=1e-9)
        np.testing.assert_allclose(y, expected_y, atol=1e-9)
    assert len(camera().detector_ids) == 9
