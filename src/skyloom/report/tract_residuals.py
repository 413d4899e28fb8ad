"""Distances of the measurements from their stars, before and after a joint fit, and figures of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skyloom.catalog.columns import flag_column, float_column

from .tract_geometry import focal_plane_of, sky_offsets
from .tract_products import FilterProducts

__all__ = ["Cells", "Residuals", "cells_of", "flux_residuals", "position_residuals", "repeatability"]

_PER_CELL = 8
"""Measurements of a cell, about."""
_MOST_CELLS = 30
"""Cells a side, at most."""
_FEWEST = 3
"""Measurements that a cell needs."""
_BRIGHT = 25.0
"""Percentile of the magnitudes to which measurements count as bright."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Residuals:
    """Of all measurements that took part in one of the fits, used or not."""

    unit: str
    """``mas`` or ``mmag``."""
    visit: np.ndarray
    detector: np.ndarray
    star: np.ndarray
    magnitude: np.ndarray
    """AB, before the fit."""
    before: np.ndarray
    """Measurement less star, ``[n, k]``: (east, north), or the magnitude."""
    after: np.ndarray
    error: np.ndarray | None
    """Of the measurement, where the table has it."""
    used: np.ndarray
    """Bool: the fit was made to it."""
    plane: np.ndarray
    """Place in the focal plane, mm, ``[n, 2]``."""
    sky: np.ndarray
    """Place on the tract, arcmin along x and y from its lower left corner, ``[n, 2]``."""
    turn: np.ndarray | None
    """``[n, 2, 2]``: turns (east, north) to the axes of the focal plane, NaN where not known; None of fluxes."""

    def of(self, when: str) -> np.ndarray:
        """Those ``before`` or ``after`` the fit."""
        return self.before if when == "before" else self.after

    def on_plane(self, when: str) -> np.ndarray:
        """The same along the axes of the focal plane, ``[n, k]``."""
        values = self.of(when)
        return values if self.turn is None else np.einsum("nij,nj->ni", self.turn, values)

    def rms(self, when: str) -> float:
        """Root mean square a coordinate of the measurements used; NaN without any."""
        return _rms(self.of(when)[self.used])

    @cached_property
    def bright(self) -> np.ndarray:
        """Bool: used, and in the brightest quarter of those."""
        known = self.used & np.isfinite(self.magnitude)
        if not known.any():
            return known
        return np.asarray(known & (self.magnitude <= np.percentile(self.magnitude[known], _BRIGHT)), bool)

    def repeats(self, when: str, chosen: np.ndarray | None = None) -> float:
        """`repeatability` of those chosen (default: used)."""
        chosen = self.used if chosen is None else chosen
        return repeatability(self.of(when)[chosen], self.star[chosen])

    def plane_cells(self, when: str, visit: int | None = None) -> Cells:
        """Means of the bright ones over cells of the focal plane, of one visit or of all together."""
        chosen = self.bright if visit is None else self.bright & (self.visit == visit)
        return cells_of(self.plane[chosen], self.on_plane(when)[chosen])

    def common_of_visits(self, when: str) -> dict[int, float]:
        """By visit, what neighbours in the focal plane have in common; not where bright stars are too few."""
        found = {int(visit): self.plane_cells(when, int(visit)).common for visit in np.unique(self.visit)}
        return {visit: value for visit, value in found.items() if np.isfinite(value)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Residuals in square cells of a plane; NaN where there are too few."""

    edges: tuple[np.ndarray, np.ndarray]
    """Of the cells along x and along y."""
    count: np.ndarray
    """``[y, x]``."""
    mean: np.ndarray
    """``[y, x, k]``."""
    rms: np.ndarray
    """Root mean square a coordinate, ``[y, x]``."""
    noise: np.ndarray
    """Expected square of the mean a coordinate of measurements that have nothing in common, ``[y, x]``."""

    @property
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the cells, ``[y, x]`` each."""
        x, y = (0.5 * (edge[1:] + edge[:-1]) for edge in self.edges)
        across, up = np.meshgrid(x, y)
        return across, up

    @property
    def common(self) -> float:
        """Root mean square a coordinate of what neighbours have in common.

        It is that of the means, less what measurements that have nothing in common would leave; 0 where that is more,
        NaN without a cell.
        """
        known = np.isfinite(self.rms)
        if not known.any():
            return float("nan")
        excess = np.mean(self.mean[known] ** 2, axis=-1) - self.noise[known]
        return float(np.sqrt(max(np.average(excess, weights=self.count[known]), 0.0)))


def cells_of(place: np.ndarray, values: np.ndarray, per_cell: int = _PER_CELL) -> Cells:
    """Bin residuals over a plane.

    Parameters
    ----------
    place
        ``[n, 2]``.
    values
        ``[n, k]``; those that are not finite are left out.
    per_cell
        Measurements that a cell shall have on average.
    """
    known = np.isfinite(place).all(axis=1) & np.isfinite(values).all(axis=1)
    place, values = place[known], values[known]
    edges = _edges(place, per_cell)
    shape = (len(edges[1]) - 1, len(edges[0]) - 1)
    column, row = (
        np.clip(np.searchsorted(edge, part, side="right") - 1, 0, len(edge) - 2)
        for edge, part in zip(edges, place.T, strict=True)
    )
    cell = row * shape[1] + column
    size = shape[0] * shape[1]
    count = np.bincount(cell, minlength=size)
    n = np.where(count >= _FEWEST, count, np.nan)
    mean = np.stack([np.bincount(cell, part, size) / n for part in values.T], axis=-1)
    square = np.bincount(cell, np.mean(values**2, axis=1), size) / n
    spread = np.maximum(square - np.mean(mean**2, axis=-1), 0.0)
    return Cells(
        edges=edges,
        count=count.reshape(shape),
        mean=mean.reshape(*shape, values.shape[1]),
        rms=np.sqrt(square).reshape(shape),
        noise=(spread / (n - 1.0)).reshape(shape),
    )


def repeatability(values: np.ndarray, star: np.ndarray) -> float:
    """Scatter of the measurements of a star about their own mean, a coordinate: the root of the mean variance.

    Each star's variance is that of a sample and counts with its degrees of freedom, so that it does not matter what the
    residuals are measured from.  Stars of one measurement do not count; NaN without any other.

    Parameters
    ----------
    values
        ``[n, k]``.
    star
        Number of the star of each, ``[n]``.
    """
    known = np.isfinite(values).all(axis=1)
    values = values[known]
    _, index, count = np.unique(star[known], return_inverse=True, return_counts=True)
    freedom = int((count - 1).sum())
    if freedom <= 0:
        return float("nan")
    mean = np.stack([np.bincount(index, part) / count for part in values.T], axis=-1)
    return float(np.sqrt(np.sum((values - mean[index]) ** 2) / (values.shape[1] * freedom)))


def position_residuals(products: FilterProducts) -> Residuals | None:
    """Those of positions in mas; None where positions were not fitted."""
    columns = ("east_before", "north_before", "east_after", "north_after")
    return _residuals(products, columns, "astrometry_used", 1e3, "mas")


def flux_residuals(products: FilterProducts) -> Residuals | None:
    """Those of fluxes in mmag; None where fluxes were not fitted."""
    return _residuals(products, ("mag_before", "mag_after"), "photometry_used", 1e3, "mmag")


def _residuals(
    products: FilterProducts, columns: tuple[str, ...], used: str, factor: float, unit: str
) -> Residuals | None:
    table = products.measurements
    if table is None or len(table) == 0 or not {*columns, used} <= set(table.colnames):
        return None
    values = factor * np.stack([float_column(table, name) for name in columns], axis=-1)
    half = len(columns) // 2
    visit, detector, star = (np.asarray(table[name], np.int64) for name in ("visit", "detector", "star"))
    plane = np.full((len(table), 2), np.nan)
    turn = np.full((len(table), 2, 2), np.nan)
    for key, rows in _frames(visit, detector):
        place = focal_plane_of(products.camera, key[1], float_column(table, "x")[rows], float_column(table, "y")[rows])
        plane[rows] = place
        if key in products.geometries:
            turn[rows] = products.geometries[key].turn
    known = np.isfinite(values).all(axis=1)
    return Residuals(
        unit=unit,
        visit=visit,
        detector=detector,
        star=star,
        magnitude=float_column(table, "mag"),
        before=values[:, :half],
        after=values[:, half:],
        error=factor * float_column(table, "mag_err") if unit == "mmag" and "mag_err" in table.colnames else None,
        used=flag_column(table, used) & known,
        plane=plane,
        sky=_sky(products, star),
        turn=turn if unit == "mas" else None,
    )


def _frames(visit: np.ndarray, detector: np.ndarray) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Visit and detector of each frame, and its rows."""
    pairs, index = np.unique(np.stack([visit, detector], axis=1), axis=0, return_inverse=True)
    order = np.argsort(index.ravel(), kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(index.ravel(), minlength=len(pairs)))[:-1])
    for (one, other), rows in zip(pairs, parts, strict=True):
        yield (int(one), int(other)), rows


def _sky(products: FilterProducts, star: np.ndarray) -> np.ndarray:
    """Places of stars on the tract; NaN of those that are not in the table."""
    place = np.full((len(star), 2), np.nan)
    table = products.stars
    if table is None or len(table) == 0:
        return place
    numbers = np.asarray(table["star"], np.int64)
    order = np.argsort(numbers)
    row = order[np.clip(np.searchsorted(numbers, star, sorter=order), 0, len(order) - 1)]
    found = numbers[row] == star
    ra, dec = float_column(table, "ra")[row], float_column(table, "dec")[row]
    place[found] = sky_offsets(products.tract, ra[found], dec[found])
    return place


def _edges(place: np.ndarray, per_cell: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of square cells over all places."""
    if len(place) == 0:
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    low, span = place.min(axis=0), np.maximum(np.ptp(place, axis=0), 1e-9)
    span = np.maximum(span, 1e-3 * span.max())
    side = np.sqrt(span[0] * span[1] * per_cell / len(place))
    side = max(side, span.max() / _MOST_CELLS)
    number = np.maximum(np.ceil(span / side), 1).astype(int)
    middle = low + 0.5 * span
    x, y = (c + side * (np.arange(n + 1) - 0.5 * n) for c, n in zip(middle, number, strict=True))
    return x, y


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")
