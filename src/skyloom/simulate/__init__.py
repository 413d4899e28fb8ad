"""Simulated surveys with truth: a sky, a camera that looks at it, and the raw frames it would write."""

from __future__ import annotations

from .projection import TrueProjection
from .settings import DetectorSettings, SkySettings, SurveySettings, VisitSettings
from .sky import make_reference_catalogue, make_sky
from .survey import Survey, simulate_survey
from .visits import Visit, make_visits, visit_table

__all__ = [
    "DetectorSettings",
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
    "visit_table",
]
