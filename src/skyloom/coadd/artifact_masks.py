"""Alternate masks of several decisions together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from lsst.images import NoOverlapError

from skyloom.images import SpanSet

from .alternate_masks import AlternateMasks

__all__ = ["combine_masks", "masked_pixels", "merged"]


def combine_masks(
    first: AlternateMasks, second: AlternateMasks, how: Literal["union", "intersection"] = "union"
) -> dict[int, dict[str, SpanSet]]:
    """What either of two decisions masks, or what both do, visit by visit and plane by plane."""
    combined: dict[int, dict[str, SpanSet]] = {}
    for visit in sorted({*first, *second}):
        one, other = first.get(visit, {}), second.get(visit, {})
        planes: dict[str, SpanSet] = {}
        for name in [*one, *(name for name in other if name not in one)]:
            a, b = one.get(name, SpanSet.empty()), other.get(name, SpanSet.empty())
            spans = a.union(b) if how == "union" else _intersection(a, b)
            if len(spans):
                planes[name] = spans
        if planes:
            combined[visit] = planes
    return combined


def masked_pixels(masks: Mapping[int, Mapping[str, SpanSet]], *names: str) -> dict[int, int]:
    """Number of pixels that the named planes mask in each visit."""
    counts = {}
    for visit, planes in masks.items():
        counts[visit] = merged([planes[name] for name in names if name in planes]).area
    return counts


def merged(parts: Sequence[SpanSet]) -> SpanSet:
    """The pixels of any of some sets."""
    filled = [part for part in parts if len(part)]
    if len(filled) < 2:
        return filled[0] if filled else SpanSet.empty()
    y, x0, x1 = (np.concatenate([getattr(part, name) for part in filled]) for name in ("y", "x0", "x1"))
    return SpanSet.from_runs(y, x0, x1)


def _intersection(one: SpanSet, other: SpanSet) -> SpanSet:
    """The pixels of both sets."""
    if not len(one) or not len(other):
        return SpanSet.empty()
    try:
        both = one.bbox.intersection(other.bbox)
    except NoOverlapError:
        return SpanSet.empty()
    return SpanSet.from_mask(one.to_mask(both) & other.to_mask(both), both.x.start, both.y.start)
