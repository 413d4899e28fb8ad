"""Aperture corrections and photometric zero points."""

from .aperture_correction_settings import ApertureCorrection, ApertureCorrectionSettings
from .aperture_corrections import aperture_corrections, apply_aperture_corrections, flag_correction_stars
from .colour_terms import ColourTerm, ColourTermError, ColourTermLibrary
from .curve_of_growth import GrowthCurve, fit_growth_curve
from .reference_aperture import reference_aperture
from .reference_fluxes import reference_fluxes
from .reserve import reserve_stars
from .star_apertures import GROWTH_RADII, StarApertures
from .total_fluxes import TotalFluxes, total_fluxes
from .zero_point import fit_zero_point
from .zero_point_settings import ZeroPoint, ZeroPointSettings

__all__ = [
    "GROWTH_RADII",
    "ApertureCorrection",
    "ApertureCorrectionSettings",
    "ColourTerm",
    "ColourTermError",
    "ColourTermLibrary",
    "GrowthCurve",
    "StarApertures",
    "TotalFluxes",
    "ZeroPoint",
    "ZeroPointSettings",
    "aperture_corrections",
    "apply_aperture_corrections",
    "fit_growth_curve",
    "fit_zero_point",
    "flag_correction_stars",
    "reference_aperture",
    "reference_fluxes",
    "reserve_stars",
    "total_fluxes",
]
