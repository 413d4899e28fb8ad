"""The pixel mapping of a warp: exact on a coarse grid, interpolated between, and checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from lsst.images import Box, SkyProjection

from skyloom.errors import AstrometryError
from skyloom.images import pixel_to_radec, radec_to_pixel
from skyloom.kernels.pixel_map import mapping_at

__all__ = ["PixelMapping", "map_positions", "overlap_box", "pixel_mapping", "sample_mapping"]


@dataclass(frozen=True, eq=False)
class PixelMapping:
    """Source positions on a grid over a destination box, with one node more all around.

    The nodes lie at the multiples of ``step``, so that every box is mapped by the same numbers.
    """

    box: Box
    """The destination pixels covered."""
    step: int
    """Destination pixels between nodes."""
    x_nodes: np.ndarray
    """Source x, float64 ``[j, i]``, at destination rows and columns ``start - step, start, start + step, ...``"""
    y_nodes: np.ndarray
    error: float
    """Largest error found in the middle between nodes, source pixels; NaN where none was looked for."""

    @property
    def start(self) -> tuple[int, int]:
        """Destination (x, y) of the second column and row of nodes: where the first cell begins."""
        return _cell_start(self.box.x.start, self.step), _cell_start(self.box.y.start, self.step)

    @property
    def first(self) -> tuple[int, int]:
        """Row and column of the box's first pixel, from the start of the first cell."""
        x, y = self.start
        return self.box.y.start - y, self.box.x.start - x


def _cell_start(pixel: int, step: int) -> int:
    """Start of the cell that holds a pixel, on one axis."""
    return pixel // step * step


def map_positions(
    source: SkyProjection[Any], destination: SkyProjection[Any], x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Source positions (x, y) of destination positions."""
    return radec_to_pixel(source, *pixel_to_radec(destination, x, y))


def pixel_mapping(
    source: SkyProjection[Any],
    destination: SkyProjection[Any],
    box: Box,
    source_box: Box,
    *,
    step: int = 32,
    tolerance: float = 1e-3,
) -> PixelMapping:
    """Map a destination box to source pixels, with a grid fine enough to keep the tolerance.

    The interpolated mapping is compared with the exact one in the middle of every cell that falls on the source; the
    step is halved until the largest difference is below ``tolerance`` source pixels.

    Raises
    ------
    AstrometryError
        If even a grid of two pixels does not keep the tolerance.
    """
    while True:
        mapping = sample_mapping(source, destination, box, step)
        error = _largest_error(mapping, source, destination, source_box)
        if error < tolerance:
            return replace(mapping, error=error)
        if step <= 2:
            raise AstrometryError(
                f"The WCS is not smooth: interpolated over {step} px it errs by {error:.2g} px.",
                cure="Fit the WCS anew, with a lower order.",
                error_px=error,
            )
        step //= 2


def sample_mapping(source: SkyProjection[Any], destination: SkyProjection[Any], box: Box, step: int) -> PixelMapping:
    """Map a destination box to source pixels on a grid of which it is known that it is fine enough."""
    x0, y0 = _cell_start(box.x.start, step), _cell_start(box.y.start, step)
    columns = x0 + step * np.arange(-1, -(-(box.x.stop - x0) // step) + 2)
    rows = y0 + step * np.arange(-1, -(-(box.y.stop - y0) // step) + 2)
    x, y = np.meshgrid(columns.astype(float), rows.astype(float))
    x_nodes, y_nodes = map_positions(source, destination, x, y)
    return PixelMapping(box, step, np.ascontiguousarray(x_nodes), np.ascontiguousarray(y_nodes), np.nan)


def _largest_error(
    mapping: PixelMapping, source: SkyProjection[Any], destination: SkyProjection[Any], source_box: Box
) -> float:
    """Largest distance between interpolated and exact positions, at the middles of the cells that hit the source."""
    ny, nx = (n - 3 for n in mapping.x_nodes.shape)
    x, y = (grid.ravel() + 0.5 for grid in np.meshgrid(np.arange(nx, dtype=float), np.arange(ny, dtype=float)))
    x0, y0 = mapping.start
    exact_x, exact_y = map_positions(source, destination, x0 + mapping.step * x, y0 + mapping.step * y)
    inside = (
        (exact_x >= source_box.x.start - 1)
        & (exact_x <= source_box.x.stop)
        & (exact_y >= source_box.y.start - 1)
        & (exact_y <= source_box.y.stop)
    )
    if not inside.any():
        return 0.0
    x, y = x[inside], y[inside]
    distance = np.hypot(
        mapping_at(mapping.x_nodes, x, y) - exact_x[inside], mapping_at(mapping.y_nodes, x, y) - exact_y[inside]
    )
    return float(np.nan_to_num(distance, nan=np.inf).max())


def overlap_box(
    source: SkyProjection[Any], destination: SkyProjection[Any], source_box: Box, destination_box: Box, margin: int
) -> Box | None:
    """The part of a destination box that a source box falls on, grown by ``margin``; None where there is none.

    The source's outline is followed at 33 positions a side.
    """
    edge = np.linspace(0.0, 1.0, 33)
    left, right = source_box.x.start - 0.5, source_box.x.stop - 0.5
    bottom, top = source_box.y.start - 0.5, source_box.y.stop - 0.5
    across, along = left + edge * (right - left), bottom + edge * (top - bottom)
    x = np.concatenate([across, across, np.full(33, left), np.full(33, right)])
    y = np.concatenate([np.full(33, bottom), np.full(33, top), along, along])
    x, y = map_positions(destination, source, x, y)
    if not (np.isfinite(x).any() and np.isfinite(y).any()):
        return None
    low_x, high_x = np.floor(np.nanmin(x)) - margin, np.ceil(np.nanmax(x)) + margin + 1
    low_y, high_y = np.floor(np.nanmin(y)) - margin, np.ceil(np.nanmax(y)) + margin + 1
    start_x, stop_x = max(destination_box.x.start, low_x), min(destination_box.x.stop, high_x)
    start_y, stop_y = max(destination_box.y.start, low_y), min(destination_box.y.stop, high_y)
    if start_x >= stop_x or start_y >= stop_y:
        return None
    return Box.factory[int(start_y) : int(stop_y), int(start_x) : int(stop_x)]
