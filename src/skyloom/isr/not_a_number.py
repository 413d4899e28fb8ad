"""Mark pixels that are not numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.kernels.mask_bits import mark_not_finite

if TYPE_CHECKING:
    import numpy as np

__all__ = ["mark_not_a_number"]


def mark_not_a_number(image: np.ndarray, variance: np.ndarray, bits: np.ndarray, bit: int, *, allowed: int = 0) -> int:
    """Set ``bit`` where image or variance (``[y, x]``) is not finite, and return how many pixels that were.

    Pixels that have any of the ``allowed`` bits are neither marked nor counted.
    """
    return int(mark_not_finite(image, variance, bits, bit, allowed))
