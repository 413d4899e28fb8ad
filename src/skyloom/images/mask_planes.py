"""The one mask schema: the classic plane names, each with a description, packed into one int32 a pixel."""

from __future__ import annotations

import numpy as np
from lsst.images import Mask, MaskPlane, MaskSchema

__all__ = ["MASK_PLANES", "MASK_SCHEMA", "bitmask", "bits_of", "is_mask_plane"]

MASK_PLANES: dict[str, str] = {
    "BAD": "Bad pixel: a defect of the detector or of a calibration frame.",
    "SAT": "Saturated, or bled into from a saturated pixel.",
    "INTRP": "The value was interpolated from neighbours.",
    "CR": "Hit by a cosmic ray.",
    "EDGE": "Too close to the edge for the PSF filter.",
    "DETECTED": "Part of the footprint of a source.",
    "DETECTED_NEGATIVE": "Part of the footprint of a negative source.",
    "SUSPECT": "Above the level up to which the response is trusted.",
    "NO_DATA": "No detector pixel contributed.",
    "CROSSTALK": "Corrected for a strong crosstalk signal.",
    "UNMASKEDNAN": "Not a number, and not masked before.",
    "STREAK": "Crossed by the trail of a satellite or aircraft.",
    "CLIPPED": "At least one input was clipped from the coadd here.",
    "REJECTED": "At least one input was left out of the coadd here because of its mask.",
    "SENSOR_EDGE": "The edge of a sensor crosses the coadd here.",
    "INEXACT_PSF": "The inputs differ from those of the PSF model of the coadd here.",
    "BRIGHT_OBJECT": "In the halo of a very bright object.",
    "NOT_DEBLENDED": "Part of a footprint that the deblender skipped.",
    "VIGNETTED": "Outside the unvignetted field of view.",
}
"""Plane names in bit order, with their descriptions.  New planes go to the end: files record the order."""

MASK_SCHEMA = MaskSchema([MaskPlane(name, text) for name, text in MASK_PLANES.items()], dtype=np.int32)
"""The schema of every mask that skyloom makes."""


def is_mask_plane(name: str) -> bool:
    """Whether the schema has a plane of that name."""
    return name in MASK_PLANES


def bitmask(*names: str) -> int:
    """The integer with the bits of the named planes set.

    Raises
    ------
    KeyError
        If a name is not a plane of the schema.
    """
    value = 0
    for name in names:
        value |= int(MASK_SCHEMA.bit(name).mask)
    return value


def bits_of(mask: Mask) -> np.ndarray:
    """The ``[y, x]`` int32 view of a mask that kernels take; writing to it writes to the mask."""
    bits: np.ndarray = mask.array[..., 0]
    return bits
