"""Aperture corrections: what multiplies a flux measurement to the total flux.

"Total" is the light of a star within a number of PSF sigmas, by its curve of growth, or that in the reference aperture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Column

from skyloom.catalog.columns import flag_column, float_column
from skyloom.errors import PhotometryError

from .aperture_correction_settings import ApertureCorrection, ApertureCorrectionSettings
from .clipped_field import clipped_field
from .reference_aperture import flag_name, reference_aperture
from .total_fluxes import TotalFluxes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astropy.table import Table
    from lsst.images import Bounds
    from lsst.images.fields import Field

__all__ = ["aperture_corrections", "apply_aperture_corrections", "flag_correction_stars"]


def aperture_corrections(
    table: Table,
    stars: np.ndarray,
    bounds: Bounds,
    psf_sigma: float,
    settings: ApertureCorrectionSettings | None = None,
    *,
    total: TotalFluxes | None = None,
) -> dict[str, ApertureCorrection]:
    """Measure the correction of each flux on the stars that made the PSF.

    The ratio of total flux to flux, clipped about a low-order Chebyshev field whose constant is shifted at the
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
    total
        Total fluxes of the stars; those in the reference aperture without them.

    Returns
    -------
    dict
        Keyed by the name of the flux column; without those that may fail, and did.

    Raises
    ------
    PhotometryError
        If fewer than ``n_min`` stars have a flux and the reference flux, for a flux that may not fail.
    """
    settings = settings or ApertureCorrectionSettings()
    reference = reference_aperture(table.colnames, psf_sigma, settings)
    found = {}
    for name in settings.fluxes:
        if name not in table.colnames:
            continue
        try:
            found[name] = _correction(table, stars, name, reference, total, bounds, settings)
        except PhotometryError:
            if name not in settings.allow_failure:
                raise
    return found


def apply_aperture_corrections(table: Table, corrections: Mapping[str, Field], expected: Sequence[str] = ()) -> None:
    """Multiply each flux and its error by its correction at the source, in place.

    The factor is kept in a column ``<flux>_aperture_correction``; a table that holds it was corrected already.  Where
    the factor is not finite and positive, flux and error become NaN, ``flag_<flux>_aperture_correction`` and the
    flux's own flag are set.

    Parameters
    ----------
    table
        Sources.
    corrections
        Field of each flux.
    expected
        Fluxes that should have one: those of the table that have none stay as they are, and all their rows get
        ``flag_<flux>_aperture_correction``.

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
        good = np.isfinite(factor) & (factor > 0)
        factor = np.where(good, factor, np.nan)
        for column in (name, f"{name}_err"):
            table[column][:] = float_column(table, column) * factor
        table[record] = factor
        table[record].description = f"Factor that {name} and its error were multiplied by"
        _flag(table, name, ~good)
        if flag_name(name) in table.colnames:
            table[flag_name(name)] |= ~good
    for name in expected:
        if name in table.colnames and name not in corrections:
            _flag(table, name, np.ones(len(table), dtype=bool))


def flag_correction_stars(table: Table, corrections: Mapping[str, ApertureCorrection]) -> None:
    """Say in columns ``calib_<flux>_aperture_correction_used`` which sources made the corrections."""
    for name, correction in corrections.items():
        table[f"calib_{name}_aperture_correction_used"] = Column(
            correction.used, description=f"Fitted by the aperture correction of {name}."
        )


def _correction(
    table: Table,
    stars: np.ndarray,
    name: str,
    reference: str,
    known: TotalFluxes | None,
    bounds: Bounds,
    settings: ApertureCorrectionSettings,
) -> ApertureCorrection:
    flux = float_column(table, name)
    if known is None:
        total, error = float_column(table, reference), float_column(table, f"{reference}_err")
    else:
        total, error = known.flux, known.error
    usable = stars & np.isfinite(flux) & (flux > 0) & np.isfinite(total) & (total > 0)
    for flag in (flag_name(name), *(() if known else (flag_name(reference),))):
        usable &= ~flag_column(table, flag)
    used = _bright(usable, total, error, settings)
    if used.sum() < settings.n_min:
        raise PhotometryError(
            f"Only {int(used.sum())} stars have both {name} and a total flux; {settings.n_min} are needed for the "
            "aperture correction.",
            cure="Choose a smaller reference_radius, or leave this frame out.",
            flux=name,
            n_stars=int(used.sum()),
            n_candidates=int(stars.sum()),
            n_min=settings.n_min,
        )
    ratio = np.where(used, total / np.where(used, flux, 1.0), np.nan)
    spread = np.where(used, np.hypot(error / np.where(used, total, 1.0), settings.error_floor), np.inf)
    field, scatter, used = clipped_field(
        float_column(table, "x"),
        float_column(table, "y"),
        ratio,
        spread,
        used,
        bounds,
        settings,
        0 if name in settings.constant else settings.order,
    )
    outside = (float("nan") if settings.extrapolate else 0.0) if known is None else known.light_outside
    return ApertureCorrection(field=field, scatter=scatter, used=used, reference=reference, light_outside=outside)


def _bright(
    usable: np.ndarray, total: np.ndarray, error: np.ndarray, settings: ApertureCorrectionSettings
) -> np.ndarray:
    """Stars above the signal-to-noise cut, or the brightest ``n_wanted``."""
    with np.errstate(invalid="ignore", divide="ignore"):
        quality = np.where(usable & (error > 0), total / error, -np.inf)
    ranked = np.sort(quality)[::-1]
    cut = min(settings.signal_to_noise_min, ranked[min(settings.n_wanted, ranked.size) - 1])
    return np.asarray(usable & (quality >= max(cut, 0.0)))


def _flag(table: Table, name: str, values: np.ndarray) -> None:
    """Set the flag of a correction."""
    text = f"{name} has no aperture correction, or none that can be used."
    table[f"flag_{name}_aperture_correction"] = Column(values, description=text)
