"""Steps of the sky from one detector to the next, and the levels of detectors that they tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from .camera_cells import CameraCells

__all__ = ["BorderSteps", "DetectorSteps"]

_ROUNDS = 30
_TIE = 1e-4
"""Weight with which a level is drawn to zero, against that of a step."""
_LEAST_PAIRS = 3
_WIDEST = 6.0
"""No step is looked for between cells that are farther apart than this, in sides of a cell."""
_SAME = 0.3
"""Distances that differ by less, in sides of a cell, are those of cells that face each other alike."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectorSteps:
    """Steps between neighbouring detectors."""

    first: np.ndarray
    second: np.ndarray
    """Indices of the two detectors, ``[step]``."""
    step: np.ndarray
    """Level of the second less that of the first where they meet, ``[step]``."""
    error: np.ndarray
    """Standard error of each."""


class BorderSteps:
    """Measures steps where detectors meet.

    Each of two cells that face each other over a gap is continued, with the slope of its own detector, to the middle
    between them: light that goes on from one detector to the next makes no step, however steep it is.

    Parameters
    ----------
    cells
        Of the camera.
    """

    def __init__(self, cells: CameraCells) -> None:
        self._cells = cells
        places = np.column_stack([cells.x, cells.y])
        pairs = _facing(places, cells.owner, _rim(cells), cells.side)
        self._first, self._second = pairs.T
        self._middle = 0.5 * (places[self._second] - places[self._first])

    def measure(self, values: np.ndarray) -> DetectorSteps:
        """The steps of a residual ``[cell]`` (electrons); cells that are not known are left out."""
        cells = self._cells
        known = np.where(cells.weight > 0, values, np.nan)
        slope = self._slopes(known)
        first = known[self._first] + np.sum(slope[self._first] * self._middle, axis=1)
        second = known[self._second] - np.sum(slope[self._second] * self._middle, axis=1)
        difference = second - first
        n = len(cells.detectors)
        key = cells.owner[self._first] * n + cells.owner[self._second]
        rows = []
        for one in np.unique(key):
            here = difference[(key == one) & np.isfinite(difference)]
            if here.size >= _LEAST_PAIRS:
                middle = float(np.median(here))
                scatter = 1.4826 * float(np.median(np.abs(here - middle)))
                rows.append((one // n, one % n, middle, max(scatter, 1e-9) / np.sqrt(here.size)))
        table = np.array(rows, np.float64).reshape(-1, 4)
        return DetectorSteps(
            first=table[:, 0].astype(int), second=table[:, 1].astype(int), step=table[:, 2], error=table[:, 3]
        )

    def levels(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Level of each detector ``[detector]`` that explains the steps, and its error; the median level is zero.

        The sum of the absolute deviations is least, so that one odd detector is found as such and moves no other.
        """
        steps, n = self.measure(values), len(self._cells.detectors)
        levels = np.zeros(n)
        if not steps.step.size:
            return levels, np.full(n, np.inf)
        design = np.zeros((steps.step.size, n))
        rows = np.arange(steps.step.size)
        design[rows, steps.first], design[rows, steps.second] = -1.0, 1.0
        floor = float(np.median(steps.error))
        for _ in range(_ROUNDS):
            apart = np.maximum(np.abs(steps.step - design @ levels), 0.1 * floor)
            weighted = design / apart[:, None]
            normal = weighted.T @ design
            normal += _TIE * normal.trace() / n * np.eye(n)
            levels = np.linalg.solve(normal, weighted.T @ steps.step)
        information = np.abs(design.T) @ (1.0 / steps.error**2)
        with np.errstate(divide="ignore"):
            return levels - np.median(levels), 1.0 / np.sqrt(information)

    def _slopes(self, known: np.ndarray) -> np.ndarray:
        """Slope of each cell along x and y of the focal plane ``[cell, 2]``, from its own detector; NaN at holes."""
        cells = self._cells
        x, y = cells.split(cells.x), cells.split(cells.y)
        slopes = []
        for one, mesh in cells.split(known).items():
            if min(mesh.shape) < 2:
                slopes.append(np.full((mesh.size, 2), np.nan))
                continue
            down, right = ([_slope(each, axis) for each in (mesh, x[one], y[one])] for axis in (0, 1))
            determinant = right[1] * down[2] - right[2] * down[1]
            along_x = (right[0] * down[2] - down[0] * right[2]) / determinant
            along_y = (down[0] * right[1] - right[0] * down[1]) / determinant
            slopes.append(np.column_stack([along_x.ravel(), along_y.ravel()]))
        return np.concatenate(slopes)


def _facing(places: np.ndarray, owner: np.ndarray, rim: np.ndarray, side: float) -> np.ndarray:
    """Pairs ``[pair, 2]`` of outer cells of two detectors that lie as near to each other as any of these two do."""
    pairs = rim[KDTree(places[rim]).query_pairs(_WIDEST * side, output_type="ndarray")]
    pairs = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
    pairs = np.where((owner[pairs[:, 0]] < owner[pairs[:, 1]])[:, None], pairs, pairs[:, ::-1])
    distance = np.hypot(*(places[pairs[:, 1]] - places[pairs[:, 0]]).T)
    border = owner[pairs[:, 0]] * (int(owner.max()) + 1) + owner[pairs[:, 1]]
    kept = np.zeros(len(pairs), bool)
    for one in np.unique(border):
        here = np.flatnonzero(border == one)
        kept[here] = distance[here] <= distance[here].min() + _SAME * side
    return np.asarray(pairs[kept])


def _rim(cells: CameraCells) -> np.ndarray:
    """Indices of the outermost cells of the detectors."""
    rims = []
    for shape in cells.shapes:
        rim = np.ones(shape, bool)
        rim[1:-1, 1:-1] = False
        rims.append(rim.ravel())
    return np.flatnonzero(np.concatenate(rims))


def _slope(mesh: np.ndarray, axis: int) -> np.ndarray:
    """Change from one cell to the next; at the rim that over three cells, which is half as noisy."""
    slope = np.gradient(mesh, axis=axis)
    if mesh.shape[axis] > 2:
        rows, inner = np.moveaxis(mesh, axis, 0), np.moveaxis(slope, axis, 0)
        inner[0], inner[-1] = 0.5 * (rows[2] - rows[0]), 0.5 * (rows[-1] - rows[-3])
    return np.asarray(slope)
