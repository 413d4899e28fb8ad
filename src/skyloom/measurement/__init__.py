"""Measurement: positions, shapes, fluxes and flags of detected sources."""

from .measure import measure_sources
from .psf_size import psf_sigma_at
from .settings import MeasurementSettings

__all__ = ["MeasurementSettings", "measure_sources", "psf_sigma_at"]
