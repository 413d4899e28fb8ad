"""Detection: a matched filter, a threshold in sigma, footprints with peaks."""

from .detect import DetectionSettings, detect_sources

__all__ = ["DetectionSettings", "detect_sources"]
