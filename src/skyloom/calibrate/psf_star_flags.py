"""Flags of the PSF stars, carried from the table in which they were chosen to a later one."""

from __future__ import annotations

import numpy as np
from astropy.table import Column, Table

from skyloom.catalog.columns import float_column
from skyloom.catalog.matching import match_pixels
from skyloom.errors import NoSourcesError

__all__ = ["carry_psf_flags"]

_PREFIX = "calib_"


def carry_psf_flags(psf_stars: Table, stars: Table, radius_px: float = 3.0) -> int:
    """Give the sources of a later table the ``calib_...`` flags of the PSF stars at their places.

    A PSF star and a source are one where each is the other's nearest, so that no two stars claim one source.

    Parameters
    ----------
    psf_stars
        Table with ``x``, ``y`` and boolean columns whose names begin with ``calib_``.
    stars
        The later table, changed in place: it gets the columns, false where no PSF star is.
    radius_px
        Largest distance of a match.

    Returns
    -------
    int
        Number of PSF stars that were found again.

    Raises
    ------
    NoSourcesError
        If there are PSF stars, and none of them is found.
    """
    first, second, _ = match_pixels(
        float_column(psf_stars, "x"),
        float_column(psf_stars, "y"),
        float_column(stars, "x"),
        float_column(stars, "y"),
        radius_px,
    )
    if len(psf_stars) and not first.size:
        raise NoSourcesError(
            f"None of the {len(psf_stars)} PSF stars is among the {len(stars)} sources of the frame.",
            cure="Look at the detection of the frame: its threshold, and what it masks.",
            n_psf_stars=len(psf_stars),
            n_stars=len(stars),
        )
    for name in (name for name in psf_stars.colnames if name.startswith(_PREFIX)):
        values = np.zeros(len(stars), dtype=bool)
        values[second] = np.asarray(psf_stars[name], dtype=bool)[first]
        stars[name] = Column(values, description=psf_stars[name].description)
    return int(first.size)
