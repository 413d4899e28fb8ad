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
    """A copy with the NaN cells filled so that each is the mean of its four neighbours (Laplace's equation).

    A slope runs on through a hole; at the rim of the mesh the neighbours that exist count.

    Parameters
    ----------
    mesh
        ``[cell_y, cell_x]`` with at least one finite value.
    """
    missing = ~np.isfinite(mesh)
    filled = np.where(missing, np.nanmean(mesh), mesh)
    if not missing.any():
        return filled
    neighbours = _neighbour_matrix(mesh.shape)[missing.ravel()]
    unknown = neighbours[:, missing.ravel()]
    share = neighbours[:, ~missing.ravel()] @ mesh[~missing]
    filled[missing] = np.linalg.solve(np.eye(len(share)) - unknown, share)
    return filled


def _neighbour_matrix(shape: tuple[int, int]) -> np.ndarray:
    """Row i holds the weights with which the mean of the neighbours of cell i is formed."""
    index = np.arange(shape[0] * shape[1]).reshape(shape)
    matrix = np.zeros((index.size, index.size))
    for first, second in ((index[1:], index[:-1]), (index[:, 1:], index[:, :-1])):
        matrix[first, second] = matrix[second, first] = 1.0
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1.0)


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
