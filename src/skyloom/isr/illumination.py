"""Correct for a flat field that was not illuminated as the sky illuminates the detector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .flat import divide_by_flat

if TYPE_CHECKING:
    import numpy as np

__all__ = ["divide_by_illumination"]


def divide_by_illumination(
    image: np.ndarray,
    variance: np.ndarray,
    illumination: np.ndarray,
    illumination_variance: np.ndarray,
    *,
    scale: float = 1.0,
) -> np.ndarray:
    """Divide image and variance (``[y, x]``, in place) by an illumination frame over ``scale``.

    Returns
    -------
    bad
        Bool ``[y, x]``: pixels whose illumination is not a number or not positive.  Those are left undivided.

    Raises
    ------
    ValueError
        If the scale is not positive.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"The scale of an illumination frame has to be positive; it is {scale}.")
    return divide_by_flat(image, variance, illumination / scale, illumination_variance / scale**2, minimum=0.0)
