"""`CellSums`: what the pixels of one visit tell of its level on a tract, patch after patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lsst.images import Box
from lsst.images import NoOverlapError as OutsideError
from scipy.ndimage import correlate

from skyloom.errors import BadFrameError
from skyloom.images import bitmask
from skyloom.kernels.superpixels import CLIPPED_MEAN, MEAN, MEDIAN, cell_levels, subtract_planes

from .grid import SuperpixelGrid
from .settings import BinStatistic

__all__ = ["CellSums", "Planes", "Superpixels"]

_STATISTICS = {"MEAN": MEAN, "MEDIAN": MEDIAN, "MEANCLIP": CLIPPED_MEAN}
_COUNT, _VALUE, _X, _Y, _SCATTER, _VARIANCE, _WEIGHT = range(7)
_WILD = 4.0
"""Scatter over variance beyond which the level of a cell counts less: what clipping has left in it is no noise."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Planes:
    """Pixels of a warp inside a box, ``[y, x]``."""

    box: Box
    image: np.ndarray
    bits: np.ndarray
    variance: np.ndarray

    def __getitem__(self, box: Box) -> Planes:
        at = box.slice_within(self.box)
        return Planes(box=box, image=self.image[at], bits=self.bits[at], variance=self.variance[at])

    def usable(self, ignored: tuple[str, ...]) -> np.ndarray:
        """``[y, x]``: finite pixels of finite positive variance without a mask plane that is ignored."""
        usable = (self.bits & bitmask(*ignored)) == 0
        usable &= np.isfinite(self.image) & np.isfinite(self.variance) & (self.variance > 0)
        return np.asarray(usable)

    def less(self, other: Planes) -> Planes:
        """The difference to another in the same box: masks are joined, variances added where both are positive."""
        image, bits, variance = subtract_planes(
            self.image, self.bits, self.variance, other.image, other.bits, other.variance
        )
        return Planes(box=self.box, image=image, bits=bits, variance=variance)


