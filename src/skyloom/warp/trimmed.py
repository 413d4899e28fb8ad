"""`trim_warp`: the part of a warp inside a box, without the pixels that some mask planes spoil."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from lsst.images import Box, NoOverlapError

from skyloom.images import Exposure, SpanSet, bitmask
from skyloom.psf import CoaddPsf, CoaddPsfComponent

from .detector_pixels import detector_pixels

__all__ = ["trim_warp"]


def trim_warp(warp: Exposure, box: Box, bad_planes: Iterable[str] = ()) -> Exposure | None:
    """The part of a visit's warp inside a box; None if no pixel of it has a value.

    Pixels with one of the bad planes become missing (NaN, variance +inf, NO_DATA beside what they had).  Where the warp
    knows the PSFs of its inputs, those that have no pixel left are dropped, and the others counted anew.

    Parameters
    ----------
    warp
        As of `VisitWarp` or `match_visit_warp`; it stays as it is.
    box
        Pixels of the tract.
    bad_planes
        Mask planes.
    """
    try:
        trimmed = warp[warp.bbox.intersection(box)].copy()
    except NoOverlapError:
        return None
    bad = (trimmed.bits & bitmask(*bad_planes)) != 0
    trimmed.image.array[bad], trimmed.variance.array[bad] = np.nan, np.inf
    trimmed.bits[bad] |= bitmask("NO_DATA")
    held = np.isfinite(trimmed.image.array)
    if not held.any():
        return None
    if isinstance(warp.psf, CoaddPsf):
        _count_inputs(trimmed, warp.psf, held, box)
    return trimmed


def _count_inputs(warp: Exposure, psf: CoaddPsf, held: np.ndarray, box: Box) -> None:
    """Give a warp the inputs of its pixels, and the PSF of those."""
    free = held.copy()
    pixels: dict[tuple[int, int], int] = {}
    kept = []
    inside = (_inside(part, psf, box) for part in psf.components)
    for part in (one for one in inside if one is not None):
        count = _take(part, psf, warp.bbox, free)
        if count:
            kept.append(part)
            pixels[part.visit, part.detector] = count
    if kept:
        warp.psf = CoaddPsf(kept, psf.projection, box)
    if warp.inputs is not None:
        keys = [(int(row["visit"]), int(row["detector"])) for row in warp.inputs]
        warp.inputs = warp.inputs[[key in pixels for key in keys]]
        warp.inputs["n_pixels"] = [pixels[key] for key in keys if key in pixels]


def _inside(part: CoaddPsfComponent, psf: CoaddPsf, box: Box) -> CoaddPsfComponent | None:
    """An input, cut to the box where it is described on the pixels of the tract; None if nothing of it is inside."""
    if part.projection is not psf.projection or not isinstance(part.valid, SpanSet):
        return part
    valid = part.valid.clipped(box)
    return replace(part, valid=valid, bbox=valid.bbox) if len(valid) else None


def _take(part: CoaddPsfComponent, psf: CoaddPsf, box: Box, free: np.ndarray) -> int:
    """Number of the pixels that are an input's, which are then no longer free."""
    if part.projection is psf.projection and isinstance(part.valid, SpanSet):
        own, mine = part.valid.to_mask(box), free
    else:
        found = detector_pixels(part.projection, psf.projection, part.bbox, box, part.valid)
        if found is None:
            return 0
        own, mine = found[1], free[found[0].slice_within(box)]
    own &= mine
    mine &= ~own
    return int(own.sum())
