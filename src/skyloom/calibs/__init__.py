"""Calibration frames and tables from raw frames."""

from __future__ import annotations

from .bias import make_bias
from .boxes import boxes_from_map, map_from_boxes
from .dark import make_dark
from .defects import DefectMap, find_defects
from .flat import make_flat
from .frames import Raw
from .master import Master, master_image
from .settings import DefectSettings, MasterSettings

__all__ = [
    "DefectMap",
    "DefectSettings",
    "Master",
    "MasterSettings",
    "Raw",
    "boxes_from_map",
    "find_defects",
    "make_bias",
    "make_dark",
    "make_flat",
    "map_from_boxes",
    "master_image",
]
