"""The search for a first alignment, in steps from few bright stars to many."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from lsst.images import Box

from skyloom.kernels.pattern_match import Similarity

from .chance import log10_chance, search_volume
from .matchers import MATCHERS, SearchLimits
from .settings import AstrometrySettings
from .stars import DetectedStars, ReferenceStars
from .tangent import LocalPlane

__all__ = ["Alignment", "alignments", "first_alignment"]

_STEPS = (
    (1, 1.0, False), (1, 3.0, False), (2, 1.0, False), (2, 3.0, False), (4, 1.0, False), (4, 3.0, False),
    (4, 10.0, False), (2, 1.0, True), (4, 1.0, True),
)  # fmt: skip
"""Of each search: detections, as a multiple of ``n_bright``; references a frame's area, as a multiple of those; whether
the detections are spread."""
_PROMISING = -1.0
_CERTAIN = -20.0


@dataclass(frozen=True, eq=False)
class Alignment:
    """A similarity that may be the true one, with the stars on which it was found."""

    similarity: Similarity
    """Maps (u, v) of the detections to (X, Y) of the plane of the guess."""
    detected: DetectedStars
    reference: ReferenceStars
    log10_chance: float


def alignments(
    detected: DetectedStars,
    reference: ReferenceStars,
    *,
    plane: LocalPlane,
    box: Box,
    settings: AstrometrySettings,
) -> Iterator[Alignment]:
    """Yield alignments worth a closer look, the cheapest search first."""
    shift = settings.pointing_error_deg * 3600.0 / plane.scale_arcsec
    area_ratio = _area_ratio(box, shift)
    seen: set[tuple[int, int, bool]] = set()
    for factor, depth, spread in _STEPS:
        few = detected.brightest(factor * settings.n_bright)
        many = reference.brightest(_wanted(len(few), depth * area_ratio, reference, settings))
        if (len(few), len(many), spread) in seen:
            continue
        seen.add((len(few), len(many), spread))
        if spread:
            few = few.spread()
        alignment = _align(few, many, plane=plane, box=box, shift=shift, settings=settings)
        if alignment.log10_chance < _PROMISING:
            yield alignment


def _wanted(n_detected: int, ratio: float, reference: ReferenceStars, settings: AstrometrySettings) -> int:
    """How many references to search; all where they have no fluxes that would order them."""
    if not reference.ordered:
        return settings.max_references
    return min(max(settings.n_bright, math.ceil(ratio * n_detected)), settings.max_references)


def first_alignment(
    detected: DetectedStars,
    reference: ReferenceStars,
    *,
    plane: LocalPlane,
    box: Box,
    settings: AstrometrySettings,
) -> Alignment:
    """The result of the cheapest search alone, promising or not."""
    shift = settings.pointing_error_deg * 3600.0 / plane.scale_arcsec
    few = detected.brightest(settings.n_bright)
    many = reference.brightest(_wanted(len(few), _area_ratio(box, shift), reference, settings))
    return _align(few, many, plane=plane, box=box, shift=shift, settings=settings)


def _area_ratio(box: Box, shift: float) -> float:
    """Area that references may come from, over the area of the frame."""
    width, height = box.x.size, box.y.size
    return (width + 2.0 * shift) * (height + 2.0 * shift) / (width * height)


def _align(
    detected: DetectedStars,
    reference: ReferenceStars,
    *,
    plane: LocalPlane,
    box: Box,
    shift: float,
    settings: AstrometrySettings,
) -> Alignment:
    """The best similarity between two lists, and how probable it is by chance."""
    tolerance = settings.match_tolerance_px
    x, y = plane.from_sky(reference.ra, reference.dec)
    width, height = float(np.ptp(x)), float(np.ptp(y))
    probability = 1.0 - math.exp(-len(reference) * math.pi * tolerance**2 / max(width * height, 1.0))
    rotation = math.radians(settings.rotation_error_deg)
    volume = search_volume(
        max_shift=shift,
        scale_error=settings.scale_error,
        rotation_error=rotation,
        tolerance=tolerance,
        half=0.5 * max(box.x.size, box.y.size),
    )

    def chance(count: int) -> float:
        return log10_chance(count, len(detected), probability, n_parameters=4, volume=volume)

    enough = next((n for n in range(4, len(detected) + 1) if chance(n) < _CERTAIN), math.inf)
    limits = SearchLimits(
        max_shift=shift,
        scale_error=settings.scale_error,
        rotation_error=rotation,
        tolerance=tolerance,
        width=box.x.size,
        height=box.y.size,
        enough=float(enough),
    )
    similarity = MATCHERS[settings.matcher](detected.u, detected.v, x, y, limits)
    return Alignment(similarity, detected, reference, chance(similarity.n_matched))
