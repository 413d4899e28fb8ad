"""Corrections of counts that depend on the counts alone, each in one pass over the pixels."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["add_polynomial", "add_table", "subtract_curve"]


@njit(cache=True, nogil=True)
def add_polynomial(pixels: np.ndarray, coefficients: np.ndarray) -> None:
    """Add the sum over k of ``coefficients[k]`` x^(k + 2) to the pixels x (``[y, x]``), in place."""
    for row in range(pixels.shape[0]):
        for column in range(pixels.shape[1]):
            x = float(pixels[row, column])
            total = 0.0
            for k in range(coefficients.size - 1, -1, -1):
                total = total * x + coefficients[k]
            pixels[row, column] = x + total * x * x


@njit(cache=True, nogil=True)
def add_table(pixels: np.ndarray, table: np.ndarray, offset: float) -> int:
    """Add ``table[x + offset]``, the fraction cut off towards zero, to the pixels x (``[y, x]``), in place.

    Returns
    -------
    out_of_range
        Pixels beyond the table, which received its first or last entry.  Pixels that are not a number stay so and do
        not count.
    """
    last = table.size - 1
    out_of_range = 0
    for row in range(pixels.shape[0]):
        for column in range(pixels.shape[1]):
            x = float(pixels[row, column])
            if math.isnan(x):
                continue
            place = x + offset
            if place <= -1.0:
                entry = 0
                out_of_range += 1
            elif place >= last + 1.0:
                entry = last
                out_of_range += 1
            else:
                entry = int(place)
            pixels[row, column] = x + table[entry]
    return out_of_range


@njit(cache=True, nogil=True)
def subtract_curve(pixels: np.ndarray, nodes: np.ndarray, pieces: np.ndarray) -> int:
    """Subtract a piecewise cubic curve of x from the pixels x (``[y, x]``), in place.

    Parameters
    ----------
    pixels
        Beyond the nodes, the value of the curve at the nearest end is subtracted.
    nodes
        Where the pieces meet, float64, increasing, n + 1 values.
    pieces
        ``[power, piece]``, 4 x n, highest power first, in the distance from the node before (as scipy's ``PPoly.c``).

    Returns
    -------
    out_of_range
        Pixels beyond the nodes.  Pixels that are not a number stay so and do not count.
    """
    first, end, last = nodes[0], nodes[-1], nodes.size - 2
    out_of_range = 0
    piece = 0
    for row in range(pixels.shape[0]):
        for column in range(pixels.shape[1]):
            x = float(pixels[row, column])
            if math.isnan(x):
                continue
            if x < first or x > end:
                out_of_range += 1
            at = min(max(x, first), end)
            # Neighbouring pixels mostly lie on the same piece: start from there.
            while piece < last and at >= nodes[piece + 1]:
                piece += 1
            while piece > 0 and at < nodes[piece]:
                piece -= 1
            d = at - nodes[piece]
            value = ((pieces[0, piece] * d + pieces[1, piece]) * d + pieces[2, piece]) * d + pieces[3, piece]
            pixels[row, column] = x - value
    return out_of_range
