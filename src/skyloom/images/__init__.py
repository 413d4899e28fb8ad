"""Exposures, masks, footprints, photometric calibration, and the image types on disk."""

from .conversions import (
    from_coadd,
    from_post_isr,
    from_visit_image,
    from_warp,
    plain_metadata,
    to_coadd,
    to_post_isr,
    to_visit_image,
    to_warp,
)
from .exposure import Exposure
from .fits_wcs import WcsForm, fits_header, header_of_map, headers_of_maps, wcs_residual, with_fits_form
from .footprints import PEAK_DTYPE, Footprint, FootprintSet, SpanSet
from .mask_planes import MASK_PLANES, MASK_SCHEMA, bitmask, bits_of, is_mask_plane
from .photo_calib import PhotoCalib, ab_magnitude_to_njy, njy_to_ab_magnitude
from .post_isr_image import PostIsrImage
from .projection import (
    corner_polygon,
    pixel_jacobian,
    pixel_scale,
    pixel_to_radec,
    projection_from_header,
    radec_to_pixel,
)
from .raw import RawExposure
from .tract_images import CoaddImage, WarpImage

__all__ = [
    "MASK_PLANES",
    "MASK_SCHEMA",
    "PEAK_DTYPE",
    "CoaddImage",
    "Exposure",
    "Footprint",
    "FootprintSet",
    "PhotoCalib",
    "PostIsrImage",
    "RawExposure",
    "SpanSet",
    "WarpImage",
    "WcsForm",
    "ab_magnitude_to_njy",
    "bitmask",
    "bits_of",
    "corner_polygon",
    "fits_header",
    "from_coadd",
    "from_post_isr",
    "from_visit_image",
    "from_warp",
    "header_of_map",
    "headers_of_maps",
    "is_mask_plane",
    "njy_to_ab_magnitude",
    "pixel_jacobian",
    "pixel_scale",
    "pixel_to_radec",
    "plain_metadata",
    "projection_from_header",
    "radec_to_pixel",
    "to_coadd",
    "to_post_isr",
    "to_visit_image",
    "to_warp",
    "wcs_residual",
    "with_fits_form",
]
