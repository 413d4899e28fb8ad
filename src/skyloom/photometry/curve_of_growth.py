"""How much light of the stars lies outside an aperture, from the apertures that were measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from skyloom.catalog.columns import float_column

from .reference_aperture import aperture_radii, flag_name

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["GrowthCurve", "fit_growth_curve"]

_INNER_SIGMA = 2.0
"""Apertures inside so many PSF sigmas tell of the core, not of the wings."""
_N_ANNULI = 2
_START, _LOWER, _UPPER = (2.2, 3.0, 0.0), (0.3, 1.3, -np.inf), (10.0, 12.0, np.inf)
"""Scale in PSF sigmas, Moffat beta, sky."""


@dataclass(frozen=True, kw_only=True)
class GrowthCurve:
    """The light of a Moffat profile inside a circle: ``1 - (1 + (r / s)^2)^(1 - beta)`` with ``s = scale * sigma``."""

    scale: float
    """In units of the determinant radius of the PSF."""
    beta: float
    sky: float
    """Mean sky that is left under the stars, in the unit of the pixels."""

    def inside(self, radius: np.ndarray | float, sigma: np.ndarray | float) -> np.ndarray:
        """Share of the light within a radius of stars of a width, px."""
        return np.asarray(1.0 - (1.0 + (radius / (self.scale * np.asarray(sigma))) ** 2) ** (1.0 - self.beta))


def fit_growth_curve(table: Table, used: np.ndarray, reference: str, error_floor: float) -> GrowthCurve | None:
    """Fit the wings of the stars by those of a Moffat profile as wide as each of them.

    What is fitted are the fluxes in the annuli between neighbouring apertures in units of the flux in the reference
    aperture, of all stars together.  A sky that is left under the stars adds to an annulus by its area, the same for
    faint stars and bright ones, and is told from the wings by that.

    Parameters
    ----------
    table
        Sources with aperture fluxes, their errors, and moments.
    used
        ``bool[n]``: the stars, of clean apertures.
    reference
        Column of the flux in the reference aperture.
    error_floor
        Relative error added to every annulus.

    Returns
    -------
    curve
        None where fewer than two annuli lie in the wings, or no fit is found.
    """
    sigma = star_widths(table)
    radii = aperture_radii(table.colnames)
    rows = used & np.isfinite(sigma)
    if not rows.any():
        return None
    inner = _INNER_SIGMA * float(np.median(sigma[rows]))
    names = [name for radius, name in radii.items() if radius >= inner]
    for name in names:
        rows = rows & ~np.asarray(table[flag_name(name)], dtype=bool)
    if len(names) <= _N_ANNULI or rows.sum() < 3:
        return None
    edges = np.array([radius for radius, name in radii.items() if name in names])
    total = float_column(table, reference)[rows, None]
    flux = np.stack([float_column(table, name)[rows] for name in names], axis=1)
    noise = np.stack([float_column(table, f"{name}_err")[rows] for name in names], axis=1)
    shares = np.diff(flux, axis=1) / total
    error = np.hypot(np.sqrt(np.maximum(np.diff(noise**2, axis=1), 0.0)) / total, error_floor)
    reference_radius = next(radius for radius, name in radii.items() if name == reference)
    widths, area = sigma[rows, None], np.pi * np.diff(edges**2)

    def residual(parameters: np.ndarray) -> np.ndarray:
        curve = GrowthCurve(scale=parameters[0], beta=parameters[1], sky=parameters[2])
        inside = np.diff(curve.inside(edges, widths), axis=1) / curve.inside(reference_radius, widths)
        return np.asarray(((shares - inside - curve.sky * area / total) / error).ravel())

    found = least_squares(residual, _START, bounds=(_LOWER, _UPPER), loss="soft_l1", x_scale=(1.0, 1.0, 0.1))
    if not found.success:
        return None
    return GrowthCurve(scale=float(found.x[0]), beta=float(found.x[1]), sky=float(found.x[2]))


def star_widths(table: Table) -> np.ndarray:
    """Determinant radius of each source, px; NaN where its moments are not known."""
    xx, yy, xy = (float_column(table, name) for name in ("ixx", "iyy", "ixy"))
    determinant = xx * yy - xy**2
    return np.asarray(np.where(determinant > 0, np.abs(determinant) ** 0.25, np.nan))
