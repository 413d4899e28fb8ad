"""Alternate masks: what is masked in single warps for the sake of a coadd, without touching the warps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from lsst.images import Box

from skyloom.images import SpanSet, bitmask

__all__ = ["AlternateMasks", "apply_alternate_mask"]

type AlternateMasks = Mapping[int, Mapping[str, SpanSet]]
"""Visit to mask plane to its pixels, in pixels of the tract."""


def apply_alternate_mask(bits: np.ndarray, box: Box, planes: Mapping[str, SpanSet], bad: int) -> None:
    """Set the planes of an alternate mask on the mask bits of one warp, in place.

    Where the plane NO_DATA is set, the other bad bits go: the sample is missing there, and was not left out for what
    it shows.  For the same reason the other planes are set only where the warp has data.  EDGE stays: the border of a
    detector is where it is.

    Parameters
    ----------
    bits
        int32 ``[y, x]``.
    box
        Their pixels of the tract; what of the planes lies outside is left out.
    planes
        Mask plane to its pixels, in pixels of the tract.
    bad
        Bits that exclude a sample.

    Raises
    ------
    KeyError
        If a name is not a plane of the schema.
    """
    no_data = bitmask("NO_DATA")
    if "NO_DATA" in planes:
        missing = planes["NO_DATA"].to_mask(box)
        bits[missing] = bits[missing] & (~bad | bitmask("EDGE")) | no_data
    for name, spans in planes.items():
        bit = bitmask(name)
        part = spans.clipped(box)
        if bit != no_data and len(part):
            bits[part.to_mask(box) & (bits & no_data == 0)] |= bit
