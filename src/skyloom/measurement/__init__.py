"""Measurement: positions, shapes, fluxes and flags of detected sources."""

from .measure import measure_sources
from .settings import MeasurementSettings

__all__ = ["MeasurementSettings", "measure_sources"]
