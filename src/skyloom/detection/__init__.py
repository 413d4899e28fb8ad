"""Detection: a matched filter, a threshold in sigma, footprints with peaks."""

from .adaptive import AdaptiveDetections, AdaptiveSettings, detect_adaptively
from .detect import Detections, DetectionSettings, detect_sources, find_sources

__all__ = [
    "AdaptiveDetections",
    "AdaptiveSettings",
    "DetectionSettings",
    "Detections",
    "detect_adaptively",
    "detect_sources",
    "find_sources",
]
