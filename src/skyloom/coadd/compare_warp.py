"""`compare_warps`: artifacts found where a PSF-matched warp differs from the static sky, in few visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lsst.images import Box, SkyProjection
from lsst.images import NoOverlapError as OutsideError

from skyloom.images import Exposure, SpanSet, bitmask, bits_of
from skyloom.kernels.span_counts import count_in_spans, count_within, sum_in_spans

from .artifact_masks import merged
from .clip_detection import Regions, detect_regions
from .compare_settings import CompareWarpSettings
from .inputs import CoaddInput
from .static_sky import StaticSky, static_sky
from .streaks import Streak, find_streaks

__all__ = ["CompareWarpResult", "compare_warps", "max_epochs"]

_SIGMA_OF_QUARTILES = 0.741301109252802
_SAMPLE = 400_000
"""Pixels of a difference that tell its scatter."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CompareWarpResult:
    """What `compare_warps` finds."""

    masks: dict[int, dict[str, SpanSet]]
    """Visit to mask plane to pixels of the tract: CLIPPED, STREAK, EDGE, and NO_DATA where no value is matched."""
    template: StaticSky
    streaks: dict[int, list[Streak]]
    """Visit to its trails."""
    n_candidates: dict[int, int]
    """Visit to the number of regions that differ from the static sky."""
    n_artifacts: dict[int, int]
    """Visit to the number of those that are artifacts."""
    unmatched: list[int]
    """Visits without a matched warp: they are all NO_DATA."""
    notes: dict[int, str]
    """Visit to what is odd about its warp."""


@dataclass(eq=False)
class _Visit:
    """What is kept of one visit while the others are looked at."""

    candidates: Regions | None = None
    streaks: list[Streak] = field(default_factory=list)
    planes: dict[str, SpanSet] = field(default_factory=dict)


def compare_warps(
    inputs: Sequence[CoaddInput],
    matched: Mapping[int, CoaddInput],
    box: Box,
    projection: SkyProjection[Any],
    settings: CompareWarpSettings | None = None,
    *,
    band: str | None = None,
) -> CompareWarpResult:
    """Find artifacts by comparing each PSF-matched warp with the static sky.

    Where a warp differs from the clipped mean of all, that is an artifact if only few visits differ there: a variable
    source, or a bright one that no kernel matches well, differs in most (AlSayyad 2018, Rubin DMTN-080).  One warp is
    in memory at a time.

    Parameters
    ----------
    inputs
        Weighted warps with the PSFs of their frames.
    matched
        Visit to its PSF-matched warp, on the same pixels of the tract.
    box
        Pixels of the tract to fill.
    projection
        Sky projection of the tract.
    settings
        Limits.
    band
        Short name of the passband.

    Raises
    ------
    NoOverlapError
        If no input has a matched warp.
    """
    settings = settings or CompareWarpSettings()
    partners = [matched[part.visit] for part in inputs if part.visit in matched]
    template = static_sky(partners, box, projection, settings, band=band)
    epochs, n_image = np.zeros(box.shape, np.int32), np.zeros(box.shape, np.int32)
    notes: dict[int, str] = {}
    seen: dict[int, _Visit] = {}
    for part in inputs:
        if part.visit not in matched:
            notes[part.visit] = "no PSF-matched warp"
            seen[part.visit] = _Visit(planes={"NO_DATA": SpanSet.from_box(box)} if settings.require_matched else {})
            continue
        seen[part.visit] = _look_at(part, matched[part.visit], box, template, settings, (epochs, n_image), notes)
    masks, n_artifacts = {}, {}
    for visit, look in seen.items():
        artifacts, n_artifacts[visit] = _artifacts(look, box, template, settings, epochs, n_image)
        streaks = _streak_spans(look, box, template, settings)
        planes = {"CLIPPED": artifacts.union(streaks), "STREAK": streaks, **look.planes}
        masks[visit] = {name: spans for name, spans in planes.items() if len(spans)}
    return CompareWarpResult(
        masks={visit: planes for visit, planes in masks.items() if planes},
        template=template,
        streaks={visit: look.streaks for visit, look in seen.items() if look.streaks},
        n_candidates={visit: len(look.candidates) for visit, look in seen.items() if look.candidates is not None},
        n_artifacts=n_artifacts,
        unmatched=[part.visit for part in inputs if part.visit not in matched],
        notes=notes,
    )


def max_epochs(n_visits: np.ndarray, settings: CompareWarpSettings) -> np.ndarray:
    """In how many of some visits an artifact may be seen; int64.

    A part of few visits, a number and a part of many: one of 3 to 4 visits, two of 5 to 33.
    """
    few = settings.max_fraction_low * n_visits
    many = settings.max_n_epochs + settings.max_fraction_high * n_visits
    return np.minimum(few, many).astype(np.int64)


