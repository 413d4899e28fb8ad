"""Take off the two-dimensional bias."""

from __future__ import annotations

import numpy as np

__all__ = ["subtract_bias"]


def subtract_bias(image: np.ndarray, bias: np.ndarray) -> None:
    """Subtract a master bias (ADU, ``[y, x]``) from an assembled image (ADU), in place.

    Pixels of the bias that are not finite are left alone; they belong in the mask.
    """
    np.subtract(image, bias, out=image, where=np.isfinite(bias))
