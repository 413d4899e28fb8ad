"""Fluxes of reference stars in the filter of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.catalog.columns import float_column
from skyloom.catalog.refcat import filter_names
from skyloom.errors import NoReferenceError

from .zero_point_settings import ZeroPointSettings

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["reference_fluxes"]


def reference_fluxes(reference: Table, filter_name: str, settings: ZeroPointSettings) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes and errors (nJy) of reference stars in a filter, by column ``flux_<filter_name>``, colour term applied.

    Raises
    ------
    NoReferenceError
        If the catalogue lacks the filter.
    ColourTermError
        If it lacks the second filter of the colour term.
    """
    column = f"flux_{filter_name}"
    if column not in reference.colnames:
        known = sorted(filter_names(reference))
        raise NoReferenceError(
            f"The reference catalogue has no filter {filter_name!r}, only {', '.join(known) or 'none'}.",
            cure="Name one of these as the filter's reference in the camera description.",
            keyword=column,
        )
    flux = float_column(reference, column)
    error = float_column(reference, f"{column}_err") if f"{column}_err" in reference.colnames else np.zeros_like(flux)
    for term in settings.colour_terms:
        if term.filter_name == filter_name:
            return term.apply(reference, flux, error)
    return flux, error
