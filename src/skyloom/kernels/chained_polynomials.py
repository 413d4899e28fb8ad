"""Positions mapped by two Chebyshev polynomials in two variables, one after the other, with all derivatives."""

from __future__ import annotations

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["chained_map"]


@inner_kernel
def _terms(u: float, v: float, order: int, one: np.ndarray, out: np.ndarray) -> None:
    """Values of the terms T_i(u) T_j(v), by total degree i + j and then j, and their derivatives: rows of ``out``.

    ``one`` ``[4, order + 1]`` is working memory.
    """
    one[0, 0] = one[2, 0] = 1.0
    one[1, 0] = one[3, 0] = 0.0
    if order > 0:
        one[0, 1], one[1, 1], one[2, 1], one[3, 1] = u, 1.0, v, 1.0
    for n in range(2, order + 1):
        one[0, n] = 2.0 * u * one[0, n - 1] - one[0, n - 2]
        one[1, n] = 2.0 * one[0, n - 1] + 2.0 * u * one[1, n - 1] - one[1, n - 2]
        one[2, n] = 2.0 * v * one[2, n - 1] - one[2, n - 2]
        one[3, n] = 2.0 * one[2, n - 1] + 2.0 * v * one[3, n - 1] - one[3, n - 2]
    t = 0
    for degree in range(order + 1):
        for j in range(degree + 1):
            i = degree - j
            out[0, t] = one[0, i] * one[2, j]
            out[1, t] = one[1, i] * one[2, j]
            out[2, t] = one[0, i] * one[3, j]
            t += 1


@njit(cache=True, nogil=True)
def chained_map(
    u: np.ndarray,
    v: np.ndarray,
    slopes: np.ndarray,
    first: tuple[np.ndarray, np.ndarray, int],
    second: tuple[np.ndarray, np.ndarray, int],
    unknowns: bool,
    position: np.ndarray,
    by_pixel: np.ndarray,
    by_unknowns: np.ndarray,
) -> None:
    """Map positions by a first and then by a second polynomial.

    Parameters
    ----------
    u, v
        Positions between -1 and 1, ``[m]``.
    slopes
        Their derivatives by the pixels, ``[m, 2]``.
    first, second
        Coefficients ``[polynomials, 2, terms]``, the number of the polynomial of each position ``[m]``, the order.
    unknowns
        Whether the derivatives by the coefficients are wanted.
    position
        Filled: ``[m, 2]``.
    by_pixel
        Filled: derivatives by x and y, ``[m, 2, 2]``.
    by_unknowns
        Filled where wanted: derivatives by the coefficients of both coordinates of the first polynomial, then of the
        second, ``[m, 2, t]``; zeros before.
    """
    first_coefficients, first_number, first_order = first
    second_coefficients, second_number, second_order = second
    n1, n2 = first_coefficients.shape[2], second_coefficients.shape[2]
    one, two = np.empty((4, first_order + 1)), np.empty((4, second_order + 1))
    inner, outer = np.empty((3, n1)), np.empty((3, n2))
    middle, slope = np.empty((2, 3)), np.empty((2, 3))
    for m in range(u.size):
        _terms(u[m], v[m], first_order, one, inner)
        for axis in range(2):
            for d in range(3):
                total = 0.0
                for t in range(n1):
                    total += first_coefficients[first_number[m], axis, t] * inner[d, t]
                middle[axis, d] = total
        _terms(middle[0, 0], middle[1, 0], second_order, two, outer)
        for axis in range(2):
            for d in range(3):
                total = 0.0
                for t in range(n2):
                    total += second_coefficients[second_number[m], axis, t] * outer[d, t]
                slope[axis, d] = total
            position[m, axis] = slope[axis, 0]
            for d in range(2):
                along = slope[axis, 1] * middle[0, d + 1] + slope[axis, 2] * middle[1, d + 1]
                by_pixel[m, axis, d] = along * slopes[m, d]
        if unknowns:
            for axis in range(2):
                for t in range(n1):
                    by_unknowns[m, axis, t] = slope[axis, 1] * inner[0, t]
                    by_unknowns[m, axis, n1 + t] = slope[axis, 2] * inner[0, t]
                for t in range(n2):
                    by_unknowns[m, axis, 2 * n1 + axis * n2 + t] = outer[0, t]
