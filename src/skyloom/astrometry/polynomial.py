"""Two-dimensional polynomials by total degree, and the order that the data support."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from skyloom.images.polynomial_terms import n_terms, powers

__all__ = ["design_matrix", "fit_polynomials", "n_terms", "powers", "supported_order"]

type Floats = NDArray[np.float64]


def design_matrix(u: Floats, v: Floats, order: int) -> Floats:
    """Values of the terms of `powers` at points, shape [n, terms]."""
    return np.stack([u**p * v**q for p, q in powers(order)], axis=1)


def fit_polynomials(
    u: Floats, v: Floats, values: Floats, order: int, scale: float, root_weight: Floats | None = None
) -> Floats:
    """Least-squares coefficients in the unscaled (u, v) of each column of ``values`` [n, k]; shape [terms, k].

    ``scale`` is a typical size of u and v; the equations are solved in u / scale and v / scale.  ``root_weight`` [n]
    multiplies each equation.
    """
    matrix = design_matrix(u / scale, v / scale, order)
    if root_weight is not None:
        matrix, values = matrix * root_weight[:, None], values * root_weight[:, None]
    solution = np.linalg.lstsq(matrix, values, rcond=None)[0]
    unscale = np.array([scale ** -(p + q) for p, q in powers(order)])
    coefficients: Floats = solution * unscale[:, None]
    return coefficients


def supported_order(
    u: Floats,
    v: Floats,
    values: Floats,
    *,
    max_order: int,
    matches_per_term: float,
    corners: Floats,
    max_extrapolation: float,
) -> int:
    """The order from 1 to ``max_order`` that describes ``values`` [n, 2] best.

    An order is considered where there are ``matches_per_term`` points for each of its terms, and where these fix it at
    the ``corners`` (u, v) [2, k] to ``max_extrapolation`` times the error of one of them; among those the one with the
    smallest Bayesian information criterion (Schwarz 1978, Ann. Statist. 6, 461) is taken, so that terms which only
    follow the noise are left out.
    """
    n = len(u)
    scale = float(max(np.abs(u).max(), np.abs(v).max(), 1e-12))
    best, lowest = 1, math.inf
    for order in range(1, max_order + 1):
        terms = n_terms(order)
        if order > 1 and n < matches_per_term * terms:
            break
        if order > 1 and _largest_error(u / scale, v / scale, corners / scale, order) > max_extrapolation:
            break
        model = design_matrix(u, v, order) @ fit_polynomials(u, v, values, order, scale)
        square = max(float(np.sum((values - model) ** 2)), 1e-300)
        criterion = 2 * n * math.log(square / (2 * n)) + 2 * terms * math.log(2 * n)
        if criterion < lowest:
            best, lowest = order, criterion
    return best


def _largest_error(u: Floats, v: Floats, places: Floats, order: int) -> float:
    """Largest formal error of a polynomial at places [2, k], in units of that of each of its points."""
    triangle = np.linalg.qr(design_matrix(u, v, order), mode="r")
    if np.abs(np.diag(triangle)).min() < 1e-9 * np.abs(triangle).max():
        return math.inf
    return float(
        np.linalg.norm(np.linalg.solve(triangle.T, design_matrix(places[0], places[1], order).T), axis=0).max()
    )
