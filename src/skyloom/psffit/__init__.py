"""Selecting PSF stars and fitting a pixel-grid PSF to them."""

from .fit import fit_psf
from .select import SelectionSettings, select_psf_stars, single_pixel_sources
from .settings import PsfFit, PsfFitSettings, PsfResiduals

__all__ = [
    "PsfFit",
    "PsfFitSettings",
    "PsfResiduals",
    "SelectionSettings",
    "fit_psf",
    "select_psf_stars",
    "single_pixel_sources",
]
