"""Copies of a frame in coarser pixels."""

from __future__ import annotations

import numpy as np

__all__ = ["bin_bits", "bin_image"]


def bin_image(image: np.ndarray, factor: int) -> np.ndarray:
    """Means (float32 ``[y, x]``) of blocks of ``factor`` x ``factor`` pixels; NaN where none of a block is finite.

    Rows and columns left over at the upper edges are dropped.
    """
    blocks = _blocks(image, factor)
    finite = np.isfinite(blocks)
    number = finite.sum(axis=(1, 3))
    total = blocks.sum(axis=(1, 3), dtype=np.float64, where=finite)
    mean = np.full(total.shape, np.nan, np.float32)
    np.divide(total, number, out=mean, where=number > 0, casting="same_kind")
    return mean


def bin_bits(bits: np.ndarray, factor: int) -> np.ndarray:
    """Mask bits ``[y, x]`` of any pixel of each block of ``factor`` x ``factor`` pixels, cut as in `bin_image`."""
    return np.asarray(np.bitwise_or.reduce(_blocks(bits, factor), axis=(1, 3)))


def _blocks(pixels: np.ndarray, factor: int) -> np.ndarray:
    """A view ``[block row, row, block column, column]``."""
    rows, columns = (size // factor for size in pixels.shape)
    return pixels[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
