"""The linear step of the PSF fit: grid coefficients by weighted least squares, with a prior, by conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["PixelBasis", "polynomial_terms", "raw_pixel_coefficients", "solve_grid"]

type Operator = Callable[[np.ndarray], np.ndarray]


def polynomial_terms(u: np.ndarray, v: np.ndarray, order: int) -> np.ndarray:
    """Monomials ``u^i v^j`` with ``i + j <= order``, i outer, ``[position, term]``."""
    return np.stack([u**i * v**j for i in range(order + 1) for j in range(order + 1 - i)], axis=1)


@dataclass(frozen=True)
class PixelBasis:
    """Scaled frame coordinates, in which the polynomial terms of a PSF are of comparable size."""

    x_centre: float
    y_centre: float
    scale: float
    order: int

    def terms(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Values of the terms at frame positions, ``[position, term]``."""
        return polynomial_terms((x - self.x_centre) / self.scale, (y - self.y_centre) / self.scale, self.order)


def raw_pixel_coefficients(coefficients: np.ndarray, basis: PixelBasis) -> np.ndarray:
    """Coefficients ``[term, y, x]`` of the same polynomials in unscaled pixels."""
    order = basis.order
    exponents = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    change = np.zeros((len(exponents), len(exponents)))
    for column, (i, j) in enumerate(exponents):
        in_x = np.polynomial.polynomial.polypow([-basis.x_centre / basis.scale, 1 / basis.scale], i)
        in_y = np.polynomial.polynomial.polypow([-basis.y_centre / basis.scale, 1 / basis.scale], j)
        for row, (p, q) in enumerate(exponents):
            if p <= i and q <= j:
                change[row, column] = in_x[p] * in_y[q]
    return np.asarray(np.einsum("rc,cyx->ryx", change, coefficients))


def solve_grid(
    data: np.ndarray,
    weight: np.ndarray,
    flux: np.ndarray,
    terms: np.ndarray,
    shift: tuple[np.ndarray, np.ndarray],
    prior: np.ndarray,
    prior_weight: np.ndarray,
    start: np.ndarray,
    *,
    tolerance: float = 1e-5,
    max_iterations: int = 40,
) -> np.ndarray:
    """Grid coefficients that make ``flux * shift(grid at the star)`` fit the stars.

    Minimises the sum over stars of ``weight (data - flux B_y G B_x^T)^2`` plus that over grid pixels of
    ``prior_weight (c - prior)^2``, where ``G`` is the sum of ``terms * c``.  The normal matrix is never built: shifts
    of a fraction of a pixel are nearly orthogonal, so that its diagonal blocks alone make conjugate gradients
    converge in a few steps.

    Parameters
    ----------
    data, weight
        Stamps and inverse variances ``[star, y, x]``.
    flux
        Fluxes ``[star]``.
    terms
        Polynomial terms at the stars ``[star, term]``.
    shift
        Interpolation matrices along y and x, ``[star, pixel, grid]``.
    prior, prior_weight
        Expected coefficients and their inverse variances, ``[term, y, x]``.
    start
        First guess of the coefficients.

    Returns
    -------
    numpy.ndarray
        Coefficients ``[term, y, x]``.
    """
    along_y, along_x = shift
    factor = terms * flux[:, None]

    def to_stamps(coefficients: np.ndarray) -> np.ndarray:
        grid = np.tensordot(factor, coefficients, axes=1)
        return np.asarray(along_y @ grid @ along_x.transpose(0, 2, 1))

    def to_grid(stamps: np.ndarray) -> np.ndarray:
        return np.tensordot(factor.T, along_y.transpose(0, 2, 1) @ stamps @ along_x, axes=1)

    blocks = np.einsum("sk,sl,syx->yxkl", factor, factor, weight, optimize=True)
    inverse = np.linalg.inv(blocks + np.einsum("kyx,kl->yxkl", prior_weight, np.eye(terms.shape[1])))

    def precondition(residual: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("yxkl,lyx->kyx", inverse, residual))

    def normal(coefficients: np.ndarray) -> np.ndarray:
        return np.asarray(to_grid(weight * to_stamps(coefficients)) + prior_weight * coefficients)

    target = to_grid(weight * data) + prior_weight * prior
    return _conjugate_gradients(normal, precondition, target, start, tolerance, max_iterations)


def _conjugate_gradients(
    normal: Operator, precondition: Operator, target: np.ndarray, start: np.ndarray, tolerance: float, limit: int
) -> np.ndarray:
    """Solve ``normal(c) = target``; stops when the preconditioned residual has fallen by ``tolerance``."""
    solution = start.copy()
    residual = target - normal(solution)
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
