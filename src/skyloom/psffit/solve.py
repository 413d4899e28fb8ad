"""The linear step of the PSF fit: grid coefficients by weighted least squares, with a prior, by conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from skyloom.kernels.psf_fit import Taps, grid_blocks, grid_image, grid_target

from .prior import GridPrior

__all__ = ["solve_grid"]

type Operator = Callable[[np.ndarray], np.ndarray]


def solve_grid(
    data: np.ndarray,
    weight: np.ndarray,
    factor: np.ndarray,
    taps: Taps,
    prior: GridPrior,
    start: np.ndarray,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 60,
) -> np.ndarray:
    """Grid coefficients that make the grid, interpolated at the pixels of the stars, fit them.

    Minimises the sum over stars of ``weight (data - B_y G B_x^T)^2``, where ``G`` is the sum of ``factor * c``, plus
    what the prior has against the coefficients c.  The normal matrix is never built: interpolation by a
    fraction of a pixel is nearly orthogonal, so that its diagonal blocks alone make conjugate gradients converge in a
    few steps.

    Parameters
    ----------
    data, weight
        Stamps and inverse variances ``[star, y, x]``.
    factor
        Flux times polynomial terms, ``[star, term]``.
    taps
        Of the stars, by `star_taps`.
    prior
        What is known of the coefficients, and their grid.
    start
        First guess of the coefficients.
    tolerance
        Fall of the preconditioned residual, relative to that of the right-hand side, that ends the iteration.

    Returns
    -------
    numpy.ndarray
        Coefficients ``[term, place, place]``.
    """
    grid = (prior.shape.oversampling, prior.shape.n)
    n_terms, places = prior.expected.shape[:2]
    blocks = grid_blocks(factor, weight, taps, *grid, places)
    blocks += prior.diagonal[:, :, None, None] * np.eye(n_terms)
    inverse = np.linalg.inv(blocks)
    free = prior.free

    def precondition(residual: np.ndarray) -> np.ndarray:
        return np.where(free, np.einsum("yxkl,lyx->kyx", inverse, residual, order="C"), 0.0)

    def normal(coefficients: np.ndarray) -> np.ndarray:
        return np.asarray(grid_image(coefficients, factor, weight, taps, *grid) + prior.weighted(coefficients))

    target = grid_target(data, factor, weight, taps, *grid, places) + prior.weighted(prior.expected)
    return _conjugate_gradients(normal, precondition, target, start, tolerance, max_iterations)


def _conjugate_gradients(
    normal: Operator, precondition: Operator, target: np.ndarray, start: np.ndarray, tolerance: float, limit: int
) -> np.ndarray:
    """Solve ``normal(c) = target``; stops when the preconditioned residual has fallen by ``tolerance``."""
    solution = start.copy(order="C")
    residual = np.subtract(target, normal(solution), order="C")
    step = precondition(residual)
    goal = tolerance**2 * np.sum(target * precondition(target))
    size = np.sum(residual * step)
    for _ in range(limit):
        if size <= goal:
            break
        image = normal(step)
        length = size / np.sum(step * image)
        solution += length * step
        residual -= length * image
        correction = precondition(residual)
        size, previous = np.sum(residual * correction), size
        step = correction + (size / previous) * step
    return solution
