"""A smooth surface under the cells of a mesh: the sky where sources fill most of a frame."""

from __future__ import annotations

import numpy as np
from lsst.images import Box
from lsst.images.fields import ChebyshevField

from .chebyshev import render_chebyshev

__all__ = ["lower_envelope"]

_ITERATIONS = 30
_LEAST_SHARE = 0.15


def lower_envelope(level: np.ndarray, shape: tuple[int, int], order: int) -> np.ndarray:
    """A Chebyshev surface through the darkest cells, at every pixel, ``[y, x]`` float32.

    The surface is fitted to all cells, those that stand above it by more than the scatter of those below are left
    out, and so on until none is, or few cells would be left.

    Parameters
    ----------
    level
        ``[cell_y, cell_x]``; NaN where not known.
    shape
        Of the image.
    order
        Highest total power; lower where there are few cells.
    """
    box = Box.from_shape(shape)
    y, x = ((np.arange(n) + 0.5) * size / n - 0.5 for n, size in zip(level.shape, shape, strict=True))
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    order = min(order, min(level.shape) - 1)
    known = np.isfinite(level)
    kept = known
    for _ in range(_ITERATIONS):
        surface = ChebyshevField.fit(box, np.where(kept, level, 0.0), order, y=y, x=x, weight=kept.astype(float))
        above = level - surface(x=grid_x, y=grid_y)
        below = above[kept & (above < 0)]
        scatter = np.sqrt(np.mean(below**2)) if below.size else 0.0
        darkest = known & (above <= scatter)
        if np.array_equal(darkest, kept) or darkest.sum() < max(6, _LEAST_SHARE * known.sum()):
            break
        kept = darkest
    return render_chebyshev(surface)
