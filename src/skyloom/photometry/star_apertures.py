"""Light of stars within circles that follow the width of the PSF."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["GROWTH_RADII", "StarApertures"]

GROWTH_RADII = (2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0)
"""Radii of the circles, in PSF sigmas: the light outside the last is extrapolated."""


@dataclass(frozen=True, kw_only=True)
class StarApertures:
    """Fluxes of some rows of a source table in circles, freed of their neighbours."""

    rows: np.ndarray
    """``int[star]``: rows of the table."""
    widths: np.ndarray
    """``[star]`` determinant radius of the PSF there, px: the unit of the radii."""
    radii: np.ndarray
    """``[radius]``, in units of the widths, ascending."""
    flux: np.ndarray
    """``[star, radius]``, in the unit of the image."""
    error: np.ndarray
    """Of the flux, from the noise of the pixels."""
    psf_flux: np.ndarray
    """``[star]`` of the same stars."""
    usable: np.ndarray
    """``bool[star]``: no pixel of any circle is missing."""
    sky_noise: float
    """Standard deviation of a pixel of the sky."""
