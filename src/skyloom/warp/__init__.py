"""Warping: frames resampled onto the pixel grid of a tract."""

from .exposure import empty_exposure, warp_exposure
from .mapping import PixelMapping, map_positions, overlap_box, pixel_mapping
from .settings import KERNELS, WarpSettings
from .visit import VisitWarp

__all__ = [
    "KERNELS",
    "PixelMapping",
    "VisitWarp",
    "WarpSettings",
    "empty_exposure",
    "map_positions",
    "overlap_box",
    "pixel_mapping",
    "warp_exposure",
]
