"""Selecting PSF stars and fitting a pixel-grid PSF to them."""

from .fit import fit_psf
from .piff_fit import PsfPiffSettings, fit_psf_with_piff
from .select import SelectionSettings, near_positions, select_psf_stars, single_pixel_sources
from .settings import PsfFit, PsfFitSettings, PsfResiduals

__all__ = [
    "PsfFit",
    "PsfFitSettings",
    "PsfPiffSettings",
    "PsfResiduals",
    "SelectionSettings",
    "fit_psf",
    "fit_psf_with_piff",
    "near_positions",
    "select_psf_stars",
    "single_pixel_sources",
]
