"""Aperture corrections and photometric zero points."""

from .aperture_corrections import (
    ApertureCorrection,
    ApertureCorrectionSettings,
    aperture_corrections,
    apply_aperture_corrections,
    reference_aperture,
)
from .colour_terms import ColourTerm
from .zero_point import ZeroPoint, ZeroPointSettings, fit_zero_point, reference_fluxes

__all__ = [
    "ApertureCorrection",
    "ApertureCorrectionSettings",
    "ColourTerm",
    "ZeroPoint",
    "ZeroPointSettings",
    "aperture_corrections",
    "apply_aperture_corrections",
    "fit_zero_point",
    "reference_aperture",
    "reference_fluxes",
]
