"""Interpolation of a pixel grid to a fraction of a pixel, as matrices: what the PSF fit inverts."""

from __future__ import annotations

import numpy as np

__all__ = ["shift_matrices"]

_ORDER = 11


def shift_matrices(offset: np.ndarray, size: int) -> np.ndarray:
    """Matrices ``[n, pixel, grid]`` that move a row of ``size`` grid values by ``offset[n]`` pixels.

    The interpolant is Lanczos of order 11, whose weights are scaled to sum to one: the one that `PixelGridPsf`
    evaluates with.
    """
    offset = np.asarray(offset, dtype=np.float64)[:, None]
    whole = _lanczos(np.arange(-_ORDER - 1, _ORDER + 2) - offset).sum(axis=1)
    # A row of the matrix is the one above it moved by a pixel: the taps of all differences are enough.
    taps = _lanczos(np.arange(1 - size, size) - offset) / whole[:, None]
    pixel = np.arange(size)
    return np.asarray(taps[:, pixel[:, None] - pixel[None, :] + size - 1])


def _lanczos(distance: np.ndarray) -> np.ndarray:
    """``sinc(x) sinc(x / order)`` inside the order, 0 outside."""
    return np.where(np.abs(distance) < _ORDER, np.sinc(distance) * np.sinc(distance / _ORDER), 0.0)
