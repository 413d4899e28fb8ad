"""Sums over stars that fit a PSF grid: the grid for given stars, and the stars for a given grid.

Star by star and in one order, in float64: the sums are the same however many threads there are.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .grid_taps import grid_taps, interpolate_grid, spread_pixels
from .inner import inner_kernel
from .moments import shapes

__all__ = [
    "grid_blocks",
    "grid_image",
    "grid_target",
    "grid_totals",
    "stamp_shapes",
    "star_models",
    "star_sums",
    "star_taps",
]

type Taps = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Taps and their slopes ``[axis, star, tap]``, and the first differences ``[axis, star]``; axis 0 is y."""


@njit(cache=True, nogil=True)
def star_taps(dx: np.ndarray, dy: np.ndarray, oversampling: int, order: int) -> Taps:
    """Taps of all stars, (dx, dy) pixels from the centres of their stamps' middle pixels, for the other functions."""
    taps = np.empty((2, dx.size, 2 * order))
    slopes = np.empty((2, dx.size, 2 * order))
    first = np.empty((2, dx.size), np.int64)
    for s in range(dx.size):
        first[0, s] = grid_taps(dy[s], oversampling, order, taps[0, s], slopes[0, s])
        first[1, s] = grid_taps(dx[s], oversampling, order, taps[1, s], slopes[1, s])
    return taps, slopes, first


@inner_kernel
def _add(values: np.ndarray, factor: float, out: np.ndarray) -> None:
    """Add ``factor`` times an array to one of the same shape."""
    source, target = values.ravel(), out.ravel()
    for i in range(target.size):
        target[i] += factor * source[i]


@inner_kernel
def _combine(coefficients: np.ndarray, factor: np.ndarray, grid: np.ndarray) -> None:
    """The grid of one star."""
    grid[:, :] = 0.0
    for k in range(factor.size):
        _add(coefficients[k], factor[k], grid)


@njit(cache=True, nogil=True)
def grid_image(
    coefficients: np.ndarray, factor: np.ndarray, weight: np.ndarray, taps: Taps, oversampling: int, n: int
) -> np.ndarray:
    """Normal matrix of the grid times coefficients, without ever building the matrix.

    Parameters
    ----------
    coefficients
        ``[term, place, place]`` in phase order.
    factor
        Flux times terms ``[star, term]``.
    weight
        Inverse variances ``[star, y, x]``.
    taps
        From `star_taps`.
    oversampling, n
        Grid points a pixel and a side.

    Returns
    -------
    image
        Like ``coefficients``.
    """
    image = np.zeros(coefficients.shape)
    grid = np.empty(coefficients.shape[1:])
    pixels = np.empty(weight.shape[1:])
    for s in range(factor.shape[0]):
        both, first = (taps[0][0, s], taps[0][1, s]), (taps[2][0, s], taps[2][1, s])
        _combine(coefficients, factor[s], grid)
        interpolate_grid(grid, both, first, oversampling, n, pixels)
        pixels *= weight[s]
        spread_pixels(pixels, both, first, oversampling, n, grid)
        for k in range(factor.shape[1]):
            _add(grid, factor[s, k], image[k])
    return image


@njit(cache=True, nogil=True)
def grid_target(
    data: np.ndarray, factor: np.ndarray, weight: np.ndarray, taps: Taps, oversampling: int, n: int, places: int
) -> np.ndarray:
    """Right-hand side of the normal equations of the grid, ``[term, place, place]``; parameters as of `grid_image`."""
    target = np.zeros((factor.shape[1], places, places))
    grid = np.empty((places, places))
    for s in range(factor.shape[0]):
        both, first = (taps[0][0, s], taps[0][1, s]), (taps[2][0, s], taps[2][1, s])
        spread_pixels(data[s] * weight[s], both, first, oversampling, n, grid)
        for k in range(factor.shape[1]):
            _add(grid, factor[s, k], target[k])
    return target


