"""From components and their peaks to footprints."""

from __future__ import annotations

import numpy as np
from lsst.images import Box

from skyloom.images.footprints import PEAK_DTYPE, Footprint, FootprintSet
from skyloom.images.spans import SpanSet

from .peaks import Components, Peaks

__all__ = ["build_footprints"]


def build_footprints(
    components: Components, peaks: Peaks, box: Box, *, min_separation: float
) -> tuple[FootprintSet, np.ndarray]:
    """The components as footprints, each with its peaks.

    Parameters
    ----------
    components, peaks
        In array coordinates.
    box
        Bounding box of the image; the footprints are in its coordinates.
    min_separation
        A peak nearer than this to a brighter one of its footprint is dropped, px.

    Returns
    -------
    footprints
        From the first row on, peaks from the brightest down.
    significance
        Of all their peaks in that order, in sigma.
    """
    table = np.empty(peaks.x.size, PEAK_DTYPE)
    table["x"], table["y"], table["value"] = peaks.x + box.x.min, peaks.y + box.y.min, peaks.value
    y, x0, x1 = components.y + box.y.min, components.x0 + box.x.min, components.x1 + box.x.min
    kept = np.ones(peaks.x.size, bool)
    footprints = []
    for i in range(len(components)):
        spans, own = slice(*components.start[i : i + 2]), slice(*peaks.start[i : i + 2])
        if own.stop - own.start > 1:
            kept[own] = _separate(peaks.x[own], peaks.y[own], min_separation)
        footprints.append(Footprint(SpanSet(y[spans], x0[spans], x1[spans]), table[own][kept[own]]))
    return FootprintSet(footprints, box), peaks.significance[kept]


def _separate(x: np.ndarray, y: np.ndarray, min_separation: float) -> np.ndarray:
    """Bool: which of the points, in their order, keep the distance from all kept before."""
    kept = np.ones(x.size, bool)
    for i in range(1, x.size):
        before = kept[:i]
        kept[i] = not np.any(np.hypot(x[:i][before] - x[i], y[:i][before] - y[i]) < min_separation)
    return kept
