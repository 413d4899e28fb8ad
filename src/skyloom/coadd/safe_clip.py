"""`safe_clip`: artifacts of single warps found by what clipping takes from the mean, and masked as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lsst.images import Box, SkyProjection

from skyloom.images import Exposure, SpanSet

from .artifact_masks import merged
from .clip_attribution import big_footprints, confirm, count_overlaps, decide
from .clip_detection import Regions, detect_regions
from .clip_difference import DifferenceImage, build_difference_image
from .clip_settings import SafeClipSettings
from .inputs import CoaddInput

__all__ = ["MIN_INPUTS", "ClippedRegions", "SafeClipResult", "attribute_regions", "clip_big_footprints", "safe_clip"]

MIN_INPUTS = 3
"""With fewer warps nobody can tell which one is wrong."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClippedRegions:
    """Regions of the coadd that one or two visits have spoiled."""

    footprints: list[SpanSet] = field(default_factory=list)
    """Pixels of each, of the tract."""
    visits: list[tuple[int, ...]] = field(default_factory=list)
    """The places, in the list of inputs, of the warps to blame for each."""
    spans: list[SpanSet] = field(default_factory=list)
    """What is to be clipped in each warp, in the order of the inputs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SafeClipResult:
    """What `safe_clip` finds."""

    masks: dict[int, dict[str, SpanSet]]
    """Visit to the plane CLIPPED to pixels of the tract; visits without any are left out."""
    clipped: ClippedRegions
    """The regions, without what the big footprints add."""
    big_footprints: list[tuple[int, SpanSet]]
    """Visit, and its footprint that is clipped as a whole."""
    n_regions: int
    """How many regions there were to attribute."""
    notes: dict[int, str]
    """Visit to what is odd about its warp."""
    remarks: tuple[str, ...] = ()
    """What is odd about all of them."""


def safe_clip(
    inputs: Sequence[CoaddInput], box: Box, projection: SkyProjection[Any], settings: SafeClipSettings | None = None
) -> SafeClipResult:
    """Find artifacts: satellite trails, moving bodies, ghosts, hits of particles.

    Connected regions where the clipped mean differs from the plain one are attributed to one visit or two, those that
    have detected most of the region by themselves (the safe clipping of Bosch et al. 2018, PASJ 70, S5).  The
    cores of stars that differ from visit to visit by their seeing are detected in all and clipped in none, and the
    coadd can be a plain mean, whose PSF is known.

    Parameters
    ----------
    inputs
        Weighted warps with the planes DETECTED of their frames; warps without are searched for sources here.
    box
        Pixels of the tract to fill.
    projection
        Sky projection of the tract.
    settings
        Limits.

    Raises
    ------
    NoOverlapError
        If there is no input.
    PsfError
        If no warp has a PSF.
    """
    settings = settings or SafeClipSettings()
    if 0 < len(inputs) < MIN_INPUTS:
        remark = f"{len(inputs)} warps: with fewer than {MIN_INPUTS} it cannot be told which one is wrong"
        nothing = ClippedRegions(spans=[SpanSet.empty()] * len(inputs))
        return SafeClipResult(masks={}, clipped=nothing, big_footprints=[], n_regions=0, notes={}, remarks=(remark,))
    difference = build_difference_image(inputs, box, projection, settings)
    regions = detect_regions(difference, settings.detection)
    notes: dict[int, str] = {}
    clipped = attribute_regions(inputs, regions, difference, settings, notes)
    big = clip_big_footprints(inputs, clipped.spans, box, settings)
    return SafeClipResult(
        masks=_masks(inputs, clipped.spans, big),
        clipped=clipped,
        big_footprints=[(inputs[n].visit, spans) for n, spans in big],
        n_regions=len(regions),
        notes=notes,
    )


def attribute_regions(
    inputs: Sequence[CoaddInput],
    regions: Regions,
    difference: Exposure,
    settings: SafeClipSettings,
    notes: dict[int, str] | None = None,
) -> ClippedRegions:
    """Which regions are clipped, and in which warps; see `decide` and `confirm` of `skyloom.coadd.clip_attribution`."""
    attribution = settings.attribution
    overlaps = count_overlaps(inputs, regions, settings.bad_planes, attribution, notes)
    guilty = decide(overlaps, attribution)
    if isinstance(difference, DifferenceImage):
        guilty = confirm(guilty, inputs, regions, difference, settings.bad_planes, attribution)
    chosen = np.flatnonzero(guilty.any(axis=0))
    return ClippedRegions(
        footprints=[regions.spans(int(index)) for index in chosen],
        visits=[tuple(int(n) for n in np.flatnonzero(guilty[:, index])) for index in chosen],
        spans=[regions.merged(row) for row in guilty],
    )


def clip_big_footprints(
    inputs: Sequence[CoaddInput], spans: Sequence[SpanSet], box: Box, settings: SafeClipSettings
) -> list[tuple[int, SpanSet]]:
    """Footprints of visits that are clipped as a whole: the place of the warp among the inputs, and its pixels."""
    found = []
    for n, (part, clipped) in enumerate(zip(inputs, spans, strict=True)):
        found += [(n, big) for big in big_footprints(part, clipped, box, settings.attribution)]
    return found


def _masks(
    inputs: Sequence[CoaddInput], spans: Sequence[SpanSet], big: Sequence[tuple[int, SpanSet]]
) -> dict[int, dict[str, SpanSet]]:
    """Alternate masks of the regions and the big footprints together."""
    whole = [merged([own, *(footprint for at, footprint in big if at == n)]) for n, own in enumerate(spans)]
    return {part.visit: {"CLIPPED": clipped} for part, clipped in zip(inputs, whole, strict=True) if len(clipped)}
