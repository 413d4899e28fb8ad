"""`SourcePixels`: the light that belongs to each source, as flat arrays that kernels take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["SourcePixels"]


@dataclass(frozen=True, kw_only=True)
class SourcePixels:
    """Pixels and values of n sources, one after the other; in array coordinates, from (0, 0) of the frame.

    The spans of source i are ``span_start[i]:span_start[i + 1]``; the values of span k, in order of x, begin at
    ``value_start[k]``.  Spans of several sources may share their values, and so may hold the same light.
    """

    span_start: np.ndarray
    """int64 ``[n + 1]``"""
    y: np.ndarray
    """int64 ``[span]``: row."""
    x0: np.ndarray
    """int64 ``[span]``: first column."""
    x1: np.ndarray
    """int64 ``[span]``: one past the last column."""
    value_start: np.ndarray
    """int64 ``[span]``"""
    values: np.ndarray
    """float32 ``[pixel]``, in the unit of the image."""

    def __len__(self) -> int:
        return self.span_start.size - 1
