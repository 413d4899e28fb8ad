"""Superpixels of visits, and of the differences between them: warps are read one at a time and binned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping

import numpy as np
from lsst.images import Box
from lsst.images import NoOverlapError as OutsideError

from .cell_sums import CellSums, Planes
from .grid import SuperpixelGrid
from .settings import BinStatistic, TractModelSettings
from .warps import PatchWarp, counted_box

__all__ = ["Offset", "measure_differences", "measure_from_mean", "measure_visits"]

_LOG = logging.getLogger(__name__)

type Visits = Mapping[int, Mapping[int, PatchWarp]]
"""Warps by visit and patch."""
type Offset = Callable[[int, PatchWarp], np.ndarray | None]
"""The offset of a visit at the pixels of a warp's box, ``[y, x]``; None for 0."""


def measure_visits(
    visits: Visits, grid: SuperpixelGrid, settings: TractModelSettings, statistic: BinStatistic
) -> dict[int, CellSums]:
    """The level of each visit, by visit; every warp is read once."""
    found = {}
    for visit, patches in visits.items():
        found[visit] = CellSums(grid)
        for warp in patches.values():
            box = counted_box(warp.patch, patches.keys(), warp.bbox)
            if box is not None:
                _add_level(found[visit], warp, box, settings, statistic)
    return found


def _add_level(
    sums: CellSums, warp: PatchWarp, box: Box, settings: TractModelSettings, statistic: BinStatistic
) -> None:
    """Read a warp and add it; its pixels are let go of before those of the next one are read."""
    planes = warp.read(box)
    if not sums.add(planes, settings.mask, statistic):
        _tell_useless(warp, planes, settings.mask)


def measure_differences(
    visits: Visits, reference: int, grid: SuperpixelGrid, settings: TractModelSettings, statistic: BinStatistic
) -> dict[int, CellSums]:
    """The level of the reference visit less each other, by visit.

    Pixels are subtracted before they are binned, so that what both visits show cancels whatever their masks are; what
    either masks does not count.  Patch after patch, the warp of the reference is read once, and each other once.
    """
    found = {visit: CellSums(grid) for visit in visits if visit != reference}
    both = {visit: visits[visit].keys() & visits[reference].keys() for visit in found}
    for number, ours in visits[reference].items():
        theirs = {visit: visits[visit][number] for visit in found if number in both[visit]}
        boxes = {visit: _shared_box(warp, ours, both[visit]) for visit, warp in theirs.items()}
        wanted = {visit: box for visit, box in boxes.items() if box is not None}
        if wanted:
            planes = ours.read(ours.bbox)
            for visit, box in wanted.items():
                if not _add_difference(found[visit], planes[box], theirs[visit], settings, statistic):
                    _tell_useless(ours, planes[box], settings.mask)
            del planes
    return found


def _shared_box(warp: PatchWarp, other: PatchWarp, present: Collection[int]) -> Box | None:
    try:
        return counted_box(warp.patch, present, warp.bbox.intersection(other.bbox))
    except OutsideError:
        return None


def _add_difference(
    sums: CellSums, planes: Planes, warp: PatchWarp, settings: TractModelSettings, statistic: BinStatistic
) -> int:
    """Read a warp and add planes less it; the number of pixels that could be used."""
    other = warp.read(planes.box)
    n = sums.add(planes.less(other), settings.mask, statistic)
    if not n:
        _tell_useless(warp, other, settings.mask)
    return n


def measure_from_mean(
    visits: Visits,
    offset: Offset,
    grid: SuperpixelGrid,
    settings: TractModelSettings,
    statistic: BinStatistic,
) -> dict[int, CellSums]:
    """The level of the mean of all visits, each with its offset, less each visit without, by visit.

    The mean stands in for what all visits show.  Patch after patch, every warp is read twice; the mean and one warp are
    in memory.
    """
    found = {visit: CellSums(grid) for visit in visits}
    for number in sorted({number for patches in visits.values() for number in patches}):
        warps = {visit: patches[number] for visit, patches in visits.items() if number in patches}
        if len(warps) < 2:
            continue
        mean = _Mean(list(warps.values()), settings.mask)
        for visit, warp in warps.items():
            mean.add(warp.read(warp.bbox), offset(visit, warp))
        for visit, warp in warps.items():
            box = counted_box(warp.patch, visits[visit].keys(), warp.bbox)
            if box is not None:
                found[visit].add(mean.less(warp.read(box)), settings.mask, statistic)
    return found


def _tell_useless(warp: PatchWarp, planes: Planes, ignored: tuple[str, ...]) -> None:
    if not planes.usable(ignored).any():
        _LOG.warning(
            "visit %d, patch %d: no pixel can be used: all are masked, NaN or without a finite positive variance; "
            "offsets there are continued from neighbours, where there are any: look at that warp",
            warp.visit,
            warp.patch.id,
        )


class _Mean:
    """Mean of warps of one patch over their usable pixels."""

    def __init__(self, warps: list[PatchWarp], mask: tuple[str, ...]) -> None:
        self._mask = mask
        boxes = [warp.bbox for warp in warps]
        self._box = Box.factory[
            min(box.y.start for box in boxes) : max(box.y.stop for box in boxes),
            min(box.x.start for box in boxes) : max(box.x.stop for box in boxes),
        ]
        self._sum = np.zeros(self._box.shape)
        self._variance = np.zeros(self._box.shape, np.float32)
        self._count = np.zeros(self._box.shape, np.int32)

    def add(self, planes: Planes, offset: np.ndarray | None) -> None:
        """Add a warp."""
        at = planes.box.slice_within(self._box)
        usable = planes.usable(self._mask)
        image = planes.image if offset is None else planes.image + offset
        self._sum[at] += np.where(usable, image, 0.0)
        self._variance[at] += np.where(usable, planes.variance, 0.0)
        self._count[at] += usable

    def less(self, planes: Planes) -> Planes:
        """The mean minus a warp, with the variance of that; NaN where no other warp has a usable pixel."""
        at = planes.box.slice_within(self._box)
        count = self._count[at]
        share = np.where(count > 1, 1.0 / np.maximum(count, 1), np.nan)
        own = np.where((planes.variance > 0) & np.isfinite(planes.variance), planes.variance, np.nan)
        variance = own * (1.0 - 2.0 * share) + self._variance[at] * share**2
        return Planes(
            box=planes.box,
            image=(self._sum[at] * share - planes.image).astype(np.float32),
            bits=planes.bits,
            variance=variance.astype(np.float32),
        )
