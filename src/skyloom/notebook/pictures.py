"""Pictures of exposures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images import bitmask
from skyloom.report.patch_picture import colour_picture

if TYPE_CHECKING:
    from skyloom.images import Exposure

__all__ = ["picture"]


def picture(*exposures: Exposure) -> np.ndarray:
    """One exposure in grey, or three (red, green, blue) in colours, on a scale that follows the noise.

    Returns
    -------
    numpy.ndarray
        uint8 ``[y, x, colour]``, the first row at the top as pictures have it: ``plt.imshow(picture(coadd))``.

    Raises
    ------
    skyloom.errors.BadFrameError
        If there are not one or three, or their shapes differ.
    """
    if len(exposures) not in (1, 3) or len({one.bbox.shape for one in exposures}) != 1:
        raise BadFrameError("A picture takes one exposure, or three of one shape.", cure="Warp them to one grid.")
    planes = [_seen(one) for one in exposures] * (3 // len(exposures))
    return colour_picture(planes)[::-1]


def _seen(exposure: Exposure) -> np.ndarray:
    missing = (exposure.bits & bitmask("NO_DATA")) != 0
    return np.where(missing, np.float32(np.nan), exposure.image.array)
