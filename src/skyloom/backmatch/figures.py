"""How well visits match: one row of figures a visit."""

from __future__ import annotations

from collections.abc import Mapping

import astropy.units as u
import numpy as np
from astropy.table import Table

from .cell_sums import Superpixels
from .match import VisitOffset
from .reference import VisitQuality
from .warps import PatchWarp

__all__ = ["FIGURES", "figures_table", "visit_figures"]

_NJY2 = u.nJy**2
FIGURES: dict[str, tuple[type, u.UnitBase | None, str]] = {
    "visit": (np.int64, None, "Visit id."),
    "is_reference": (np.bool_, None, "Whether the others were brought to the sky of this visit."),
    "is_matched": (np.bool_, None, "Whether the visit has the sky of the reference; False where nothing tells it."),
    "n_warps": (np.int64, None, "Warps."),
    "n_measured": (np.int64, None, "Superpixels in which it was compared."),
    "n_extrapolated": (np.int64, None, "Superpixels on its warps into which the offset is continued."),
    "chi2_dof": (
        np.float64,
        None,
        "Of the cells after matching, per degree of freedom; noise taken as not correlated.",
    ),
    "rms": (np.float64, u.nJy, "Of the levels of the cells after matching."),
    "mse": (np.float64, _NJY2, "Mean square of the pixels of reference (or mean of all) less visit after matching."),
    "difference_variance": (
        np.float64,
        _NJY2,
        "Mean variance of the pixels of that; mse is about as large.",
    ),
    "offset_min": (np.float64, u.nJy, "Smallest offset in the superpixels on its warps."),
    "offset_median": (np.float64, u.nJy, "Median of the offsets."),
    "offset_max": (np.float64, u.nJy, "Largest offset."),
    "sky_chi2_dof": (np.float64, None, "Of its own sky about a plane; NaN where no reference was chosen."),
    "sky_variance": (np.float64, _NJY2, "Mean variance of its pixels; NaN where no reference was chosen."),
    "reference_cost": (np.float64, None, "What the choice of the reference went by; NaN where none was chosen."),
}
"""Columns of the table: type, unit, description."""
_FREE_OF_OWN_MEAN = 41.0 / 64.0
"""Share of the variance of a cell that is left when the mean of its superpixels, interpolated, is taken off it."""


def visit_figures(
    visit: int,
    offset: VisitOffset | None,
    patches: Mapping[int, PatchWarp],
    quality: VisitQuality | None,
    *,
    joint: bool,
) -> dict[str, float]:
    """The figures of a visit, by the names of `FIGURES`."""
    row: dict[str, float] = dict.fromkeys(FIGURES, np.nan)
    row |= {"visit": visit, "is_matched": offset is not None, "n_warps": len(patches)}
    row |= {"is_reference": offset is not None and offset.differences is None, "n_measured": 0, "n_extrapolated": 0}
    if quality is not None:
        row |= {"sky_chi2_dof": quality.chi2_dof, "sky_variance": quality.variance, "reference_cost": quality.cost}
    if offset is None:
        return row
    covered = np.zeros(offset.grid.shape, bool)
    for warp in patches.values():
        covered |= offset.grid.inside(warp.bbox)
    values = offset.values[covered] if covered.any() else offset.values.ravel()
    low, middle, high = (float(one) for one in (np.min(values), np.median(values), np.max(values)))
    row |= {"offset_min": low, "offset_median": middle, "offset_max": high}
    row["n_extrapolated"] = int((covered & ~offset.measured).sum())
    if offset.differences is not None:
        row["n_measured"] = int(offset.measured.sum())
        row |= _after(offset, offset.differences.cells, 1.0 if joint else _FREE_OF_OWN_MEAN)
    return row


def _after(offset: VisitOffset, cells: Superpixels, free: float) -> dict[str, float]:
    """What is left in the cells of the measured superpixels."""
    measured = offset.measured
    inside = np.zeros(cells.count.shape, bool)
    for part in (np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, :-1], np.s_[1:, 1:]):
        inside[part] |= measured
    inside &= cells.count > 0
    if not inside.any():
        return {}
    left = (cells.value - offset.at(cells))[inside]
    count, error2 = cells.count[inside], cells.error2[inside]
    return {
        "rms": float(np.sqrt(np.average(left**2, weights=count))),
        "chi2_dof": float(np.mean(left**2 / error2) / free),
        "mse": float(np.average(cells.scatter[inside] + left**2, weights=count)),
        "difference_variance": float(np.average(cells.variance[inside], weights=count)),
    }


def figures_table(rows: list[dict[str, float]]) -> Table:
    """Rows of figures as a table with units and descriptions."""
    table = Table()
    for name, (kind, unit, words) in FIGURES.items():
        table[name] = np.array([row[name] for row in rows], dtype=kind)
        table[name].description = words
        table[name].unit = unit
    return table
