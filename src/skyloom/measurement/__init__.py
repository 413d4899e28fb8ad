"""Measurement: positions, shapes, fluxes and flags of detected sources."""

from .measure import measure_sources
from .selection import StarSelectionSettings, select_stars
from .settings import PSF_PASS_PLUGINS, STARS_PASS_PLUGINS, MeasurementSettings
from .sky_sources import SkySourceSettings, place_sky_sources

__all__ = [
    "PSF_PASS_PLUGINS",
    "STARS_PASS_PLUGINS",
    "MeasurementSettings",
    "SkySourceSettings",
    "StarSelectionSettings",
    "measure_sources",
    "place_sky_sources",
    "select_stars",
]
