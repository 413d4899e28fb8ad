"""Take off the two-dimensional bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.signature import add_scaled, mark_unusable

if TYPE_CHECKING:
    import numpy as np

    from .masters import MasterPlanes

__all__ = ["subtract_bias"]


def subtract_bias(image: np.ndarray, variance: np.ndarray, bits: np.ndarray, bias: MasterPlanes) -> None:
    """Subtract a master bias (in the unit of the image, ADU) from image and mask ``[y, x]`` in place.

    The variance of the bias adds to that of the image; its unusable pixels become BAD, and those that are not finite
    are not subtracted.
    """
    mark_unusable(bias.image, bias.mask, bias.unusable, bits, bitmask("BAD"))
    add_scaled(image, variance, bias.image, bias.variance, -1.0)
