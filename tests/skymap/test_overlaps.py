"""Patches around positions, and patches that overlap a region."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.sphgeom import Angle, Circle, UnitVector3d

from skyloom.skymap import CellPatches, DodecahedronSkyMap, SkyMap, Tract, convex_polygon, unit_vectors
from skymap.whole_sky import coarse, discrete, rings


@pytest.fixture(scope="module", params=[None, CellPatches()], ids=["clipped", "cells"])
def tract(request: pytest.FixtureRequest) -> Tract:
    return (rings() if request.param is None else rings(layout=request.param)).tract(9813)


@pytest.mark.parametrize("pair", [(4, 4), (0, 0), (0, 3)], ids=str)
def test_inside_the_border_one_patch_is_found_and_beyond_it_all_neighbours(tract: Tract, pair: tuple[int, int]) -> None:
    patch, (nx, ny) = tract.patch(pair), tract.n_patches
    for grown, expected in ((-1, {patch.id}), (1, None)):
        box = patch.inner_bbox.padded(grown - tract.patch_border)
        x, y = np.array([box.x.start, box.x.stop - 1]), np.array([box.y.start, box.y.stop - 1])
        found = tract.patches_around(*tract.grid.positions_of(x, y))
        if expected is None:
            expected = {
                nx * iy + ix
                for ix in range(max(pair[0] - 1, 0), min(pair[0] + 2, nx))
                for iy in range(max(pair[1] - 1, 0), min(pair[1] + 2, ny))
            }
        assert [p.id for p in found] == sorted(expected)


def test_positions_of_a_wide_field_do_not_fail() -> None:
    ra, dec = np.array([29.5, 30.5, 30.5, 29.5]), np.array([-4.3, -4.3, -3.3, -3.3])
    for skymap in (coarse(), coarse(projection="TAN"), discrete(), rings()):
        for tract, patches in skymap.patches_around(ra, dec):
            assert patches
            assert tract.contains(ra, dec).any()
    assert [tract.id for tract, _ in rings().patches_around(ra, dec)] == [8762, 8763]


def test_corners_out_of_reach_of_the_projection_are_left_out() -> None:
    tract = discrete().tract(4)
    ra, dec = np.array([[150.0, 150.1, 330.0], [330.0, 331.0, 330.5]]), np.array([[2.2, 2.3, -2.0], [-2.0, -2.0, -1.0]])
    assert tract.patch_ids_around(ra, dec).tolist() == tract.patch_ids_around(ra[0, :2], dec[0, :2]).tolist() != []


def test_several_outlines_touch_what_each_of_them_does() -> None:
    skymap = rings()
    ra = np.array([150.2, 151.0, 150.9])[:, np.newaxis] + [-0.1, 0.1, 0.1, -0.1]
    dec = np.array([2.2, 3.0, 2.1])[:, np.newaxis] + [-0.05, -0.05, 0.05, 0.05]
    together = skymap.patch_ids_around(ra, dec)
    alone: dict[int, set[int]] = {}
    for outline in zip(ra, dec, strict=True):
        for tract, patches in skymap.patch_ids_around(*outline).items():
            alone.setdefault(tract, set()).update(patches.tolist())
    assert {tract: set(patches.tolist()) for tract, patches in together.items()} == alone
    assert len(alone) > 2


def brute_force(skymap: SkyMap, region: Circle) -> dict[int, list[int]]:
    found = {}
    for tract in skymap.all_tracts():
        if tract.region.overlaps(region) is not False:
            found[tract.id] = [patch.id for patch in tract.patches() if patch.region.overlaps(region) is not False]
    return {number: patches for number, patches in found.items() if patches}


@pytest.mark.parametrize(
    ("ra", "dec", "radius"), [(150.3, 2.1, 0.6), (22.4, 22.6, 3.0), (0.0, 90.0, 5.0), (180.0, -89.0, 2.0)], ids=str
)
def test_overlaps_with_a_region_are_those_of_brute_force(ra: float, dec: float, radius: float) -> None:
    region = Circle(UnitVector3d(*unit_vectors(np.array(ra), np.array(dec))), Angle.fromDegrees(radius))
    for skymap in (coarse(patch_size=60000), discrete(patch_size=7000)):
        found = {t.id: [p.id for p in patches] for t, patches in skymap.patches_overlapping(region)}
        assert found == brute_force(skymap, region)
    assert coarse(patch_size=60000).patches_overlapping(region)


def test_what_overlaps_a_frame_is_around_it() -> None:
    skymap = rings()
    ra, dec = np.array([150.0, 151.2, 151.2, 150.0]), np.array([2.6, 2.6, 3.2, 3.2])
    around = skymap.patch_ids_around(ra, dec)
    for tract, patches in skymap.patches_overlapping(convex_polygon(ra, dec)):
        assert {patch.id for patch in patches} <= set(around[tract.id].tolist())
        assert len(patches) > 0.5 * around[tract.id].size


def test_frames_beyond_a_bent_edge_are_around_the_patch() -> None:
    """Seen from the centre of the tract, a patch's outline bulges beyond the pixels of its outer edges."""
    tract = DodecahedronSkyMap(name="d", pixel_scale=2.0).tract(0)
    missed = 0
    for patch in tract.patches():
        if not 28 <= patch.ix <= 32:
            continue
        right, middle = patch.outer_bbox.x.stop + 0.5, (patch.outer_bbox.y.start + patch.outer_bbox.y.stop) / 2
        x, y = right + np.array([0.0, 9.0, 9.0, 0.0]), middle + np.array([-5.0, -5.0, 5.0, 5.0])
        ra, dec = tract.grid.positions_of(x, y)
        if patch.region.overlaps(convex_polygon(ra, dec)):
            assert patch.id in tract.patch_ids_around(ra, dec, bent=True)
            missed += patch.id not in tract.patch_ids_around(ra, dec)
    assert missed > 10


def test_nearest_patches_are_on_the_tracts_that_stand_for_the_positions() -> None:
    skymap = rings()
    ra, dec = np.array([150.2, 151.5]), np.array([2.2, 2.2])
    found = skymap.nearest_patches(ra, dec)
    assert [tract.id for tract, _ in found] == skymap.tract_ids(ra, dec).tolist() == [9813, 9814]
    for tract, patches in found:
        assert [p.id for p in patches] == tract.patch_ids_around(ra, dec).tolist()


def test_containment_in_any_tract() -> None:
    skymap = discrete()
    ra, dec = np.array([[150.0, 151.9], [153.0, 10.0]]), np.array([[2.2, 3.9], [2.2, 41.0]])
    assert skymap.contains(ra, dec).tolist() == [[True, True], [False, True]]
    assert skymap.contains(150.0, 2.2)
    overlapping = discrete(tracts=[{"ra": 10, "dec": 0, "radius": 2.0}, {"ra": 13, "dec": 0, "radius": 0.5}])
    # Nearer to the second centre, and on the first tract alone
    assert overlapping.tract_ids(11.8, 1.9) == 1
    assert overlapping.contains(11.8, 1.9)
    assert [tract.id for tract in overlapping.tracts_containing(11.8, 1.9)] == [0]
