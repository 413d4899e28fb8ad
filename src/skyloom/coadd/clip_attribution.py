"""`attribute_regions`: which visits a region of a difference image comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from lsst.images import Box
from lsst.images import NoOverlapError as OutsideError

from skyloom.detection.matched_filter import matched_filter
from skyloom.detection.peaks import significant_pixels
from skyloom.errors import SkyloomError
from skyloom.images import SpanSet, bitmask, bits_of
from skyloom.kernels.clip_difference import excess_in_spans
from skyloom.kernels.components import component_spans, dilate_disk
from skyloom.kernels.span_counts import any_bit, count_in_spans, count_overlap
from skyloom.psf import psf_sigma

from .clip_detection import Regions
from .clip_difference import DifferenceImage
from .clip_settings import AttributionSettings
from .inputs import CoaddInput
from .no_data import median_level

__all__ = ["Overlaps", "big_footprints", "confirm", "count_overlaps", "decide", "detected_mask"]


@dataclass(frozen=True, eq=False)
class Overlaps:
    """What visits have detected of regions."""

    ignored: np.ndarray
    """int64 ``[visit, region]``: pixels of the region that are bad or missing in the warp."""
    detected: np.ndarray
    """int64 ``[visit, region]``: good pixels that the visit has detected."""
    area: np.ndarray
    """int64 ``[region]``: pixels."""


def count_overlaps(
    inputs: Sequence[CoaddInput],
    regions: Regions,
    bad_planes: Sequence[str],
    settings: AttributionSettings,
    notes: dict[int, str] | None = None,
) -> Overlaps:
    """Read the mask of each warp once, one after the other, and count.

    Parameters
    ----------
    inputs
        Weighted warps.
    regions
        On the pixels of the tract; where a warp does not reach, it has no data.
    bad_planes
        Pixels with any of these do not count.
    settings
        What tells detected pixels.
    notes
        Is told of visits without such pixels: visit to what was done.
    """
    shape = (len(inputs), len(regions))
    ignored, detected = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    bad = bitmask(*bad_planes)
    for n, part in enumerate(inputs):
        found = detected_mask(part, regions.box, settings, notes)
        if found is None:
            ignored[n] = regions.areas
            continue
        bits, box = found
        ignored[n], detected[n] = count_in_spans(
            bits,
            (box.y.start, box.x.start),
            (regions.y, regions.x0, regions.x1),
            regions.start,
            bad,
            bitmask(*settings.detected_planes),
        )
    return Overlaps(ignored, detected, regions.areas)


def decide(overlaps: Overlaps, settings: AttributionSettings) -> np.ndarray:
    """Which visits are to be clipped in which regions; bool ``[visit, region]``.

    A visit counts where it has not more bad than detected pixels, is good in more than half of the region, and has
    detected something there.  Its overlap is the part of its good pixels that it has detected.  Visits that saw
    nothing say nothing; so a real source, which all visits see, is clipped in none.
    """
    total = overlaps.area - overlaps.ignored
    counts = (overlaps.ignored <= overlaps.detected) & (2 * total > overlaps.area) & (overlaps.detected > 0)
    share = np.where(counts, overlaps.detected / np.maximum(total, 1), -1.0)
    number = counts.sum(axis=0)
    single = (number == 1) & (share > settings.min_overlap_single)
    high = share > settings.min_overlap
    one = (number >= 2) & high & (high.sum(axis=0) == 1)
    both = share > settings.min_overlap_double
    rest = np.where(both, -1.0, share).max(axis=0, initial=-1.0)
    two = (number > 3) & (both.sum(axis=0) == 2) & (rest <= settings.max_overlap_double)
    clipped: np.ndarray = single | np.where(two, both, one)
    return clipped


def confirm(
    guilty: np.ndarray,
    inputs: Sequence[CoaddInput],
    regions: Regions,
    difference: DifferenceImage,
    bad_planes: Sequence[str],
    settings: AttributionSettings,
) -> np.ndarray:
    """Acquit visits that differ from the clipped mean by no more than another seeing would make them.

    In the wings of bright stars the visit of the worst seeing is the only one to detect most of a region.  What it has
    there beyond the clipped mean is less than the mean itself changes within two pixels.

    Parameters
    ----------
    guilty
        bool ``[visit, region]``, as of `decide`.
    inputs, regions, bad_planes, settings
        As in `count_overlaps`; the pixels are read of warps with a guilty visit alone, one after the other.
    difference
        With the clipped mean.
    """
    confirmed = guilty.copy()
    if not settings.confirm or difference.clipped_mean is None:
        return confirmed
    reference = (difference.clipped_mean.array, 0.5 * difference.variance.array)
    limits = (bitmask(*bad_planes), settings.outlier_sigma, settings.structure)
    corner = (difference.bbox.y.start, difference.bbox.x.start)
    for n, part in enumerate(inputs):
        chosen = np.flatnonzero(guilty[n])
        if not chosen.size:
            continue
        box = regions.merged(guilty[n]).bbox.intersection(part.bbox)
        planes = part.planes(box)
        for index in chosen:
            spans = regions.spans(int(index))
            outliers, strongest, significance = excess_in_spans(
                planes, (box.y.start, box.x.start), reference, corner, (spans.y, spans.x0, spans.x1), limits
            )
            stands_out = outliers >= settings.min_outliers or strongest >= settings.peak_sigma
            confirmed[n, index] = stands_out or significance >= settings.confirm_sigma
    return confirmed


def big_footprints(part: CoaddInput, clipped: SpanSet, box: Box, settings: AttributionSettings) -> list[SpanSet]:
    """The footprints of a visit, within a box, most of whose light is an artifact's: they are clipped as a whole.

    A footprint is a connected region of detected pixels; it counts with ``min_big_overlap`` pixels or more, of which
    more than that many are clipped.
    """
    if clipped.area <= settings.min_big_overlap:
        return []
    found = detected_mask(part, box, settings)
    if found is None:
        return []
    bits, inside = found
    y, x0, x1, label, count = component_spans((bits & bitmask(*settings.detected_planes)) != 0)
    area, marked = count_overlap(clipped.to_mask(inside), y, x0, x1, label, count)
    chosen = np.flatnonzero((area >= settings.min_big_overlap) & (marked > settings.min_big_overlap))
    own = np.isin(label, chosen)
    y, x0, x1, label = y[own] + inside.y.start, x0[own] + inside.x.start, x1[own] + inside.x.start, label[own]
    return [SpanSet(y[label == one], x0[label == one], x1[label == one]) for one in chosen]


def detected_mask(
    part: CoaddInput, box: Box, settings: AttributionSettings, notes: dict[int, str] | None = None
) -> tuple[np.ndarray, Box] | None:
    """Mask bits ``[y, x]`` of the part of a warp within a box, and that part; None where it does not reach.

    A warp without any detected pixel is searched for sources, if the settings say so.
    """
    try:
        inside = part.bbox.intersection(box)
    except OutsideError:
        return None
    bits = bits_of(part.handle.get(component="mask", parameters={"bbox": inside}))
    if any_bit(bits, bitmask(*settings.detected_planes)):
        return bits, inside
    told = {} if notes is None else notes
    if not settings.search_unmarked:
        told[part.visit] = "no detected pixel in its warp: nothing can be attributed to it"
        return bits, inside
    try:
        bits = _search(part, inside, settings)
    except SkyloomError as error:
        told[part.visit] = f"no detected pixel in its warp, and no search for them: {error}"
    else:
        told[part.visit] = "no detected pixel in its warp: it was searched here"
    return bits, inside


def _search(part: CoaddInput, box: Box, settings: AttributionSettings) -> np.ndarray:
    """Mask bits of a warp with what a matched filter finds on it."""
    image, variance, bits = part.planes(box)
    psf = part.handle.get(component="psf")
    if psf is None:
        raise SkyloomError("the warp has no PSF.", cure="Calibrate its frames first.")
    sigma, search = psf_sigma(psf), settings.search
    image = image - np.float32(median_level(image))
    filtered = matched_filter(image, variance, bits, sigma, planes=bitmask(*search.unusable_planes))
    bits = bits.copy()
    for name in ("DETECTED", "DETECTED_NEGATIVE") if search.negative else ("DETECTED",):
        found = significant_pixels(
            filtered,
            threshold=search.threshold,
            include_threshold=search.threshold * search.include_multiplier,
            min_pixels=search.min_pixels,
        )
        bits[dilate_disk(found, int(search.grow_sigmas * sigma + 0.5))] |= bitmask(name)
        np.negative(filtered.value, out=filtered.value)
    return bits
