"""Less noise for a pattern that is smooth itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from skyloom.kernels.median import median_filter

from .frame_stack import Combined

__all__ = ["smoothed"]

_LEAST_SHARE = 0.5
"""Holes are filled where at least this share of the kernel is known."""
_OUTLIER = 6.0
"""Pixels further than this from the median about them, in units of their noise, are hot or dead and no part of it."""
_WINDOW = 5
"""Side of the square of that median (pixels)."""


def smoothed(combined: Combined, sigma: float) -> Combined:
    """The same with less noise, without single pixels that stand out, and with values in small holes.

    A Gaussian G sharpened to 2 G - G * G keeps waves that are long against it: with a sigma of 2 pixels, waves of 20
    pixels lose 3 % and waves of 40 pixels 0.2 %; the noise of a pixel falls to 19 %.

    Parameters
    ----------
    combined
        Pattern, not a number where unknown.
    sigma
        Of the Gaussian (pixels); 0 leaves all as it is.
    """
    if sigma == 0:
        return combined
    image, noise = combined.image, np.sqrt(combined.variance)
    finite = np.isfinite(image)
    whole = np.where(finite, image, np.nan_to_num(_smooth(image, finite, sigma)))
    known = finite & (np.abs(image - median_filter(whole, _WINDOW)) <= _OUTLIER * noise)
    smooth = _smooth(image, known, sigma)
    variance = np.where(known, combined.variance, np.median(combined.variance[known])) * np.sum(_kernel(sigma) ** 2)
    return replace(combined, image=smooth, variance=np.where(np.isfinite(smooth), variance, np.inf).astype(np.float32))


def _smooth(image: np.ndarray, known: np.ndarray, sigma: float) -> np.ndarray:
    """The smooth pattern float32 ``[y, x]``, not a number in large holes."""
    share = gaussian_filter(known.astype(np.float32), sigma)
    enough = share > _LEAST_SHARE
    share[~enough] = np.nan
    once = gaussian_filter(np.where(known, image, np.float32(0.0)), sigma) / share
    again = gaussian_filter(np.where(known & enough, image - once, np.float32(0.0)), sigma) / share
    return np.asarray(once + again, np.float32)


def _kernel(sigma: float) -> np.ndarray:
    """What a point becomes, ``[y, x]``."""
    half = int(8 * sigma + 1)
    point = np.zeros((2 * half + 1, 2 * half + 1))
    point[half, half] = 1.0
    once = gaussian_filter(point, sigma)
    return np.asarray(2.0 * once - gaussian_filter(once, sigma))
