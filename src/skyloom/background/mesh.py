"""The mesh of cell statistics under a background: edges, cells without sky, outliers."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

__all__ = ["add_border", "cell_edges", "fill_missing", "smooth_mesh"]


def cell_edges(size: int, bin_size: int) -> np.ndarray:
    """Edges of cells of about ``bin_size`` pixels that differ by at most one pixel; int64, n + 1 values."""
    n = max(1, round(size / bin_size))
    return np.arange(n + 1, dtype=np.int64) * size // n


def fill_missing(mesh: np.ndarray) -> np.ndarray:
    """A copy with every NaN cell replaced by the mean of its known neighbours, from the rim of a hole inwards.

    Parameters
    ----------
    mesh
        ``[cell_y, cell_x]`` with at least one finite value.
    """
    filled = mesh.copy()
    while not np.isfinite(filled).all():
        known = np.isfinite(filled)
        values = np.pad(np.where(known, filled, 0.0), 1)
        weights = np.pad(known.astype(float), 1)
        total, count = (_sum_of_neighbours(plane) for plane in (values, weights))
        rim = ~known & (count > 0)
        filled[rim] = total[rim] / count[rim]
    return filled


def _sum_of_neighbours(padded: np.ndarray) -> np.ndarray:
    """Sum over the 3 x 3 cells around each cell of a plane padded by one."""
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    total: np.ndarray = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return total


def smooth_mesh(mesh: np.ndarray, size: int) -> np.ndarray:
    """Median of ``size`` x ``size`` cells; the mesh is mirrored through its outer cells, so that slopes survive."""
    if size <= 1 or min(mesh.shape) < size:
        return mesh
    half = size // 2
    padded = np.pad(mesh, half, mode="reflect", reflect_type="odd")
    return np.asarray(median_filter(padded, size=size)[half:-half, half:-half])


def add_border(
    mesh: np.ndarray, y: np.ndarray, x: np.ndarray, rows: tuple[float, float], columns: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Continue a mesh straight on to the edges of the image, so that no curve is extrapolated there.

    Parameters
    ----------
    mesh
        ``[cell_y, cell_x]``, at least 2 x 2.
    y, x
        Centres of the rows and columns of cells, px.
    rows, columns
        Position of the outer edges of the image, px.

    Returns
    -------
    mesh, y, x
        With one node more on each side.
    """
    bordered = _extend(_extend(mesh, y, rows).T, x, columns).T
    return np.ascontiguousarray(bordered), np.array([rows[0], *y, rows[1]]), np.array([columns[0], *x, columns[1]])


def _extend(mesh: np.ndarray, at: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """One row before and one after, on the line through the nearest two."""
    first = mesh[0] + (mesh[0] - mesh[1]) * (at[0] - ends[0]) / (at[1] - at[0])
    last = mesh[-1] + (mesh[-1] - mesh[-2]) * (ends[1] - at[-1]) / (at[-1] - at[-2])
    return np.vstack([first, mesh, last])
