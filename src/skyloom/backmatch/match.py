"""`match_visits`: the offsets that bring the visits of a tract to the sky of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from lsst.images import Box
from lsst.images.fields import SplineField

from skyloom.background import render_field
from skyloom.errors import BadFrameError

from .cell_sums import CellSums, Superpixels
from .curves import offset_field, possible_style, sample_surface
from .grid import SuperpixelGrid
from .joint import solve_jointly
from .measure import measure_differences, measure_from_mean, measure_visits
from .settings import MatchSettings
from .surface import fill_unmeasured
from .warps import PatchWarp

__all__ = ["VisitOffset", "match_visits"]


@dataclass(frozen=True, kw_only=True, eq=False)
class VisitOffset:
    """What is added to the warps of a visit."""

    grid: SuperpixelGrid
    values: np.ndarray
    """``[row, column]`` nJy at the centres of the superpixels, known everywhere."""
    measured: np.ndarray
    """``[row, column]``: superpixels in which visit and reference were compared; elsewhere the offset is continued."""
    differences: CellSums | None
    """Reference (or mean of the visits) less visit; None for the reference itself."""
    style: str
    """Curve between the superpixels."""

    def field(self, box: Box, binning: int) -> SplineField:
        """The offset over a box of the tract, nJy, with nodes every ``binning`` pixels."""
        return offset_field(self.grid, self.values, box, binning, self.style)

    def at(self, cells: Superpixels) -> np.ndarray:
        """``[row, column]``: the offset at the mean places of the pixels of the cells, NaN where there is no pixel."""
        grid = self.grid
        y, x = ((edges[:-1] + edges[1:] - 1) / 2.0 for edges in (grid.y_edges, grid.x_edges))
        at_centres = sample_surface(grid, self.values, y, x, self.style)
        along_y, along_x = np.gradient(at_centres, y, x)
        return np.asarray(at_centres + along_x * (cells.x - x) + along_y * (cells.y - y[:, np.newaxis]))


def match_visits(
    visits: Mapping[int, Mapping[int, PatchWarp]], reference: int, grid: SuperpixelGrid, settings: MatchSettings
) -> dict[int, VisitOffset | None]:
    """Find the offset of each visit.

    Parameters
    ----------
    visits
        Warps by visit and patch, as `skyloom.backmatch.by_visit` has them.
    reference
        One of the visits; its offset is 0.
    grid
        Superpixels of the tract.
    settings
        Knobs.

    Returns
    -------
    dict
        By visit; None for a visit that has no superpixel in common with the reference (of a joint solution: with any
        that is connected to it).

    Raises
    ------
    BadFrameError
        If the reference is not among the visits, or the tract has too few superpixels for the curve.
    """
    if reference not in visits:
        raise BadFrameError(
            f"the reference visit {reference} has no warp; the visits are {sorted(visits)}.",
            cure="Name one of them, or none to have one chosen.",
        )
    style = _style(visits, reference, grid, settings)
    if settings.solution == "JOINT":
        return _jointly(visits, reference, grid, settings, style)
    differences = measure_differences(visits, reference, grid, settings.model, settings.statistic)
    found: dict[int, VisitOffset | None] = {}
    for visit in visits:
        sums = differences.get(visit)
        found[visit] = _zero(grid, style) if sums is None else _against_reference(sums, grid, settings, style)
    return found


def _style(visits: Mapping[int, object], reference: int, grid: SuperpixelGrid, settings: MatchSettings) -> str:
    try:
        return possible_style(settings.style, grid.shape, reduce=settings.undersample == "REDUCE_INTERP_ORDER")
    except BadFrameError as error:
        others = [visit for visit in visits if visit != reference]
        if not others:
            return "LINEAR"
        raise BadFrameError(f"visit {others[0]}: {error.cause}", cure=error.cure) from error


def _zero(grid: SuperpixelGrid, style: str) -> VisitOffset:
    nothing = np.zeros(grid.shape)
    return VisitOffset(grid=grid, values=nothing, measured=nothing == 0, differences=None, style=_curve(style))


def _against_reference(sums: CellSums, grid: SuperpixelGrid, settings: MatchSettings, style: str) -> VisitOffset | None:
    measured = sums.measured(settings.model.min_fraction)
    if not measured.any():
        return None
    count = np.where(measured, sums.superpixels.count, 0.0)
    if style == "NONE":
        values = np.full(grid.shape, np.average(sums.superpixels.value[measured], weights=count[measured]))
    else:
        values = fill_unmeasured(sums.centred(measured), count, settings.model)
    return VisitOffset(grid=grid, values=values, measured=measured, differences=sums, style=_curve(style))


def _jointly(
    visits: Mapping[int, Mapping[int, PatchWarp]],
    reference: int,
    grid: SuperpixelGrid,
    settings: MatchSettings,
    style: str,
) -> dict[int, VisitOffset | None]:
    model, offsets = settings.model, dict[int, np.ndarray]()

    def offset(visit: int, warp: PatchWarp) -> np.ndarray | None:
        if visit not in offsets:
            return None
        return render_field(offset_field(grid, offsets[visit], warp.bbox, model.binning, _curve(style)), warp.bbox)

    # Planes first: steps between skies at the edges of frames would else be in the mean of the visits.
    levels = {visit: sums.negative() for visit, sums in measure_visits(visits, grid, model, settings.statistic).items()}
    shares = {visit: _share(sums, model.min_fraction) for visit, sums in levels.items()}
    offsets = solve_jointly(levels, reference, None, model.min_fraction)
    for _ in range(settings.joint_rounds):
        together = {visit: visits[visit] for visit in offsets}
        levels = measure_from_mean(together, offset, grid, model, settings.statistic)
        offsets = solve_jointly(levels, reference, settings.joint_scale, model.min_fraction)
        if style == "NONE":
            offsets = {visit: _level(one, levels[visit].measured(model.min_fraction)) for visit, one in offsets.items()}
    common = np.zeros(grid.shape)
    if settings.joint_sky == "MEAN":
        common = np.average(list(offsets.values()), axis=0, weights=[shares[visit] for visit in offsets])
    found: dict[int, VisitOffset | None] = dict.fromkeys(visits)
    for visit, values in offsets.items():
        found[visit] = VisitOffset(
            grid=grid,
            values=values - common,
            measured=levels[visit].measured(model.min_fraction),
            differences=levels[visit],
            style=_curve(style),
        )
    _take_off_common(found)
    if settings.joint_sky == "REFERENCE":
        found[reference] = _zero(grid, style)
    return found


def _share(sums: CellSums, min_fraction: float) -> float:
    """1 / mean variance of the pixels of a visit, as good as 0 where it has none."""
    measured = sums.measured(min_fraction)
    return float(1.0 / np.mean(sums.superpixels.variance[measured])) if measured.any() else 1e-300


def _level(values: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """The mean where it was measured, everywhere."""
    return np.full(values.shape, np.mean(values[measured]) if measured.any() else 0.0)


def _take_off_common(offsets: Mapping[int, VisitOffset | None]) -> None:
    """Take off the differences of the visits what is common to all in a cell: the errors of the mean of the visits."""
    compared = [(one, one.differences) for one in offsets.values() if one is not None and one.differences is not None]
    left = [np.where(sums.cells.count > 0, sums.cells.value - one.at(sums.cells), 0.0) for one, sums in compared]
    count = np.array([sums.cells.count for _, sums in compared])
    common = np.sum(count * left, axis=0) / np.maximum(count.sum(axis=0), 1.0)
    for _, sums in compared:
        sums.shift(-common)


def _curve(style: str) -> str:
    """The curve with which a surface is drawn; one that is level needs none."""
    return "CONSTANT" if style == "NONE" else style
