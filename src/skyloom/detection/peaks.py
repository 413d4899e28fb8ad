"""Pixels above a threshold, the components that they grow to, and their peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skyloom.kernels.components import component_peaks, component_spans, paint_spans, span_maxima

from .matched_filter import Filtered

__all__ = ["Components", "Peaks", "find_components", "find_peaks", "replace_peaks", "significant_pixels"]


@dataclass(frozen=True)
class Components:
    """The 8-connected components of a mask as spans, in array coordinates, from the first row on."""

    mask: np.ndarray
    """Bool ``[y, x]``."""
    y: np.ndarray
    x0: np.ndarray
    x1: np.ndarray
    """One past the last column."""
    start: np.ndarray
    """First span of each component, and one past the last span."""

    def __len__(self) -> int:
        return self.start.size - 1


@dataclass(frozen=True)
class Peaks:
    """Peaks in array coordinates, component by component, from the highest down."""

    x: np.ndarray
    y: np.ndarray
    value: np.ndarray
    """Height in the filtered image."""
    significance: np.ndarray
    """Height in units of the noise there."""
    start: np.ndarray
    """First peak of each component, and one past the last."""


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
    if include_threshold <= threshold and min_pixels <= 1:
        return above
    y, x0, x1, label, count = component_spans(above)
    best, area = span_maxima(significance, y, x0, x1, label, count)
    dropped = (best < include_threshold) | (area < min_pixels)
    if dropped.any():
        spans = dropped[label]
        paint_spans(above, y[spans], x0[spans], x1[spans], np.zeros(spans.sum(), bool))
    return above


def find_components(mask: np.ndarray) -> Components:
    """The components of a bool mask ``[y, x]``."""
    y, x0, x1, label, count = component_spans(mask)
    order = np.argsort(label, kind="stable")
    start = np.searchsorted(label[order], np.arange(count + 1))
    return Components(mask=mask, y=y[order], x0=x0[order], x1=x1[order], start=start)


def find_peaks(filtered: Filtered, components: Components, *, threshold: float, min_prominence: float) -> Peaks:
    """The peaks of the filtered image: the highest of each component, and others that stand out.

    Parameters
    ----------
    filtered
        The image through the matched filter.
    components
        Where to look.
    threshold
        In sigma, for a peak that is not the highest of its component.
    min_prominence
        In sigma: such a peak must rise as far above the pass to a higher one, or it is noise on that one's slope.
    """
    value, noise = filtered.value, filtered.noise
    spans = (components.y, components.x0, components.x1)
    y, x, start = component_peaks(value, noise, components.mask, spans, components.start, (threshold, min_prominence))
    height = np.where(np.isfinite(noise[y, x]), value[y, x], np.float32(0))
    return Peaks(x=x, y=y, value=height, significance=height / noise[y, x], start=start)


def replace_peaks(
    peaks: Peaks, above: Filtered, components: Components, threshold: float, min_prominence: float
) -> Peaks:
    """Peaks with those of components of several replaced by the ones above a local background.

    Parameters
    ----------
    peaks
        As found.
    above
        The filtered image above the local background.
    components
        Those of the peaks.
    threshold, min_prominence
        As in `find_peaks`; here the highest of a component too must reach the threshold.

    Returns
    -------
    Peaks
        A component in which no peak is left keeps its first.
    """
    found = find_peaks(above, components, threshold=threshold, min_prominence=min_prominence)
    chosen = []
    for i in range(len(components)):
        old, new = np.arange(*peaks.start[i : i + 2]), np.arange(*found.start[i : i + 2])
        new = new[found.significance[new] >= threshold]
        chosen.append((peaks, old) if old.size == 1 else (found, new) if new.size else (peaks, old[:1]))

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(source, name)[rows] for source, rows in chosen] or [getattr(peaks, name)[:0]])

    start = np.concatenate([[0], np.cumsum([rows.size for _, rows in chosen], dtype=np.int64)])
    return Peaks(x=joined("x"), y=joined("y"), value=joined("value"), significance=joined("significance"), start=start)
