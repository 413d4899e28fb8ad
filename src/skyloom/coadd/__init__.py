"""Coadds: warps of a patch combined into one image, with its inputs and their PSF."""

from .alternate_masks import AlternateMasks, apply_alternate_mask
from .artifact_masks import combine_masks, masked_pixels, merged
from .assemble import (
    assemble_coadd,
    coadd_extent,
    coadd_inputs_table,
    coadd_psf,
    describe_coadd,
    empty_coadd,
    strips,
)
from .bright_objects import mask_bright_objects
from .clip_attribution import big_footprints
from .clip_detection import Regions, detect_regions
from .clip_difference import DifferenceImage, build_difference_image
from .clip_settings import AttributionSettings, ClipDetectionSettings, SafeClipSettings
from .combine import combine_box
from .compare_settings import CompareWarpSettings, TemplateDetectionSettings
from .compare_warp import CompareWarpResult, compare_warps
from .input_map import InputMapSettings, make_input_map
from .inputs import (
    CoaddInput,
    ExposureHandle,
    WarpHandle,
    prepare_inputs,
    reason_of_place,
    reason_of_projection,
    reason_of_unit,
    warp_weight,
)
from .masked_mean import flag_lost_edges, masked_mean
from .no_data import Fallback, InterpolationSettings, fallback_value, interpolate_missing
from .online import online_mean
from .safe_clip import MIN_INPUTS, ClippedRegions, SafeClipResult, attribute_regions, safe_clip
from .settings import CoaddSettings, ErrorSource, Statistic
from .static_sky import StaticSky, static_sky
from .streaks import Streak, StreakSettings, find_streaks
from .zero_point import ImageScaler, counts_calib, scaler_for

__all__ = [
    "MIN_INPUTS",
    "AlternateMasks",
    "AttributionSettings",
    "ClipDetectionSettings",
    "ClippedRegions",
    "CoaddInput",
    "CoaddSettings",
    "CompareWarpResult",
    "CompareWarpSettings",
    "DifferenceImage",
    "ErrorSource",
    "ExposureHandle",
    "Fallback",
    "ImageScaler",
    "InputMapSettings",
    "InterpolationSettings",
    "Regions",
    "SafeClipResult",
    "SafeClipSettings",
    "StaticSky",
    "Statistic",
    "Streak",
    "StreakSettings",
    "TemplateDetectionSettings",
    "WarpHandle",
    "apply_alternate_mask",
    "assemble_coadd",
    "attribute_regions",
    "big_footprints",
    "build_difference_image",
    "coadd_extent",
    "coadd_inputs_table",
    "coadd_psf",
    "combine_box",
    "combine_masks",
    "compare_warps",
    "counts_calib",
    "describe_coadd",
    "detect_regions",
    "empty_coadd",
    "fallback_value",
    "find_streaks",
    "flag_lost_edges",
    "interpolate_missing",
    "make_input_map",
    "mask_bright_objects",
    "masked_mean",
    "masked_pixels",
    "merged",
    "online_mean",
    "prepare_inputs",
    "reason_of_place",
    "reason_of_projection",
    "reason_of_unit",
    "safe_clip",
    "scaler_for",
    "static_sky",
    "strips",
    "warp_weight",
]
