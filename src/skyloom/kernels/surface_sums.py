"""Sums of the least-squares fit of a surface of which each place meets a few functions only."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["normal_band", "projections", "surface_values"]


@njit(cache=True, nogil=True)
def normal_band(values: np.ndarray, first: np.ndarray, width: int, weight: np.ndarray, n: int) -> np.ndarray:
    """Lower band of the matrix of the normal equations, ``[row - column, column]``.

    Parameters
    ----------
    values
        ``[place, j, i]``: value of the function ``first + j * width + i`` at each place.
    first
        ``[place]`` int64.
    width
        Functions along x.
    weight
        ``[place]``; a place of weight 0 may be anything.
    n
        Number of the functions.
    """
    n_places, n_y, n_x = values.shape
    band = np.zeros(((n_y - 1) * width + n_x, n))
    for place in range(n_places):
        if weight[place] == 0.0:
            continue
        for j in range(n_y):
            for i in range(n_x):
                column = first[place] + j * width + i
                scaled = weight[place] * values[place, j, i]
                for step in range(n_x - i):
                    band[step, column] += scaled * values[place, j, i + step]
                for k in range(j + 1, n_y):
                    for m in range(n_x):
                        band[(k - j) * width + m - i, column] += scaled * values[place, k, m]
    return band


@njit(cache=True, nogil=True)
def projections(
    values: np.ndarray, first: np.ndarray, width: int, weight: np.ndarray, columns: np.ndarray, n: int
) -> np.ndarray:
    """Sums of the functions times columns ``[place, column]`` with weights, ``[function, column]``."""
    n_places, n_y, n_x = values.shape
    sums = np.zeros((n, columns.shape[1]))
    for place in range(n_places):
        if weight[place] == 0.0:
            continue
        for j in range(n_y):
            for i in range(n_x):
                scaled = weight[place] * values[place, j, i]
                for column in range(columns.shape[1]):
                    sums[first[place] + j * width + i, column] += scaled * columns[place, column]
    return sums


@njit(cache=True, nogil=True)
def surface_values(values: np.ndarray, first: np.ndarray, width: int, coefficients: np.ndarray) -> np.ndarray:
    """The surface at each place, ``[place]``."""
    n_places, n_y, n_x = values.shape
    out = np.zeros(n_places)
    for place in range(n_places):
        for j in range(n_y):
            for i in range(n_x):
                out[place] += values[place, j, i] * coefficients[first[place] + j * width + i]
    return out
