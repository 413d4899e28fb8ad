"""The true noise of a coadd, where resampling has correlated that of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.images.mask_planes import bitmask

if TYPE_CHECKING:
    from skyloom.detection.matched_filter import Filtered

__all__ = ["noise_ratio"]

_NOT_SKY = ("DETECTED", "DETECTED_NEGATIVE", "NO_DATA", "BAD", "SAT", "EDGE", "BRIGHT_OBJECT")
_SAMPLE = 400_000
"""About so many pixels tell the scatter."""
_LEAST = 1000
"""With fewer nothing is said."""
_SIGMA_OF_QUARTILES = 0.741301109252802


def noise_ratio(filtered: Filtered, bits: np.ndarray) -> float:
    """True noise through the matched filter over that which the variance plane makes expect.

    A resampling kernel hands the noise of one pixel on to several, so that neighbours are alike: the variance plane is
    right for each pixel alone, and too small for every sum over pixels.  What PSF fluxes and detection need is the
    noise on the scale of the PSF.  That is the scatter of the filtered image over its formal noise where nothing was
    detected, by its quartiles, in which faint sources count little.

    Parameters
    ----------
    filtered
        The coadd through the matched filter.
    bits
        Its mask ``[y, x]``, with DETECTED.

    Returns
    -------
    ratio
        1 where fewer than 1000 pixels of sky are left.
    """
    step = max(1, int(np.sqrt(bits.size / _SAMPLE)))
    part = slice(None, None, step), slice(None, None, step)
    value, noise = filtered.value[part], filtered.noise[part]
    sky = ((bits[part] & bitmask(*_NOT_SKY)) == 0) & np.isfinite(noise) & (noise > 0)
    if sky.sum() < _LEAST:
        return 1.0
    low, high = np.percentile(value[sky] / noise[sky], (25.0, 75.0))
    ratio = float(_SIGMA_OF_QUARTILES * (high - low))
    return ratio if ratio > 0.0 else 1.0