@dataclass(frozen=True, kw_only=True, eq=False)
class Superpixels:
    """Means over superpixels or cells, ``[row, column]``; NaN where there is no pixel."""

    count: np.ndarray
    """Number of usable pixels."""
    value: np.ndarray
    """nJy."""
    x: np.ndarray
    y: np.ndarray
    """Mean place of the pixels, px of the tract."""
    scatter: np.ndarray
    """Variance of the pixels about their level, nJy^2."""
    variance: np.ndarray
    """Mean of their variance plane, nJy^2."""

    @property
    def error2(self) -> np.ndarray:
        """Variance of the value: mean variance over the number of pixels, as if their noise were not correlated."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.variance / self.count)


class CellSums:
    """Sums over the pixels in the cells of a grid.

    Parameters
    ----------
    grid
        Superpixels of the tract.
    sums
        ``[7, row, column]`` of cells: number of pixels; sums of value, x and y, times the weight of their cell; sums of
        scatter and variance; sum of weights.  None for 0.
    """

    def __init__(self, grid: SuperpixelGrid, sums: np.ndarray | None = None) -> None:
        shape = (7, grid.shape[0] + 1, grid.shape[1] + 1)
        if sums is not None and sums.shape != shape:
            raise ValueError(f"Sums of shape {sums.shape}; the cells of the grid have {shape}.")
        self.grid = grid
        self.sums = np.zeros(shape) if sums is None else sums

    def add(self, planes: Planes, ignored: tuple[str, ...], statistic: BinStatistic) -> int:
        """Add the pixels of a box, each of which must be added once only; those outside the cells are left out.

        Returns
        -------
        int
            How many were usable.
        """
        y_edges, x_edges = self.grid.y_edges, self.grid.x_edges
        try:
            box = planes.box.intersection(Box.factory[y_edges[0] : y_edges[-1], x_edges[0] : x_edges[-1]])
        except OutsideError:
            return 0
        planes = planes[box]
        rows, y = _touched(y_edges, box.y.start, box.y.stop)
        columns, x = _touched(x_edges, box.x.start, box.x.stop)
        levels = cell_levels(
            np.ascontiguousarray(planes.image, np.float32),
            np.ascontiguousarray(planes.bits, np.int32),
            np.ascontiguousarray(planes.variance, np.float32),
            bitmask(*ignored),
            y - box.y.start,
            x - box.x.start,
            _STATISTICS[statistic.statistic],
            float(statistic.n_sigma),
            statistic.iterations,
        )
        levels[_X] += box.x.start
        levels[_Y] += box.y.start
        count, noise = levels[_COUNT], _WILD * levels[_VARIANCE]
        weight = count * np.divide(noise, levels[_SCATTER], out=np.ones(count.shape), where=levels[_SCATTER] > noise)
        levels[[_VALUE, _X, _Y]] *= weight
        levels[[_SCATTER, _VARIANCE]] *= count
        self.sums[:, rows, columns] += np.concatenate([levels, weight[np.newaxis]])
        return int(count.sum())

    def __iadd__(self, other: CellSums) -> CellSums:
        if other.grid != self.grid:
            raise BadFrameError(f"superpixels of {other.grid} cannot be added to those of {self.grid}.")
        self.sums += other.sums
        return self

    def shift(self, level: np.ndarray) -> None:
        """Add a level ``[row, column]`` to the pixels of each cell."""
        self.sums[_VALUE] += self.sums[_WEIGHT] * level

    def negative(self) -> CellSums:
        """The same of pixels of the other sign."""
        twin = CellSums(self.grid, self.sums.copy())
        twin.sums[_VALUE] *= -1.0
        return twin

    @property
    def cells(self) -> Superpixels:
        """Means over the cells, which share no pixel."""
        return _means(self.sums)

    @property
    def superpixels(self) -> Superpixels:
        """Means over the superpixels, each over 2 x 2 cells: a pixel counts in four of them.

        A cell whose pixels scatter more than `_WILD` times their variance, because of sources that do not cancel or of
        bad pixels that are not masked, counts for less in the value, as its noise is larger.
        """
        sums = self.sums
        return _means(sums[:, :-1, :-1] + sums[:, :-1, 1:] + sums[:, 1:, :-1] + sums[:, 1:, 1:])

    def measured(self, min_fraction: float) -> np.ndarray:
        """``[row, column]``: superpixels with enough pixels."""
        count = self.superpixels.count
        return np.asarray((count > 0) & (count >= min_fraction * self.grid.x_bin * self.grid.y_bin))

    def centred(self, measured: np.ndarray) -> np.ndarray:
        """``[row, column]`` values at the centres of the measured superpixels, NaN elsewhere.

        Where pixels are missing, the mean belongs to their mean place: it is brought to the centre along the plane
        through the superpixel and its neighbours.
        """
        means = self.superpixels
        slope_x, slope_y, (x, y) = _local_slopes(self.grid, means, measured)
        return np.where(measured, means.value - slope_x * x - slope_y * y, np.nan)


def _touched(edges: np.ndarray, start: int, stop: int) -> tuple[slice, np.ndarray]:
    """The cells that meet an interval, and their edges cut to it."""
    first = int(np.searchsorted(edges, start, side="right")) - 1
    last = int(np.searchsorted(edges, stop, side="left"))
    return slice(first, last), np.clip(edges[first : last + 1], start, stop)


def _means(sums: np.ndarray) -> Superpixels:
    count = sums[_COUNT]
    with np.errstate(divide="ignore", invalid="ignore"):
        value, x, y = np.where(count > 0, sums[[_VALUE, _X, _Y]] / sums[_WEIGHT], np.nan)
        scatter, variance = np.where(count > 0, sums[[_SCATTER, _VARIANCE]] / count, np.nan)
    return Superpixels(count=count, value=value, x=x, y=y, scatter=scatter, variance=variance)


def _local_slopes(
    grid: SuperpixelGrid, means: Superpixels, measured: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Slopes a pitch along x and y through 3 x 3 superpixels, and places from the centres in pitches."""
    from_centre = (means.x - grid.x) / grid.x_bin, (means.y - grid.y[:, np.newaxis]) / grid.y_bin
    rows, columns = np.indices(measured.shape)
    level = np.mean(means.value[measured]) if measured.any() else 0.0
    x, y, value = (
        np.where(measured, one, 0.0) for one in (from_centre[0] + columns, from_centre[1] + rows, means.value - level)
    )
    weight = np.where(measured, means.count / max(float(means.count.max()), 1.0), 0.0)
    total = np.maximum(_around(weight), 1e-300)
    mean_x, mean_y, mean = (_around(weight * one) / total for one in (x, y, value))
    xx, xy, yy = (
        _around(weight * a * b) / total - c * d
        for a, b, c, d in ((x, x, mean_x, mean_x), (x, y, mean_x, mean_y), (y, y, mean_y, mean_y))
    )
    right = np.stack([_around(weight * a * value) / total - b * mean for a, b in ((x, mean_x), (y, mean_y))], axis=-1)
    normal = np.stack([xx, xy, xy, yy], axis=-1).reshape(*measured.shape, 2, 2)
    slopes = (np.linalg.pinv(normal, rcond=1e-2, hermitian=True) @ right[..., np.newaxis])[..., 0]
    # One superpixel alone tells no slope; its own rounding errors would.
    slopes[normal.trace(axis1=-2, axis2=-1) < 1e-3] = 0.0
    return slopes[..., 0], slopes[..., 1], from_centre


def _around(values: np.ndarray) -> np.ndarray:
    return np.asarray(correlate(values, np.ones((3, 3)), mode="constant"))
