"""Outlines for DS9, and coverage maps."""

from __future__ import annotations

import numpy as np
from lsst.sphgeom import HealpixPixelization, UnitVector3d

from skyloom.skymap import coverage_cells, ds9_polygons, unit_vectors
from skymap.whole_sky import discrete, random_positions


def test_region_file_holds_the_corners() -> None:
    tract = discrete().tract(4)
    lines = ds9_polygons([("tract 4", tract.region)]).splitlines()
    assert lines[:2] == ["# Region file format: DS9 version 4.1", "icrs"]
    numbers, label = lines[2].removeprefix("polygon(").split(") # ")
    assert label == "text={tract 4}"
    corners = np.array(numbers.split(","), float).reshape(-1, 2)
    expected = np.transpose(tract.corners)
    for corner in expected:
        assert np.abs(corners - corner).max(axis=1).min() < 1e-7


def test_coverage_map_covers_the_tracts_and_little_more() -> None:
    tracts = [discrete().tract(number) for number in (4, 8)]
    order = 7
    cells = coverage_cells((tract.region for tract in tracts), order)
    assert min(cells) < order == max(cells)
    for level, numbers in cells.items():
        for number in numbers[:20]:  # none of four siblings that would be one cell
            siblings = {number - number % 4 + k for k in range(4)}
            assert level == 0 or not siblings <= set(numbers)
    deepest: set[int] = set()
    for level, numbers in cells.items():
        size = 4 ** (order - level)
        deepest.update(child for number in numbers for child in range(number * size, (number + 1) * size))
    pixels = HealpixPixelization(order)
    rng = np.random.default_rng(1)
    for tract in tracts:
        x, y = rng.uniform(0, tract.bbox.x.stop - 1, 300), rng.uniform(0, tract.bbox.y.stop - 1, 300)
        held = [pixels.index(UnitVector3d(*v)) for v in unit_vectors(*tract.grid.positions_of(x, y))]
        assert deepest.issuperset(held)
    area = sum(tract.region.getBoundingBox().getLat().getSize().asDegrees() ** 2 for tract in tracts)
    assert len(deepest) * 41252.96 / (12 * 4**order) < 1.4 * area
    ra, dec = random_positions(300)
    outside = (pixels.index(UnitVector3d(*v)) not in deepest for v in unit_vectors(ra, dec))
    assert np.mean(list(outside)) > 0.99
