"""Take off the two-dimensional bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.signature import add_master

if TYPE_CHECKING:
    import numpy as np

    from .masters import MasterPlanes

__all__ = ["subtract_bias"]


def subtract_bias(image: np.ndarray, variance: np.ndarray, bits: np.ndarray, bias: MasterPlanes) -> None:
    """Subtract a master bias (in the unit of the image, ADU) from image and mask ``[y, x]`` in place.

    The variance of the bias adds to that of the image; its unusable pixels become BAD, and those that are not finite
    are not subtracted.
    """
    add_master(image, variance, bits, bias.image, bias.variance, bias.mask, bias.unusable, -1.0, bitmask("BAD"))
