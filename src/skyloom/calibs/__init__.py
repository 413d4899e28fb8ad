"""Calibration frames and tables from raw frames."""

from __future__ import annotations

from .bias import make_bias
from .boxes import boxes_from_map, map_from_boxes
from .brighter_fatter_kernel import make_brighter_fatter_kernel
from .crosstalk import measure_crosstalk
from .dark import make_dark
from .defects import DefectMap, find_defects
from .flat import make_flat
from .frames import Raw
from .fringe import make_fringe
from .linearizer import make_linearizer
from .master import Master, master_image
from .pair_measurements import Measured
from .pair_settings import KernelSettings, LinearizerSettings, PairSettings, PtcSettings
from .ptc import make_ptc
from .settings import DefectSettings, MasterSettings
from .sky_flat import make_sky_flat
from .sky_settings import CrosstalkMasterSettings, FringeMasterSettings, SkyFlatSettings

__all__ = [
    "CrosstalkMasterSettings",
    "DefectMap",
    "DefectSettings",
    "FringeMasterSettings",
    "KernelSettings",
    "LinearizerSettings",
    "Master",
    "MasterSettings",
    "Measured",
    "PairSettings",
    "PtcSettings",
    "Raw",
    "SkyFlatSettings",
    "boxes_from_map",
    "find_defects",
    "make_bias",
    "make_brighter_fatter_kernel",
    "make_dark",
    "make_flat",
    "make_fringe",
    "make_linearizer",
    "make_ptc",
    "make_sky_flat",
    "map_from_boxes",
    "master_image",
    "measure_crosstalk",
]
