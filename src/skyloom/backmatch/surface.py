"""Superpixels that were not measured: filled so that neither values nor slopes have a step."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.sparse import csc_array, diags_array, eye_array, kron, vstack
from scipy.sparse.linalg import splu

from .settings import TractModelSettings

__all__ = ["bending", "fill_unmeasured", "plane_basis"]

_REACH = 10.0
"""Superpixels beyond which a slope that goes on at an edge has levelled out to the plane through all."""


def fill_unmeasured(values: np.ndarray, weight: np.ndarray, settings: TractModelSettings) -> np.ndarray:
    """A copy in which superpixels without weight hold what the others tell, and all are smoothed where wanted.

    A plane is fitted to all that are measured.  What they have beyond it is continued as
    `TractModelSettings.interpolation` says: a plane comes out as a plane everywhere.

    Parameters
    ----------
    values
        ``[row, column]``, finite where the weight is positive.
    weight
        ``[row, column]``: number of pixels; at least one positive.
    settings
        Interpolation and smoothing.
    """
    known = weight > 0
    plane = _plane(values, weight)
    rest = np.where(known, values - plane, 0.0)
    if settings.do_smooth:
        rest, known = _smoothed(rest, known, settings.smooth_scale)
    if not known.all():
        rest = _continued(rest, known, settings.interpolation)
    return np.asarray(plane + rest)


def plane_basis(shape: tuple[int, int]) -> np.ndarray:
    """``[3, row, column]``: 1, and x and y over the grid, each from -1 to 1."""
    y, x = (np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(1) for n in shape)
    return np.stack([np.ones(shape), *np.broadcast_arrays(x[np.newaxis, :], y[:, np.newaxis])])


def _plane(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The plane through the known values by weighted least squares; level along a direction that is not determined."""
    known = weight > 0
    share = weight[known] / weight[known].sum()
    level = float(share @ values[known])
    along = plane_basis((values.shape[0], values.shape[1]))[1:]
    along -= (along[:, known] @ share)[:, np.newaxis, np.newaxis]
    root = np.sqrt(share)
    slopes, *_ = np.linalg.lstsq(along[:, known].T * root[:, np.newaxis], (values[known] - level) * root, rcond=1e-9)
    return np.asarray(level + np.tensordot(slopes, along, axes=1))


def _smoothed(rest: np.ndarray, known: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    share = gaussian_filter(known.astype(np.float64), sigma, mode="constant")
    near = share > 1e-6
    total = gaussian_filter(rest, sigma, mode="constant")
    return np.where(near, total / np.where(near, share, 1.0), 0.0), near


def _continued(rest: np.ndarray, known: np.ndarray, kind: str | None) -> np.ndarray:
    """Values where there are none, by the least bending or stretching."""
    if kind is None:
        return rest
    if kind == "CONSTANT":
        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
        return np.asarray(rest[tuple(nearest)])
    shape = (rest.shape[0], rest.shape[1])
    stiffness = _stretching(shape) * _REACH**-2
    stiffness = stiffness + (_stretching(shape) if kind == "LINEAR" else bending(shape))
    stiffness = stiffness + _REACH**-4 * eye_array(rest.size)
    unknown = ~known.ravel()
    rows = csc_array(csc_array(stiffness)[np.flatnonzero(unknown)])
    filled = rest.copy()
    if rest[known].any():
        pull = rows[:, np.flatnonzero(~unknown)] @ rest[known]
        filled[~known] = splu(csc_array(rows[:, np.flatnonzero(unknown)])).solve(-pull)
    return filled


@lru_cache(maxsize=8)
def _stretching(shape: tuple[int, int]) -> Any:
    """Sparse matrix of the sum of squares of first differences of a grid, its values row by row."""
    return _squares(shape, 1)


@lru_cache(maxsize=8)
def bending(shape: tuple[int, int]) -> Any:
    """The same of second differences, those of x and y counted twice; 0 for a plane."""
    total = _squares(shape, 2)
    if min(shape) > 1:
        mixed = csc_array(kron(_differences(shape[0], 1), _differences(shape[1], 1)))
        total = total + 2.0 * (mixed.T @ mixed)
    return total


def _squares(shape: tuple[int, int], order: int) -> Any:
    parts = [csc_array((1, shape[0] * shape[1]))]
    if shape[1] > order:
        parts.append(csc_array(kron(eye_array(shape[0]), _differences(shape[1], order))))
    if shape[0] > order:
        parts.append(csc_array(kron(_differences(shape[0], order), eye_array(shape[1]))))
    matrix = csc_array(vstack(parts))
    return matrix.T @ matrix


def _differences(n: int, order: int) -> Any:
    coefficients = [[-1.0, 1.0], [1.0, -2.0, 1.0]][order - 1]
    return diags_array(coefficients, offsets=list(range(order + 1)), shape=(n - order, n))
