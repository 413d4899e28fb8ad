"""Simulated surveys with truth: a sky, a described camera that looks at it, and the raw frames that it would write."""

from __future__ import annotations

from .mosaic import Mosaic
from .projection import TrueProjection
from .settings import CalibrationSettings, DetectorSettings, SkySettings, SurveySettings, VisitSettings
from .sky import make_reference_catalogue, make_sky, sky_at
from .survey import Survey, simulate_survey
from .visits import Visit, make_visits, visit_table

__all__ = [
    "CalibrationSettings",
    "DetectorSettings",
    "Mosaic",
    "SkySettings",
    "Survey",
    "SurveySettings",
    "TrueProjection",
    "Visit",
    "VisitSettings",
    "make_reference_catalogue",
    "make_sky",
    "make_visits",
    "simulate_survey",
    "sky_at",
    "visit_table",
]
