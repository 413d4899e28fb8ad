"""Weighted least squares of Chebyshev polynomials of two coordinates, and how well each predicts its own points."""

from __future__ import annotations

import numpy as np
from lsst.images import Box
from numpy.polynomial import chebyshev

__all__ = ["ChebyshevFit", "design_matrix", "fit_chebyshev"]


class ChebyshevFit:
    """A fit of one total degree.

    Parameters
    ----------
    box
        The pixels over which the coordinates run from -1 to 1, edge to edge.
    order
        Total degree.
    x, y, value, error
        The points, ``[n]`` each.

    Attributes
    ----------
    coefficients
        ``[term]``, in the order of `design_matrix`.
    covariance
        ``[term, term]``, of the errors as they are given.
    press
        Chi2 of the points, each predicted by all others (PRESS; Allen 1974, Technometrics 16, 125).
    """

    def __init__(
        self, box: Box, order: int, x: np.ndarray, y: np.ndarray, value: np.ndarray, error: np.ndarray
    ) -> None:
        self.box, self.order = box, order
        design = design_matrix(box, x, y, order) / error[:, None]
        self.covariance = np.linalg.pinv(design.T @ design)
        self.coefficients = self.covariance @ (design.T @ (value / error))
        residual = value / error - design @ self.coefficients
        leverage = np.einsum("ni,ij,nj->n", design, self.covariance, design)
        self.press = float(np.sum((residual / np.maximum(1.0 - leverage, 1e-6)) ** 2))

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The polynomial at positions."""
        return np.asarray(design_matrix(self.box, x, y, self.order) @ self.coefficients)

    def matrix(self) -> np.ndarray:
        """Coefficients ``[power of y, power of x]``, as `lsst.images.fields.ChebyshevField` takes them."""
        matrix = np.zeros((self.order + 1, self.order + 1))
        for value, (i, j) in zip(self.coefficients, _terms(self.order), strict=True):
            matrix[j, i] = value
        return matrix


def fit_chebyshev(
    box: Box,
    points: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    *,
    order_max: int,
    points_a_term: float,
    gain_min: float,
    corner_err_max: float = np.inf,
) -> ChebyshevFit:
    """The fit of the degree that predicts points best.

    A higher degree is taken where it has enough points, its error at the corners of the box is small, and it lowers the
    chi2 of the points, each predicted by all others.

    Parameters
    ----------
    points
        x, y, value, error.
    points_a_term
        Points that every coefficient needs, and one more than coefficients in any case.
    gain_min
        What each further coefficient must lower that chi2 by, in units of what it is for one point.
    corner_err_max
        Largest standard error at a corner, in the unit of the values.
    """
    best = ChebyshevFit(box, 0, *points)
    n = points[0].size
    for order in range(1, order_max + 1):
        n_terms = (order + 1) * (order + 2) // 2
        if n < max(points_a_term * n_terms, n_terms + 1):
            break
        fit = ChebyshevFit(box, order, *points)
        scale = max(fit.press / n, 1.0)
        gain = (best.press - fit.press) / scale
        small = _corner_err(fit) * np.sqrt(scale) <= corner_err_max
        if small and gain >= gain_min * (n_terms - best.coefficients.size):
            best = fit
    return best


def design_matrix(box: Box, x: np.ndarray, y: np.ndarray, order: int) -> np.ndarray:
    """Products of Chebyshev polynomials of total degree up to ``order`` at positions, ``[n, term]``."""
    across = (2.0 * x - (box.x.min + box.x.max)) / box.x.size
    up = (2.0 * y - (box.y.min + box.y.max)) / box.y.size
    columns, rows = chebyshev.chebvander(across, order), chebyshev.chebvander(up, order)
    return np.stack([columns[:, i] * rows[:, j] for i, j in _terms(order)], axis=1)


def _terms(order: int) -> list[tuple[int, int]]:
    """Degrees in x and y of the terms."""
    return [(i, j) for j in range(order + 1) for i in range(order + 1 - j)]


def _corner_err(fit: ChebyshevFit) -> float:
    """Largest standard error at a corner of the box."""
    box = fit.box
    left, right, bottom, top = (float(edge) for edge in (box.x.min, box.x.max, box.y.min, box.y.max))
    corners = np.array([left, right, right, left]), np.array([bottom, bottom, top, top])
    design = design_matrix(box, *corners, fit.order)
    return float(np.sqrt(np.einsum("ni,ij,nj->n", design, fit.covariance, design).max()))