@njit(cache=True, nogil=True)
def grid_blocks(
    factor: np.ndarray, weight: np.ndarray, taps: Taps, oversampling: int, n: int, places: int
) -> np.ndarray:
    """Blocks of the normal matrix that join the terms of one grid point, ``[place, place, term, term]``."""
    n_terms = factor.shape[1]
    upper = np.zeros((n_terms * (n_terms + 1) // 2, places, places))
    grid = np.empty((places, places))
    for s in range(factor.shape[0]):
        both, first = (taps[0][0, s] ** 2, taps[0][1, s] ** 2), (taps[2][0, s], taps[2][1, s])
        spread_pixels(weight[s], both, first, oversampling, n, grid)
        pair = 0
        for k in range(n_terms):
            for other in range(k, n_terms):
                _add(grid, factor[s, k] * factor[s, other], upper[pair])
                pair += 1
    blocks = np.empty((places, places, n_terms, n_terms))
    pair = 0
    for k in range(n_terms):
        for other in range(k, n_terms):
            blocks[:, :, k, other] = upper[pair]
            blocks[:, :, other, k] = upper[pair]
            pair += 1
    return blocks


@njit(cache=True, nogil=True)
def grid_totals(coefficients: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Sum of the grid at each star, ``[star]``."""
    totals = np.zeros(terms.shape[0])
    for k in range(terms.shape[1]):
        total = coefficients[k].sum()
        for s in range(terms.shape[0]):
            totals[s] += terms[s, k] * total
    return totals


@njit(cache=True, nogil=True)
def star_models(
    coefficients: np.ndarray, factor: np.ndarray, taps: Taps, oversampling: int, n: int, size: int
) -> np.ndarray:
    """Stamps ``[star, y, x]`` of the stars whose grids are ``factor[star, term]`` times the coefficients."""
    stamps = np.empty((factor.shape[0], size, size))
    grid = np.empty(coefficients.shape[1:])
    for s in range(factor.shape[0]):
        _combine(coefficients, factor[s], grid)
        both, first = (taps[0][0, s], taps[0][1, s]), (taps[2][0, s], taps[2][1, s])
        interpolate_grid(grid, both, first, oversampling, n, stamps[s])
    return stamps


@njit(cache=True, nogil=True)
def star_sums(
    data: np.ndarray,
    weight: np.ndarray,
    coefficients: np.ndarray,
    factor: np.ndarray,
    taps: Taps,
    oversampling: int,
    n: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations of each star's flux and centre: matrices ``[star, 3, 3]`` and right-hand sides ``[star, 3]``.

    The three unknowns are the flux, and flux times the step along x and along y.
    """
    normal = np.zeros((factor.shape[0], 3, 3))
    target = np.zeros((factor.shape[0], 3))
    grid = np.empty(coefficients.shape[1:])
    design = np.empty((3, data.shape[1], data.shape[2]))
    for s in range(factor.shape[0]):
        _combine(coefficients, factor[s], grid)
        y, x = taps[0][0, s], taps[0][1, s]
        first = (taps[2][0, s], taps[2][1, s])
        interpolate_grid(grid, (y, x), first, oversampling, n, design[0])
        interpolate_grid(grid, (y, taps[1][1, s]), first, oversampling, n, design[1])
        interpolate_grid(grid, (taps[1][0, s], x), first, oversampling, n, design[2])
        for row in range(data.shape[1]):
            for column in range(data.shape[2]):
                for a in range(3):
                    weighted = weight[s, row, column] * design[a, row, column]
                    target[s, a] += weighted * data[s, row, column]
                    for b in range(a + 1):
                        normal[s, a, b] += weighted * design[b, row, column]
        for a in range(3):
            for b in range(a):
                normal[s, b, a] = normal[s, a, b]
    return normal, target


@njit(cache=True, nogil=True)
def stamp_shapes(stamps: np.ndarray, x: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    """Adaptive Ixx, Iyy, Ixy of the source at (x, y) in each stamp, ``[stamp, 3]``; NaN where no Gaussian matches."""
    moments = np.empty((stamps.shape[0], 3))
    nothing = np.zeros(stamps.shape[1:])
    for s in range(stamps.shape[0]):
        moments[s, :] = shapes(stamps[s], nothing, x[s : s + 1], y[s : s + 1], sigma, 2.0)[0][0]
    return moments
