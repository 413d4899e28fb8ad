"""Calibration frames and tables from raw frames."""

from __future__ import annotations

from .boxes import boxes_from_map, map_from_boxes
from .defects import DefectMap, find_defects
from .settings import DefectSettings

__all__ = ["DefectMap", "DefectSettings", "boxes_from_map", "find_defects", "map_from_boxes"]
