"""Instrument signature removal: from raw counts to electrons."""

from __future__ import annotations

from .correct import correct_raw
from .settings import InterpolationSettings, IsrSettings, OverscanMethod, OverscanSettings

__all__ = ["InterpolationSettings", "IsrSettings", "OverscanMethod", "OverscanSettings", "correct_raw"]
