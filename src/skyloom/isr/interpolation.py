"""Give unusable pixels a value, and say that they have none of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.interpolate import bridge_runs, settle_bridges, unusable_map

if TYPE_CHECKING:
    import numpy as np

    from .settings import InterpolationSettings

__all__ = ["interpolate_unusable"]


def interpolate_unusable(
    image: np.ndarray, variance: np.ndarray, bits: np.ndarray, settings: InterpolationSettings
) -> int:
    """Interpolate over the pixels with one of the settings' planes; image, variance and bits ``[y, x]`` in place.

    Interpolated pixels get INTRP and keep their other bits.  Nothing was measured there: the variance is +inf.  A
    pixel that no run of at most ``max_run`` can bridge is missing: NaN, +inf, NO_DATA; so are pixels that were NO_DATA
    before.

    Returns
    -------
    count
        Pixels that were interpolated.
    """
    missing = bitmask("NO_DATA")
    bad = unusable_map(image, bits, missing, bitmask(*settings.planes))
    filled = bridge_runs(image, bad, settings.max_run)
    return int(settle_bridges(image, variance, bits, bad, filled, bitmask("INTRP"), missing))
