"""Pixels above a threshold, and the peaks of what they grow to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skyloom.kernels.components import component_spans, paint_spans, peak_prominences, span_maxima

from .matched_filter import Filtered

__all__ = ["Peaks", "find_peaks", "significant_pixels"]


@dataclass(frozen=True)
class Peaks:
    """Peaks in array coordinates, brightest first."""

    x: np.ndarray
    y: np.ndarray
    value: np.ndarray
    """Height in the filtered image."""


def significant_pixels(
    filtered: Filtered, *, threshold: float, include_threshold: float, min_pixels: int
) -> np.ndarray:
    """The pixels above a threshold whose 8-connected component is significant; ``[y, x]`` bool.

    Parameters
    ----------
    filtered
        The image through the matched filter.
    threshold
        In sigma, for a pixel to take part.
    include_threshold
        In sigma: a component without a pixel that high is dropped.
    min_pixels
        A component of fewer pixels is dropped.
    """
    significance = filtered.significance
    above = significance >= threshold
    y, x0, x1, label, count = component_spans(above)
    best, area = span_maxima(significance, y, x0, x1, label, count)
    dropped = (best < include_threshold) | (area < min_pixels)
    if dropped.any():
        spans = dropped[label]
        paint_spans(above, y[spans], x0[spans], x1[spans], np.zeros(spans.sum(), bool))
    return above


def find_peaks(filtered: Filtered, region: np.ndarray, *, threshold: float, min_prominence: float) -> Peaks:
    """The peaks of the filtered image inside a region: the highest of each component, and others that stand out.

    Parameters
    ----------
    filtered
        The image through the matched filter.
    region
        ``[y, x]`` bool.
    threshold
        In sigma, for a peak that is not the highest of its component.
    min_prominence
        In sigma: such a peak must rise as far above the pass to a higher one, or it is noise on that one's slope.
    """
    y, x = np.nonzero(region)
    noise = filtered.noise[y, x]
    value = np.where(np.isfinite(noise), filtered.value[y, x], np.float32(0))
    order = np.argsort(-value, kind="stable")
    prominence = peak_prominences(value, order, x, y, region.shape)
    with np.errstate(invalid="ignore"):
        stands_out = (value >= threshold * noise) & (prominence >= min_prominence * noise)
    peaks = order[((prominence == np.inf) | stands_out)[order]]
    return Peaks(x=x[peaks], y=y[peaks], value=value[peaks])
