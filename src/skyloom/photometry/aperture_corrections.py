"""Aperture corrections: what multiplies a flux measurement to the flux in the reference aperture.

The reference aperture defines what "total" means in skyloom: the light of a star inside it.  A zero point that is
fitted to corrected fluxes therefore refers to that aperture, and cancels what falls outside of it for all stars.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from lsst.images.fields import ChebyshevField

from skyloom.catalog.columns import flag_column, float_column
from skyloom.errors import PhotometryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astropy.table import Table
    from lsst.images import Bounds
    from lsst.images.fields import Field

__all__ = [
    "ApertureCorrection",
    "ApertureCorrectionSettings",
    "aperture_corrections",
    "apply_aperture_corrections",
    "reference_aperture",
]

_APERTURE = re.compile(r"aperture_flux_(\d+)_(\d+)$")


@dataclass(frozen=True, kw_only=True)
class ApertureCorrectionSettings:
    """How aperture corrections are measured."""

    reference_radius: float | None = None
    """Radius of the reference aperture, pixels: one that was measured.  None takes the smallest that reaches
    `reference_radius_sigma`."""
    reference_radius_sigma: float = 7.0
    """Least radius of the reference aperture in units of the PSF's determinant radius."""
    fluxes: tuple[str, ...] = ("psf_flux",)
    """Fluxes to correct."""
    signal_to_noise_min: float = 100.0
    """Cut on the star's reference flux, where enough stars pass it."""
    n_wanted: int = 10
    """The brightest of so many stars are taken, whatever their signal-to-noise ratio."""
    n_min: int = 2
    order: int = 2
    """Highest total degree of the Chebyshev field; lower where there are few stars."""
    stars_a_term: float = 4.0
    n_sigma: float = 4.0
    n_iterations: int = 4


@dataclass(frozen=True, kw_only=True)
class ApertureCorrection:
    """The correction of one flux."""

    field: Field
    """Multiplies the flux to the flux in the reference aperture."""
    scatter: float
    """Robust standard deviation of the ratio of single stars about the field."""
    used: np.ndarray
    """``bool[n]``: rows of the table that made it."""
    reference: str
    """Column of the reference flux."""


def reference_aperture(columns: list[str], psf_sigma: float, settings: ApertureCorrectionSettings) -> str:
    """Name of the aperture flux among the table's columns to which all fluxes are corrected.

    Parameters
    ----------
    columns
        Columns of the source table.
    psf_sigma
        Determinant radius of the PSF, pixels.

    Raises
    ------
    PhotometryError
        If the table has no aperture flux, or not the one asked for.
    """
    radii = {float(f"{match[1]}.{match[2]}"): name for name in columns if (match := _APERTURE.match(name))}
    if not radii:
        raise PhotometryError("The source table holds no aperture flux.", cure="Measure some apertures.")
    if settings.reference_radius is not None:
        if settings.reference_radius not in radii:
            raise PhotometryError(
                f"No aperture of {settings.reference_radius:g} pixels was measured, only {sorted(radii)}.",
                cure="Set reference_radius to one of them.",
                keyword="reference_radius",
            )
        return radii[settings.reference_radius]
    reach = [radius for radius in radii if radius >= settings.reference_radius_sigma * psf_sigma]
    return radii[min(reach) if reach else max(radii)]


def aperture_corrections(
    table: Table,
    stars: np.ndarray,
    bounds: Bounds,
    psf_sigma: float,
    settings: ApertureCorrectionSettings | None = None,
) -> dict[str, ApertureCorrection]:
    """Measure the correction of each flux on the stars that made the PSF.

    The ratio of reference flux to flux, clipped about a low-order Chebyshev field whose constant is shifted at the
    end so that the median residual is zero.

    Parameters
    ----------
    table
        Sources with ``x``, ``y``, the fluxes and their errors.
    stars
        ``bool[n]``: isolated point sources, usually those that made the PSF.
    bounds
        Region of the field.
    psf_sigma
        Determinant radius of the PSF, pixels: chooses the reference aperture.

    Returns
    -------
    dict
        Keyed by the name of the flux column.

    Raises
    ------
    PhotometryError
        If fewer than ``n_min`` stars have both fluxes.
    """
    settings = settings or ApertureCorrectionSettings()
    reference = reference_aperture(table.colnames, psf_sigma, settings)
    return {name: _correction(table, stars, name, reference, bounds, settings) for name in settings.fluxes}


