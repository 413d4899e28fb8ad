"""How many visits cover each point of a tract, from the outlines of the frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.path import Path as Outline

from .tract_products import FilterProducts

if TYPE_CHECKING:
    from skyloom.skymap import Tract

__all__ = ["Coverage", "coverage_of"]

_LONG_SIDE = 240
"""Points along the longer side of a tract, at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Coverage:
    """Which visits cover the points of a grid over a tract."""

    step: int
    """Distance of the points, pixels of the tract."""
    x: np.ndarray
    """Columns of the points, tract pixels; each stands for a square about it."""
    y: np.ndarray
    by_visit: Mapping[int, np.ndarray]
    """Bool ``[y, x]``: whether frames that are not refused cover the point."""
    pixel_scale: float
    """Of the tract, arcsec."""

    @property
    def count(self) -> np.ndarray:
        """Visits of each point, ``[y, x]``."""
        total = np.zeros((len(self.y), len(self.x)), np.int64)
        for mask in self.by_visit.values():
            total += mask
        return total

    def area(self, least: int) -> float:
        """Square arcmin that at least so many visits cover."""
        return float((self.count >= least).sum()) * (self.step * self.pixel_scale / 60.0) ** 2

    @property
    def median_depth(self) -> float:
        """Median number of visits where there is any; 0 without."""
        count = self.count
        return float(np.median(count[count > 0])) if (count > 0).any() else 0.0

    def visits_of_patch(self, tract: Tract, patch: int) -> set[int]:
        """Visits that cover a point of the inner box of a patch."""
        box = tract.patch(patch).inner_bbox
        rows = (self.y >= box.y.start - 0.5) & (self.y < box.y.stop - 0.5)
        columns = (self.x >= box.x.start - 0.5) & (self.x < box.x.stop - 0.5)
        return {visit for visit, mask in self.by_visit.items() if mask[np.ix_(rows, columns)].any()}


def coverage_of(products: FilterProducts, step: int | None = None) -> Coverage:
    """Count the visits over the tract of some products.

    Parameters
    ----------
    products
        Frames that the joint fit refused do not count.  Of a visit of which it has no WCSs, those of the summary do.
    step
        Distance of the points in pixels of the tract; by default 240 points go along its longer side.
    """
    box = products.tract.bbox
    step = step or max(1, int(np.ceil(max(box.x.size, box.y.size) / _LONG_SIDE)))
    x, y = (np.arange(axis.start, axis.stop, step) + 0.5 * (step - 1) for axis in (box.x, box.y))
    masks: dict[int, np.ndarray] = {}
    for (visit, _), frame in products.geometries.items():
        if not frame.refused:
            mask = masks.setdefault(visit, np.zeros((len(y), len(x)), bool))
            _cover(mask, x, y, frame.on_tract(products.tract))
    return Coverage(step=step, x=x, y=y, by_visit=masks, pixel_scale=products.tract.grid.pixel_scale)


def _cover(mask: np.ndarray, x: np.ndarray, y: np.ndarray, outline: np.ndarray) -> None:
    """Mark the points within an outline ``[n, 2]``."""
    if not np.isfinite(outline).all():
        return
    low, high = outline.min(axis=0), outline.max(axis=0)
    columns = slice(*np.searchsorted(x, [low[0], high[0]]))
    rows = slice(*np.searchsorted(y, [low[1], high[1]]))
    across, up = np.meshgrid(x[columns], y[rows])
    if across.size:
        inside = Outline(outline).contains_points(np.stack([across.ravel(), up.ravel()], axis=-1))
        mask[rows, columns] |= inside.reshape(across.shape)
