"""Two snaps of one visit as one frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from lsst.images import Image

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skyloom.images.exposure import Exposure

__all__ = ["combine_snaps"]


def combine_snaps(exposures: Sequence[Exposure]) -> Exposure:
    """The sum of one or two exposures of the same pixels: images and variances add up, masks are joined by or.

    One exposure is returned as it is; of two a new one is made, with all else taken from the first.

    Raises
    ------
    BadFrameError
        If there are none or more than two, or their boxes or units differ.
    """
    if len(exposures) == 1:
        return exposures[0]
    if len(exposures) != 2:
        raise BadFrameError(
            f"{len(exposures)} exposures were given as the snaps of a visit; one or two can be joined.",
            cure="Define the visit with one exposure.",
            n_exposures=len(exposures),
        )
    first, second = exposures
    if first.bbox != second.bbox or first.unit != second.unit:
        raise BadFrameError(
            f"The two snaps do not agree: {first.bbox} in {first.unit} and {second.bbox} in {second.unit}.",
            cure="Give two snaps of the same detector.",
        )
    both = first.copy()
    both.image = Image(first.image.array + second.image.array, bbox=first.bbox)
    both.variance = Image(first.variance.array + second.variance.array, bbox=first.bbox)
    np.bitwise_or(bits_of(both.mask), second.bits, out=bits_of(both.mask))
    return both
