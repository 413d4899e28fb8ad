"""`repair_cosmic_rays`: put in place of a hit what would have been there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.interpolate import bridge_runs, settle_bridges, unusable_map

from .find import CosmicRays, find_cosmic_rays
from .settings import CosmicRaySettings

if TYPE_CHECKING:
    import numpy as np

    from skyloom.images.exposure import Exposure

__all__ = ["repair_cosmic_rays"]


def repair_cosmic_rays(
    exposure: Exposure, settings: CosmicRaySettings | None = None, *, background: np.ndarray | float = 0.0
) -> CosmicRays:
    """Find cosmic rays and predict what their pixels would hold from good pixels at either end of the shorter run.

    Repaired pixels get CR and INTRP, and the variance +inf: nothing was measured there.  A hit that no run of
    ``max_run`` bridges is missing: NaN, +inf, NO_DATA.  No noise is added: a prediction from four pixels carries
    theirs, and is about as noisy as a pixel of its own.

    Parameters
    ----------
    exposure
        In electrons, with a variance; modified in place.
    settings
        Knobs; the defaults where not given.
    background
        Sky that is still in the image, a level or ``[y, x]``.

    Raises
    ------
    TooManyCosmicRaysError
        If more than ``max_pixels`` look like hits; the pixels are then as they were.
    """
    settings = settings or CosmicRaySettings()
    found = find_cosmic_rays(exposure, settings, background=background)
    image, variance, bits = exposure.image.array, exposure.variance.array, exposure.bits
    bad = unusable_map(image, bits, bitmask(*settings.unusable_planes), bitmask("CR"))
    filled = bridge_runs(image, bad, settings.max_run)
    settle_bridges(image, variance, bits, bad, filled, bitmask("INTRP"), bitmask("NO_DATA"))
    return found
