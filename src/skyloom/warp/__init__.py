"""Warping: frames resampled onto the pixel grid of a tract."""

from .exposure import empty_exposure, warp_exposure
from .inputs import INPUT_COLUMNS, input_box, input_polygon
from .mapping import PixelMapping, map_positions, overlap_box, pixel_mapping
from .match_kernel import MatchingKernel
from .match_settings import PsfMatchSettings
from .matched_visit import MatchedWarp, match_visit_warp
from .noise import masked_share, noise_realisation, typical_variance
from .psf_match import match_psf
from .recalibrate import add_background, calibration_ratio, recalibrate, subtract_background
from .seeing import (
    BestSeeingSettings,
    SeeingQuantileSettings,
    select_best_seeing,
    select_seeing_quantile,
    visit_fwhm,
)
from .selection import FALLBACK, PsfSelectionSettings, Selection, select_frames
from .settings import KERNELS, WarpSettings
from .streaming import StreamedWarp
from .visit import VisitWarp

__all__ = [
    "FALLBACK",
    "INPUT_COLUMNS",
    "KERNELS",
    "BestSeeingSettings",
    "MatchedWarp",
    "MatchingKernel",
    "PixelMapping",
    "PsfMatchSettings",
    "PsfSelectionSettings",
    "SeeingQuantileSettings",
    "Selection",
    "StreamedWarp",
    "VisitWarp",
    "WarpSettings",
    "add_background",
    "calibration_ratio",
    "empty_exposure",
    "input_box",
    "input_polygon",
    "map_positions",
    "masked_share",
    "match_psf",
    "match_visit_warp",
    "noise_realisation",
    "overlap_box",
    "pixel_mapping",
    "recalibrate",
    "select_best_seeing",
    "select_frames",
    "select_seeing_quantile",
    "subtract_background",
    "typical_variance",
    "visit_fwhm",
    "warp_exposure",
]
