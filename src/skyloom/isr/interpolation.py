"""Give unusable pixels a value, and say that they have none of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.interpolate import bridge_runs

if TYPE_CHECKING:
    from .settings import InterpolationSettings

__all__ = ["interpolate_unusable"]


def interpolate_unusable(
    image: np.ndarray, variance: np.ndarray, bits: np.ndarray, settings: InterpolationSettings
) -> int:
    """Interpolate over the pixels with one of the settings' planes; image, variance and bits ``[y, x]`` in place.

    Interpolated pixels get INTRP and keep their other bits.  Nothing was measured there: the variance is +inf.  A
    pixel that no run of at most ``max_run`` can bridge is missing: NaN, +inf, NO_DATA.  Pixels that were NO_DATA before
    stay as they are.

    Returns
    -------
    count
        Pixels that were interpolated.
    """
    if not settings.planes:
        return 0
    missing = (bits & bitmask("NO_DATA")) != 0
    wanted = ((bits & bitmask(*settings.planes)) != 0) & ~missing
    bad = wanted | missing | ~np.isfinite(image)
    filled = bridge_runs(image, bad, settings.max_run) & wanted
    hopeless = wanted & ~filled
    variance[wanted] = np.inf
    image[hopeless | missing] = np.nan
    bits[filled] |= bitmask("INTRP")
    bits[hopeless] |= bitmask("NO_DATA")
    return int(np.count_nonzero(filled))