def _look_at(
    part: CoaddInput,
    partner: CoaddInput,
    box: Box,
    template: StaticSky,
    settings: CompareWarpSettings,
    counts: tuple[np.ndarray, np.ndarray],
    notes: dict[int, str],
) -> _Visit:
    """Find the candidates of a visit, and count it where it differs and where it has values."""
    epochs, n_image = counts
    look = _Visit()
    try:
        inside = partner.bbox.intersection(box)
    except OutsideError:
        notes[part.visit] = "its PSF-matched warp lies elsewhere"
        return _Visit(planes={"NO_DATA": SpanSet.from_box(box)} if settings.require_matched else {})
    at = inside.slice_within(box)
    difference = _difference(partner, inside, template, settings, part.visit, notes)
    held, no_data = np.isfinite(difference.image.array), bitmask("NO_DATA")
    n_image[at] += held & (difference.bits & no_data == 0)
    look.planes = _lost_planes(part, difference, held, box, settings)
    regions = detect_regions(difference, settings.detection, template.psf_sigma)
    look.candidates = _prefiltered(regions, difference, settings)
    epochs[at] += look.candidates.to_mask(inside)
    if settings.mask_streaks:
        ignored = template.bright[at] | (template.coadd.bits[at] & bitmask("SAT") != 0)
        look.streaks = find_streaks(
            difference.image.array, difference.variance.array, ignored, inside, settings.streaks
        )
    return look


def _difference(
    partner: CoaddInput,
    box: Box,
    template: StaticSky,
    settings: CompareWarpSettings,
    visit: int,
    notes: dict[int, str],
) -> Exposure:
    """A matched warp less the static sky, with the variance of its pixels as they scatter."""
    image, variance, bits = partner.planes(box)
    sky = template.coadd[box]
    difference = Exposure.from_arrays(
        image - sky.image.array, bits, variance, unit=sky.unit, x0=box.x.start, y0=box.y.start
    )
    if settings.scale_variance:
        factor = _variance_factor(difference)
        if 1.0 / settings.max_scale < factor < settings.max_scale:
            difference.variance.array[...] *= np.float32(factor)
        else:
            notes[visit] = f"the scatter of its difference is {factor:.3g} times its variance: the latter is kept"
    return difference


def _variance_factor(difference: Exposure) -> float:
    """Scatter of a difference image, squared, over its variance; NaN where nothing is known."""
    step = max(1, int(np.sqrt(difference.bbox.area / _SAMPLE)))
    image, variance = (plane[::step, ::step] for plane in (difference.image.array, difference.variance.array))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = image / np.sqrt(variance)
    ratio = ratio[np.isfinite(ratio) & (variance > 0.0) & (variance < np.inf)]
    if not ratio.size:
        return float("nan")
    low, high = np.percentile(ratio, (25.0, 75.0))
    return float((_SIGMA_OF_QUARTILES * (high - low)) ** 2)


def _lost_planes(
    part: CoaddInput, difference: Exposure, held: np.ndarray, box: Box, settings: CompareWarpSettings
) -> dict[str, SpanSet]:
    """NO_DATA where a warp has data but no matched value; EDGE where the matched warp has it."""
    x0, y0 = difference.bbox.x.start, difference.bbox.y.start
    edge = SpanSet.from_mask((difference.bits & bitmask("EDGE") != 0) & held, x0, y0)
    if not settings.require_matched:
        return {"EDGE": edge}
    try:
        own = part.bbox.intersection(box)
    except OutsideError:
        return {"EDGE": edge}
    parts = part.handle.get(component="components", parameters={"components": ["mask"], "bbox": own})
    lost = bits_of(parts["mask"]) & bitmask("NO_DATA") == 0
    try:
        both = own.intersection(difference.bbox)
    except OutsideError:
        pass
    else:
        lost[both.slice_within(own)] &= ~held[both.slice_within(difference.bbox)]
    return {"EDGE": edge, "NO_DATA": SpanSet.from_mask(lost, own.x.start, own.y.start)}


def _prefiltered(regions: Regions, difference: Exposure, settings: CompareWarpSettings) -> Regions:
    """The regions without those that lie on bad pixels."""
    box = difference.bbox
    n_bad, _ = count_in_spans(
        difference.bits,
        (box.y.start, box.x.start),
        (regions.y, regions.x0, regions.x1),
        regions.start,
        bitmask(*settings.prefilter_planes),
        0,
    )
    return regions.chosen((regions.areas - n_bad) > settings.prefilter_ratio * regions.areas)


def _artifacts(
    look: _Visit,
    box: Box,
    template: StaticSky,
    settings: CompareWarpSettings,
    epochs: np.ndarray,
    n_image: np.ndarray,
) -> tuple[SpanSet, int]:
    """The candidates of a visit that are artifacts: their pixels, and their number."""
    regions = look.candidates
    if regions is None or not len(regions):
        return SpanSet.empty(), 0
    corner, spans = (box.y.start, box.x.start), (regions.y, regions.x0, regions.x1)
    areas = np.maximum(regions.areas, 1)
    limits = max_epochs(sum_in_spans(n_image, corner, spans, regions.start) / areas, settings)
    rare = count_within(epochs, corner, spans, regions.start, limits)
    chosen = rare > settings.spatial_threshold * areas
    if settings.preserve_contained:
        chosen &= sum_in_spans(template.bright, corner, spans, regions.start) < areas
    return regions.merged(chosen), int(chosen.sum())


def _streak_spans(look: _Visit, box: Box, template: StaticSky, settings: CompareWarpSettings) -> SpanSet:
    """The pixels of the trails of a visit, without those trails that lie within very bright sources as a whole."""
    found = [streak.spans(box) for streak in look.streaks]
    if settings.preserve_contained:
        regions, corner = Regions.of_spans(found, box), (box.y.start, box.x.start)
        spans = (regions.y, regions.x0, regions.x1)
        protected = sum_in_spans(template.bright, corner, spans, regions.start)
        found = [one for one, inside in zip(found, protected, strict=True) if inside < one.area]
    return merged(found)
