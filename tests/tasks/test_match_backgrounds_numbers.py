"""Images of known levels of 600 x 600 pixels with unit noise: a match leaves noise, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lsst.pipe.base import Struct

from backmatch.tract_visits import Handle, Visit, flat, handles_of, sky_map
from skyloom.background import render_field
from skyloom.backmatch import Planes
from skyloom.images import Exposure, bitmask
from skyloom.tasks import MatchBackgroundsTask
from skyloom.tasks.match_backgrounds import DIFFERENCE

SIDE = 600
MAP = sky_map((SIDE, SIDE), 0, SIDE)
TRACT = MAP.tract(0)
FULL, CHIP_GAP, LOW_COVERAGE = 1, 2, 3
VISITS = {
    FULL: Visit(number=FULL, sky=flat(50.0)),
    CHIP_GAP: Visit(number=CHIP_GAP, sky=flat(10.0), covered=lambda x, y: (x < 200) | (x >= 300)),
    LOW_COVERAGE: Visit(number=LOW_COVERAGE, sky=flat(20.0), covered=lambda x, y: x < 200),
}


def task(reference: int, **changes: Any) -> MatchBackgroundsTask:
    config = MatchBackgroundsTask.ConfigClass()
    config.refWarpVisit = reference
    config.tractBgModel.xBin = config.tractBgModel.yBin = 64.0
    for name, value in changes.items():
        setattr(config, name, value)
    return MatchBackgroundsTask(config=config)


def matched(visits: list[Visit], spoil: Callable[[Exposure], None] | None = None) -> tuple[Struct, list[Handle]]:
    """The last of the visits, which may be spoilt, and all others matched to the first."""
    handles = handles_of(visits, TRACT)
    assert [handle.exposure.bbox.y.size for handle in handles] == [SIDE] * len(visits)
    if spoil is not None:
        spoil(handles[-1].exposure)
    return task(visits[0].number).run(handles, MAP), handles


def assert_noise_is_left(result: Struct, handles: list[Handle]) -> None:
    """The criterion of a match: levels agree within the variance, and the mean square is that of noise within 1 %."""
    reference = handles[0].exposure
    for image in result.matchedImageList:
        box = image.bbox.intersection(reference.bbox)
        ours, theirs = (_planes(one[box]) for one in (reference, image))
        use = ours.usable(("BAD", "SAT", "EDGE", "NO_DATA")) & theirs.usable(("BAD", "SAT", "EDGE", "NO_DATA"))
        assert abs(ours.image[use].mean() - theirs.image[use].mean()) < 0.01  # a hundredth of what is asked
    others = result.figures[~result.figures["is_reference"]]
    assert (others["mse"] < 1.01 * others["difference_variance"]).all()
    np.testing.assert_allclose(others["difference_variance"], 2.0, rtol=1e-6)


def _planes(exposure: Exposure) -> Planes:
    return Planes(box=exposure.bbox, image=exposure.image.array, bits=exposure.bits, variance=exposure.variance.array)


@pytest.mark.parametrize("reference", VISITS, ids=["full coverage", "chip gap", "low coverage"])
def test_each_is_matched_to_each(reference: int) -> None:
    visits = [VISITS[reference], *(one for number, one in VISITS.items() if number != reference)]
    result, handles = matched(visits)
    assert_noise_is_left(result, handles)
    level = VISITS[reference].sky(0.0, 0.0)
    for image in result.matchedImageList:
        # Beyond what the reference covers too, where a fifth of the levels could be 40 counts off.
        columns = image.image.array[:, np.isfinite(image.image.array).all(axis=0)]
        assert np.abs(columns.mean(axis=0) - level).max() < 0.3


@pytest.mark.parametrize("reference", VISITS, ids=["full coverage", "chip gap", "low coverage"])
def test_ramps_of_one_and_two_counts_a_pixel(reference: int) -> None:
    ramp = Visit(number=4, sky=lambda x, y: 50.0 + 1.0 * x + 2.0 * y)
    result, handles = matched([VISITS[reference], ramp])
    assert_noise_is_left(result, handles)
    image = result.matchedImageList[1].image.array
    tiles = image.reshape(12, 50, 12, 50).mean(axis=(1, 3))
    # A two-hundredth of the amplitude where nothing is known of two thirds of the image.
    assert np.abs(tiles - VISITS[reference].sky(0.0, 0.0)).max() < (0.1 if reference != LOW_COVERAGE else 9.0)


def test_saturated_pixels_have_no_effect() -> None:
    def saturate(exposure: Exposure) -> None:
        for array, value in ((exposure.image.array, 65000.0), (exposure.bits, bitmask("SAT"))):
            array[100:200, 150:180] = value
            array[:, 400:405] = value

    visits = [VISITS[FULL], VISITS[CHIP_GAP], Visit(number=4, sky=flat(30.0))]
    clean, _ = matched(visits)
    result, handles = matched(visits, saturate)
    assert_noise_is_left(result, handles)
    added, expected = (
        render_field(one.backgroundInfoList[2][DIFFERENCE].field, handles[2].exposure.bbox) for one in (result, clean)
    )
    assert np.abs(added - expected).max() < 0.05


def test_a_corner_of_holes_and_wild_values_leaves_the_rest_alone() -> None:
    def wild(exposure: Exposure) -> None:
        rng = np.random.default_rng(1)
        corner = rng.uniform(0.0, 1000.0, (50, 50))
        corner[rng.random(corner.shape) < 0.6] = np.nan
        exposure.image.array[:50, :50] = corner

    result, _ = matched([VISITS[FULL], Visit(number=4, sky=flat(20.0))], wild)
    image = result.matchedImageList[1].image.array
    assert np.isnan(image[:50, :50]).mean() > 0.5
    assert abs(image[50:].mean() - 50.0) < 0.01
    assert abs(image[:, 50:].mean() - 50.0) < 0.01
    assert np.abs(image[100:, 100:].reshape(10, 50, 10, 50).mean(axis=(1, 3)) - 50.0).max() < 0.1
