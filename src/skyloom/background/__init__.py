"""Sky background: a robust mesh under a smooth surface, of one frame or of all detectors of a camera."""

from .fit import Background, BackgroundSettings, fit_background
from .focal_plane import DetectorSky, VisitSky, fit_focal_plane
from .focal_plane_settings import FocalPlaneSettings
from .make_sky_frame import SkyFrames, SkyFrameSettings, make_sky_frame
from .render import render_field
from .settle import SettledBackground, SettleSettings, settle_background
from .sky_cells import Placement, SkyBinSettings, SkyCells, bin_sky
from .sky_correction import apply_sky_correction, make_sky_correction, sky_field
from .sky_frame import SkyFrame, from_frame_map, to_frame_map
from .sky_tables import from_cells_table, to_cells_table, visit_sky_table
from .subtract import subtract_background

__all__ = [
    "Background",
    "BackgroundSettings",
    "DetectorSky",
    "FocalPlaneSettings",
    "Placement",
    "SettleSettings",
    "SettledBackground",
    "SkyBinSettings",
    "SkyCells",
    "SkyFrame",
    "SkyFrameSettings",
    "SkyFrames",
    "VisitSky",
    "apply_sky_correction",
    "bin_sky",
    "fit_background",
    "fit_focal_plane",
    "from_cells_table",
    "from_frame_map",
    "make_sky_correction",
    "make_sky_frame",
    "render_field",
    "settle_background",
    "sky_field",
    "subtract_background",
    "to_cells_table",
    "to_frame_map",
    "visit_sky_table",
]