def apply_aperture_corrections(table: Table, corrections: Mapping[str, Field]) -> None:
    """Multiply each flux and its error by its correction at the source, in place.

    The factor is kept in a column ``<flux>_aperture_correction``; a table that holds it was corrected already.

    Raises
    ------
    ValueError
        If the table was corrected already.
    """
    for name, field in corrections.items():
        record = f"{name}_aperture_correction"
        if record in table.colnames:
            raise ValueError(f"{name} was corrected already: the table holds {record}.")
        factor = np.asarray(field(x=float_column(table, "x"), y=float_column(table, "y")), dtype=np.float64)
        for column in (name, f"{name}_err"):
            table[column][:] = float_column(table, column) * factor
        table[record] = factor
        table[record].description = f"Factor that {name} and its error were multiplied by"


def _correction(
    table: Table, stars: np.ndarray, name: str, reference: str, bounds: Bounds, settings: ApertureCorrectionSettings
) -> ApertureCorrection:
    flux, total, error = (float_column(table, column) for column in (name, reference, f"{reference}_err"))
    usable = stars & np.isfinite(flux) & (flux > 0) & np.isfinite(total) & (total > 0)
    for flag in (f"flag_{name}", reference.replace("_flux_", "_flag_")):
        usable &= ~flag_column(table, flag)
    used = _bright(usable, total, error, settings)
    if used.sum() < settings.n_min:
        raise PhotometryError(
            f"Only {int(used.sum())} stars have both {name} and {reference}; {settings.n_min} are needed for the "
            "aperture correction.",
            cure="Choose a smaller reference_radius, or leave this frame out.",
            n_stars=int(used.sum()),
        )
    ratio = np.where(used, total / np.where(used, flux, 1.0), np.nan)
    field, scatter, used = _clipped_field(
        float_column(table, "x"), float_column(table, "y"), ratio, used, bounds, settings
    )
    return ApertureCorrection(field=field, scatter=scatter, used=used, reference=reference)


def _bright(
    usable: np.ndarray, total: np.ndarray, error: np.ndarray, settings: ApertureCorrectionSettings
) -> np.ndarray:
    """Stars above the signal-to-noise cut, or the brightest ``n_wanted``."""
    with np.errstate(invalid="ignore", divide="ignore"):
        quality = np.where(usable & (error > 0), total / error, -np.inf)
    ranked = np.sort(quality)[::-1]
    cut = min(settings.signal_to_noise_min, ranked[min(settings.n_wanted, ranked.size) - 1])
    return np.asarray(usable & (quality >= max(cut, 0.0)))


def _clipped_field(
    x: np.ndarray,
    y: np.ndarray,
    ratio: np.ndarray,
    used: np.ndarray,
    bounds: Bounds,
    settings: ApertureCorrectionSettings,
) -> tuple[ChebyshevField, float, np.ndarray]:
    """Fit, reject, refit; returns the field, the scatter about it, and the stars that remained."""
    field = ChebyshevField(bounds, np.array([[np.median(ratio[used])]]))
    scatter = 0.0
    for _ in range(settings.n_iterations):
        residual = ratio - field(x=x, y=y)
        scatter = 1.4826 * float(np.median(np.abs(residual[used]))) + 1e-7
        kept = used & (np.abs(residual) <= settings.n_sigma * scatter)
        if kept.sum() < settings.n_min:
            break
        used = kept
        order = _order(int(used.sum()), settings)
        field = ChebyshevField.fit(bounds, ratio[used], order, x=x[used], y=y[used])
    residual = ratio - field(x=x, y=y)
    coefficients = np.array(field.coefficients)
    coefficients[0, 0] += np.median(residual[used])
    return ChebyshevField(bounds, coefficients), scatter, used


def _order(n_stars: int, settings: ApertureCorrectionSettings) -> int:
    """The highest degree whose every term has enough stars."""
    affordable = [d for d in range(settings.order + 1) if n_stars >= settings.stars_a_term * (d + 1) * (d + 2) / 2]
    return max(affordable, default=0)
