"""The columns that the deblender gives to each peak."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.table import Column, Table

__all__ = ["make_deblend_table"]

_PX = u.pix
_COLUMNS: tuple[tuple[str, str, u.UnitBase | str | None, str], ...] = (
    ("deblend_n_peaks", "i4", None, "Number of peaks of the footprint."),
    ("deblend_is_psf", "?", None, "The peak got the template of a star: the PSF fits the image there."),
    ("deblend_psf_x", "f8", _PX, "Column of the PSF fitted to the peak; NaN where the peak was not tested."),
    ("deblend_psf_y", "f8", _PX, "Row of the PSF fitted to the peak."),
    ("deblend_psf_flux", "f8", "flux", "Flux of the PSF fitted to the peak, with its neighbours and a pedestal."),
    ("deblend_psf_chi2", "f4", None, "Chi squared over degrees of freedom of that fit."),
    ("deblend_flux", "f8", "flux", "Sum of the light of the source."),
    ("deblend_flux_fraction", "f4", None, "That sum over the sum of the image in the footprint."),
    ("deblend_neighbour_fraction", "f4", None, "Share of other sources in the light under the source's own profile."),
    ("flag_deblend_ramped", "?", None, "Pixels without any mirror, beside an edge or a gap, are in the template."),
    ("flag_deblend_patched", "?", None, "Pixels mirrored across a line, beside an edge or a gap, are in the template."),
    ("flag_deblend_stray", "?", None, "Light that no template claimed was added to the source."),
    ("flag_deblend_failed", "?", None, "The template came out empty; a faint star at the peak took its place."),
    ("flag_deblend_skipped", "?", None, "The footprint has several peaks and was not deblended: all hold all of it."),
    ("flag_deblend_too_many_peaks", "?", None, "It was skipped for its number of peaks."),
    ("flag_deblend_too_big", "?", None, "It was skipped for its area."),
    ("flag_deblend_masked", "?", None, "It was skipped for its share of missing pixels."),
)


def make_deblend_table(n: int, flux_unit: u.UnitBase) -> Table:
    """A table of ``n`` peaks that are alone in their footprints: numbers NaN or 0, no flag set."""
    table = Table()
    for name, dtype, unit, text in _COLUMNS:
        fill = np.nan if dtype.startswith("f") else 0
        real_unit = flux_unit if isinstance(unit, str) else unit
        table[name] = Column(np.full(n, fill, dtype=dtype), unit=real_unit, description=text)
    table["deblend_n_peaks"][:] = 1
    table["deblend_flux_fraction"][:] = 1.0
    table["deblend_neighbour_fraction"][:] = 0.0
    return table
