"""Pixels above a threshold, and the peaks among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skyloom.kernels.components import find_peaks

from .matched_filter import Filtered

__all__ = ["Islands", "find_islands"]


@dataclass(frozen=True)
class Islands:
    """Pixels above a threshold that belong to a significant component, and their peaks."""

    mask: np.ndarray
    """``[y, x]`` bool."""
    x: np.ndarray
    """Column of each peak, from the first of the array; brightest peak first."""
    y: np.ndarray
    value: np.ndarray
    """Height of each peak in the filtered image."""


def find_islands(
    filtered: Filtered, *, threshold: float, include_threshold: float, min_pixels: int, min_prominence: float
) -> Islands:
    """Find the 8-connected pixels above a threshold, and their local maxima.

    Parameters
    ----------
    filtered
        The image through the matched filter.
    threshold
        In sigma, for a pixel to take part.
    include_threshold
        In sigma: a component without a pixel above it is dropped.
    min_pixels
        A component of fewer pixels is dropped.
    min_prominence
        In sigma: a maximum that rises less above the pass to a higher one is noise on that one's slope.
    """
    significance = filtered.significance
    above = significance >= threshold
    y, x = np.nonzero(above)
    value = filtered.value[y, x]
    order = np.argsort(-value, kind="stable")
    prominence, component, area, best = find_peaks(value, significance[y, x], order, x, y, above.shape)
    kept = (area[component] >= min_pixels) & (best[component] >= include_threshold)
    above[y[~kept], x[~kept]] = False
    peaks = order[(kept & (prominence >= min_prominence * filtered.noise[y, x]))[order]]
    return Islands(mask=above, x=x[peaks], y=y[peaks], value=value[peaks])
