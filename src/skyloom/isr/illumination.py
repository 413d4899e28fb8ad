"""Correct for a flat field that was not illuminated as the sky illuminates the detector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .flat import divide_by_flat

if TYPE_CHECKING:
    import numpy as np

    from .masters import MasterPlanes

__all__ = ["divide_by_illumination"]


def divide_by_illumination(
    image: np.ndarray, variance: np.ndarray, bits: np.ndarray, illumination: MasterPlanes, *, scale: float = 1.0
) -> int:
    """Divide image and variance (``[y, x]``, in place) by an illumination frame over ``scale``.

    Its unusable pixels become BAD; so do those without light, which are left undivided.

    Returns
    -------
    count
        Pixels that were left undivided.

    Raises
    ------
    ValueError
        If the scale is not positive.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"The scale of an illumination frame has to be positive; it is {scale}.")
    return divide_by_flat(image, variance, bits, illumination, 1.0 / scale)
