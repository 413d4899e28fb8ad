"""The photometric zero point of a frame, from stars of a reference catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom.catalog.columns import float_column
from skyloom.errors import NoReferenceError, PhotometryError
from skyloom.images.photo_calib import AB_ZERO_POINT_NJY, PhotoCalib

from .colour_terms import ColourTerm

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["ZeroPoint", "ZeroPointSettings", "fit_zero_point", "reference_fluxes"]

_MAG = 2.5 / np.log(10.0)


@dataclass(frozen=True, kw_only=True)
class ZeroPointSettings:
    """How the zero point is fitted."""

    match_radius_arcsec: float = 1.0
    """Greatest distance between a source and its reference star."""
    n_min: int = 3
    """Fewer matched stars than this raise `PhotometryError`."""
    n_sigma: float = 3.0
    scatter_max_mag: float = 0.25
    """No star is kept that is further off than ``n_sigma`` times this."""
    n_iterations: int = 20
    error_floor_mag: float = 0.01
    """Added in quadrature to every star's error, so that a few very bright ones do not decide alone."""
    signal_to_noise_min: float = 10.0
    """Cut on the source's flux."""
    colour_terms: tuple[ColourTerm, ...] = ()
    """From the reference system to the camera's, by filter; none means that the systems are taken as one."""


@dataclass(frozen=True, kw_only=True)
class ZeroPoint:
    """A fitted zero point."""

    photo_calib: PhotoCalib
    zero_point_mag: float
    """AB magnitude of one instrumental electron."""
    zero_point_mag_err: float
    """Standard error of the weighted mean."""
    scatter_mag: float
    """Robust standard deviation of the stars that were kept."""
    used: np.ndarray
    """``bool[n]`` along the matched stars."""

    @property
    def n_stars(self) -> int:
        """Number of stars that were kept."""
        return int(self.used.sum())


def reference_fluxes(reference: Table, filter_name: str, settings: ZeroPointSettings) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes and errors (nJy) of reference stars in a filter, by column ``flux_<filter_name>``, colour term applied.

    Raises
    ------
    NoReferenceError
        If the catalogue lacks the filter.
    """
    column = f"flux_{filter_name}"
    if column not in reference.colnames:
        known = sorted(n[5:] for n in reference.colnames if n.startswith("flux_") and not n.endswith("_err"))
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


def fit_zero_point(
    flux: np.ndarray,
    flux_err: np.ndarray,
    reference_flux: np.ndarray,
    reference_flux_err: np.ndarray,
    settings: ZeroPointSettings | None = None,
) -> ZeroPoint:
    """The zero point that brings instrumental fluxes to the reference's.

    Each star gives the difference of its catalogue and its instrumental magnitude.  Starting at their median, stars
    that are further off than ``n_sigma`` of their own error, scaled to the scatter that is seen, are clipped until
    nothing changes; the answer is the mean of the rest weighted by their errors.

    Parameters
    ----------
    flux, flux_err
        Instrumental fluxes of the matched sources, corrected to the reference aperture.
    reference_flux, reference_flux_err
        Catalogue fluxes of the same stars, nJy; errors that are not positive and finite count as none.

    Raises
    ------
    PhotometryError
        If fewer than ``n_min`` stars have usable fluxes, or survive the clipping.
    """
    settings = settings or ZeroPointSettings()
    with np.errstate(invalid="ignore", divide="ignore"):
        usable = (flux > 0) & (reference_flux > 0) & (flux_err > 0) & np.isfinite(flux_err)
        usable &= flux >= settings.signal_to_noise_min * flux_err
        difference = AB_ZERO_POINT_NJY - 2.5 * np.log10(reference_flux) + 2.5 * np.log10(flux)
        given = np.where(np.isfinite(reference_flux_err) & (reference_flux_err > 0), reference_flux_err, 0.0)
        variance = _MAG**2 * ((flux_err / flux) ** 2 + (given / reference_flux) ** 2) + settings.error_floor_mag**2
    usable &= np.isfinite(difference) & np.isfinite(variance)
    _require(int(usable.sum()), flux.size, "have usable fluxes", settings)
    used, spread = _clip(difference, np.sqrt(variance), usable, settings)
    _require(int(used.sum()), flux.size, "agree with one another", settings)
    weight = 1.0 / variance[used]
    mean = float(np.sum(weight * difference[used]) / np.sum(weight))
    error = float(max(spread, 1.0) * np.sum(weight) ** -0.5)
    return ZeroPoint(
        photo_calib=PhotoCalib.from_zero_point(mean, error),
        zero_point_mag=mean,
        zero_point_mag_err=error,
        scatter_mag=1.4826 * float(np.median(np.abs(difference[used] - mean))),
        used=used,
    )


def _clip(
    difference: np.ndarray, error: np.ndarray, usable: np.ndarray, settings: ZeroPointSettings
) -> tuple[np.ndarray, float]:
    """Stars that agree with the median within their errors, ``bool[n]``, and the scatter in units of the errors.

    Where the stars scatter more than their errors say, all errors are scaled up.
    """
    used = usable.copy()
    spread = 1.0
    for _ in range(settings.n_iterations):
        residual = difference - np.median(difference[used])
        spread = 1.4826 * float(np.median(np.abs(residual / error)[used]))
        limit = settings.n_sigma * np.minimum(max(spread, 1.0) * error, settings.scatter_max_mag)
        kept = usable & (np.abs(residual) <= limit)
        if not kept.any() or np.array_equal(kept, used):
            break
        used = kept
    return used, spread


def _require(n: int, n_matched: int, what: str, settings: ZeroPointSettings) -> None:
    if n < settings.n_min:
        raise PhotometryError(
            f"Only {n} of {n_matched} matched stars {what}; {settings.n_min} are needed.",
            cure="Check the reference catalogue's depth and filter, or leave this frame out.",
            n_matched=n_matched,
            n_stars=n,
        )
