"""Exposures, masks, footprints, photometric calibration, and the image types on disk."""

from .exposure import Exposure
from .footprints import PEAK_DTYPE, Footprint, FootprintSet, SpanSet
from .mask_planes import MASK_PLANES, MASK_SCHEMA, bitmask, bits_of
from .photo_calib import PhotoCalib, njy_to_ab_magnitude
from .projection import (
    corner_polygon,
    pixel_jacobian,
    pixel_scale,
    pixel_to_radec,
    projection_from_header,
    radec_to_pixel,
)
from .raw import RawExposure

__all__ = [
    "MASK_PLANES",
    "MASK_SCHEMA",
    "PEAK_DTYPE",
    "Exposure",
    "Footprint",
    "FootprintSet",
    "PhotoCalib",
    "RawExposure",
    "SpanSet",
    "bitmask",
    "bits_of",
    "corner_polygon",
    "njy_to_ab_magnitude",
    "pixel_jacobian",
    "pixel_scale",
    "pixel_to_radec",
    "projection_from_header",
    "radec_to_pixel",
]
