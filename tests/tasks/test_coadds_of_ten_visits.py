"""All tasks that combine warps on one mock: ten visits, 201 x 301 pixels, 37 stars, PSFs of 1.5 to 3 px."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pytest
from lsst.images import Box
from lsst.pipe.base import Struct

from coadd.mock_warps import BOX, TRACT
from skyloom.coadd import ExposureHandle
from skyloom.images import Exposure, bitmask, bits_of, to_coadd
from skyloom.tasks import AssembleCoaddTask, CompareWarpAssembleCoaddTask, SafeClipAssembleCoaddTask
from skyloom.warp import match_visit_warp
from tasks.test_assemble_coadd_task import BACKGROUND, NOISE, SKY, visits

GHOST = Box.factory[165:195, -90:-60]
"""Far from stars."""
INNER = Box.factory[-20:230, -98:53]
"""Pixels of which all visits have matched values."""


@pytest.fixture(scope="module")
def warps() -> list[Exposure]:
    """On a sky of 314.592; the fourth visit has a ghost, the sixth bad pixels beside saturated ones."""
    made = visits()
    made[3].image.array[GHOST.slice_within(BOX)] += 20 * NOISE
    made[5].bits[100:120, 100:120] = bitmask("BAD")
    made[5].bits[120:130, 100:120] = bitmask("SAT")
    return made


@pytest.fixture(scope="module")
def matched(warps: list[Exposure]) -> list[Exposure]:
    return [match_visit_warp(one).warp for one in warps]


def handles(frames: list[Exposure]) -> list[ExposureHandle]:
    return [ExposureHandle(one.copy(), int(one.inputs["visit"][0])) for one in frames]


def make(kind: Any, **settings: Any) -> Any:
    config = kind.ConfigClass()
    for name, value in settings.items():
        setattr(config, name, value)
    config.validate()
    return kind(config=config)


def run(job: Any, frames: list[Exposure], **more: Any) -> Struct:
    return job.run(handles(frames), box=BOX, projection=TRACT, band="i", **more)


@pytest.mark.parametrize("kind", ["direct", "psfMatched", "safe clip", "compared"])
def test_every_task_makes_a_coadd_in_njy(kind: str, warps: list[Exposure], matched: list[Exposure]) -> None:
    if kind == "compared":
        coadd = run(make(CompareWarpAssembleCoaddTask), warps, psfMatchedWarps=handles(matched)).coadd
    elif kind == "safe clip":
        coadd = run(make(SafeClipAssembleCoaddTask), warps).coadd
    else:
        own = warps if kind == "direct" else matched
        coadd = run(make(AssembleCoaddTask, warpType=kind, statistic="MEANCLIP"), own).coadd
    assert coadd.unit == to_coadd(coadd).image.unit == u.nJy
    assert coadd.inputs["visit"].tolist() == list(range(100, 110))
    inner = coadd.image[INNER].array
    assert np.isfinite(inner).all()
    assert np.median(inner) == pytest.approx(BACKGROUND, abs=0.5)
    assert np.median(coadd.image[GHOST].array) == pytest.approx(BACKGROUND, abs=1.0)


def test_compared_coadd_is_the_mean_of_warps_that_carry_the_masks(
    warps: list[Exposure], matched: list[Exposure]
) -> None:
    job = make(CompareWarpAssembleCoaddTask, doWriteArtifactMasks=True)
    # The order of the matched warps does not matter.
    frames, partners = handles(warps), handles(matched)[::-1]
    result = job.run(frames, box=BOX, projection=TRACT, band="i", psfMatchedWarps=partners)
    ghost = bits_of(result.artifactMasks[103])[GHOST.slice_within(BOX)]
    assert (ghost & bitmask("CLIPPED") != 0).mean() > 0.99
    prepared = job.prepareInputs(frames)
    for frame in prepared.tempExpRefList:
        frame.get().bits[...] |= bits_of(result.artifactMasks[frame.dataId["visit"]])
    plain = make(AssembleCoaddTask, statistic="MEAN", badMaskPlanes=["NO_DATA", "BAD", "SAT", "CLIPPED", "REJECTED"])
    lists = prepared.tempExpRefList, prepared.imageScalerList, prepared.weightList
    coadd = plain.assemble(SKY, *lists).coaddExposure
    np.testing.assert_array_equal(coadd.image.array, result.coadd.image.array)
    np.testing.assert_array_equal(coadd.variance.array, result.coadd.variance.array)
