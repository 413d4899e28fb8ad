"""Instrument signature removal: from raw counts to electrons."""

from __future__ import annotations

from .amplifier_offsets import AmplifierOffsets, AmplifierOffsetSettings, correct_offsets, measure_offsets
from .amplifiers import AmplifierLayout, layout_of, overscan_region
from .binning import bin_bits, bin_image
from .brighter_fatter import BrighterFatterSettings
from .correct import Step, Watch, correct_raw
from .crosstalk import CrosstalkSettings
from .crosstalk_matrix import CrosstalkMatrix
from .dark import dark_time, subtract_dark
from .defects import mark_defects
from .distortion import distorted_projection
from .edges import mark_edges
from .flat import divide_by_flat, flat_level, multiply_by_flat
from .frame import IsrFrame
from .fringe import FringeSettings
from .interpolation import interpolate_unusable
from .linearity import Linearity
from .linearity_kinds import linearity_of
from .masters import MasterPlanes, MasterSource, is_rate, master_planes
from .mode import PEDESTAL_ONLY, mode_cards
from .nominal import with_nominal
from .not_a_number import mark_not_a_number
from .overscan import OverscanLevel, fit_overscan, trimmed_overscan
from .pile_up import pile_up_level
from .plain_data import crosstalk_from_data, kernel_from_data, linearities_from_data
from .quality import QualitySettings, measure_background
from .readout import check_not_empty, read_out
from .saturation import grow, mark_above
from .settings import InterpolationSettings, IsrSettings, OverscanMethod, OverscanSettings
from .statistics import amplifier_statistics
from .thumbnail import ThumbnailSettings, thumbnail
from .transmission import TransmissionCurve, combined_transmission
from .transmission_data import transmission_from_data, transmission_to_data
from .vignette import VignetteSettings, unvignetted_field, valid_polygon
from .zero_point import RoughZeroPoint, ZeroPointSettings, rough_zero_point

__all__ = [
    "PEDESTAL_ONLY",
    "AmplifierLayout",
    "AmplifierOffsetSettings",
    "AmplifierOffsets",
    "BrighterFatterSettings",
    "CrosstalkMatrix",
    "CrosstalkSettings",
    "FringeSettings",
    "InterpolationSettings",
    "IsrFrame",
    "IsrSettings",
    "Linearity",
    "MasterPlanes",
    "MasterSource",
    "OverscanLevel",
    "OverscanMethod",
    "OverscanSettings",
    "QualitySettings",
    "RoughZeroPoint",
    "Step",
    "ThumbnailSettings",
    "TransmissionCurve",
    "VignetteSettings",
    "Watch",
    "ZeroPointSettings",
    "amplifier_statistics",
    "bin_bits",
    "bin_image",
    "check_not_empty",
    "combined_transmission",
    "correct_offsets",
    "correct_raw",
    "crosstalk_from_data",
    "dark_time",
    "distorted_projection",
    "divide_by_flat",
    "fit_overscan",
    "flat_level",
    "grow",
    "interpolate_unusable",
    "is_rate",
    "kernel_from_data",
    "layout_of",
    "linearities_from_data",
    "linearity_of",
    "mark_above",
    "mark_defects",
    "mark_edges",
    "mark_not_a_number",
    "master_planes",
    "measure_background",
    "measure_offsets",
    "mode_cards",
    "multiply_by_flat",
    "overscan_region",
    "pile_up_level",
    "read_out",
    "rough_zero_point",
    "subtract_dark",
    "thumbnail",
    "transmission_from_data",
    "transmission_to_data",
    "trimmed_overscan",
    "unvignetted_field",
    "valid_polygon",
    "with_nominal",
]
