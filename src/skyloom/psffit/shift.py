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
    pixel = np.arange(size)
    distance = pixel[None, :, None] - pixel[None, None, :] - np.asarray(offset, dtype=np.float64)[:, None, None]
    weight = np.where(np.abs(distance) < _ORDER, np.sinc(distance) * np.sinc(distance / _ORDER), 0.0)
    reach = np.arange(-_ORDER - 1, _ORDER + 2)[None, :] - np.asarray(offset, dtype=np.float64)[:, None]
    whole = np.where(np.abs(reach) < _ORDER, np.sinc(reach) * np.sinc(reach / _ORDER), 0.0).sum(axis=1)
    return np.asarray(weight / whole[:, None, None])
