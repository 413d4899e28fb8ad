"""From a grown mask and its peaks to footprints."""

from __future__ import annotations

import numpy as np
from lsst.images import Box

from skyloom.images.footprints import PEAK_DTYPE, Footprint, FootprintSet
from skyloom.images.spans import SpanSet
from skyloom.kernels.components import component_spans, paint_spans

from .peaks import Peaks

__all__ = ["build_footprints"]


def build_footprints(grown: np.ndarray, peaks: Peaks, box: Box, *, min_separation: float) -> FootprintSet:
    """The components of a grown mask as footprints, each with the peaks that lie in it.

    Parameters
    ----------
    grown
        ``[y, x]`` bool; every peak lies inside.
    peaks
        Brightest first, at least one a component.
    box
        Bounding box of the image; the footprints are in its coordinates.
    min_separation
        A peak nearer than this to a brighter one of its footprint is dropped, px.
    """
    y, x0, x1, label, count = component_spans(grown)
    owner = np.full(grown.shape, -1, np.int32)
    paint_spans(owner, y, x0, x1, label)
    spans = _split(label, count)
    members = _split(owner[peaks.y, peaks.x], count)
    footprints = []
    for own_spans, own in zip(spans, members, strict=True):
        rows = SpanSet(y[own_spans] + box.y.min, x0[own_spans] + box.x.min, x1[own_spans] + box.x.min)
        kept = _separate(peaks.x[own], peaks.y[own], min_separation)
        chosen = own[kept]
        table = np.empty(chosen.size, PEAK_DTYPE)
        table["x"], table["y"] = peaks.x[chosen] + box.x.min, peaks.y[chosen] + box.y.min
        table["value"] = peaks.value[chosen]
        footprints.append(Footprint(rows, table))
    return FootprintSet(footprints, box)


def _split(label: np.ndarray, count: int) -> list[np.ndarray]:
    """Indices of the entries of each label 0 ... count - 1, in their order."""
    if count == 0:
        return []
    order = np.argsort(label, kind="stable")
    return np.split(order, np.searchsorted(label[order], np.arange(1, count)))


def _separate(x: np.ndarray, y: np.ndarray, min_separation: float) -> np.ndarray:
    """Bool: which of the points, in their order, keep the distance from all kept before."""
    kept = np.ones(x.size, bool)
    for i in range(1, x.size):
        before = kept[:i]
        kept[i] = not np.any(np.hypot(x[:i][before] - x[i], y[:i][before] - y[i]) < min_separation)
    return kept
