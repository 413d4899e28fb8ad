"""The photometric zero point of a frame, from stars of a reference catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import PhotometryError
from skyloom.images.photo_calib import AB_ZERO_POINT_NJY, PhotoCalib

from .chebyshev_fit import ChebyshevFit
from .densest import densest_value
from .reserve import reserve_stars
from .zero_point_field import best_magnitude_field, flux_factor, variation
from .zero_point_settings import ZeroPoint, ZeroPointSettings

if TYPE_CHECKING:
    from lsst.images import Box

__all__ = ["fit_zero_point"]

_MAG = 2.5 / np.log(10.0)


def fit_zero_point(
    flux: np.ndarray,
    flux_err: np.ndarray,
    reference_flux: np.ndarray,
    reference_flux_err: np.ndarray,
    settings: ZeroPointSettings | None = None,
    *,
    x: np.ndarray | None = None,
    y: np.ndarray | None = None,
    box: Box | None = None,
    seed: int = 0,
) -> ZeroPoint:
    """The zero point that brings instrumental fluxes to the reference's.

    Each star gives the difference of its catalogue and its instrumental magnitude.  Starting where most of them lie,
    stars that are further off the median than ``n_sigma`` of their own error, scaled to the scatter that is seen, are
    clipped until nothing changes; the answer is the mean of the rest weighted by their errors.

    Parameters
    ----------
    flux, flux_err
        Instrumental fluxes of the matched sources, corrected to the reference aperture.
    reference_flux, reference_flux_err
        Catalogue fluxes of the same stars, nJy; errors that are not positive and finite count as none.
    x, y, box
        Positions of the sources and the box of the frame, px: what a zero point that varies needs.
    seed
        Of the choice of reserved stars.

    Raises
    ------
    PhotometryError
        If fewer than ``n_min`` stars have usable fluxes, or survive the clipping.
    """
    settings = settings or ZeroPointSettings()
    difference, error, usable = _differences(flux, flux_err, reference_flux, reference_flux_err, settings)
    _require(int(usable.sum()), flux.size, "have usable fluxes", settings)
    reserved = reserve_stars(usable, settings.reserve_fraction, seed, n_left=settings.n_min)
    used, spread = _clip(difference, error, usable & ~reserved, settings)
    _require(int(used.sum()), flux.size, "agree with one another", settings)
    field: ChebyshevFit | None = None
    varying = np.zeros_like(difference)
    if settings.spatial_order > 0 and x is not None and y is not None and box is not None:
        field = best_magnitude_field(difference, error, (x, y), used, reserved, box, settings)
        varying = variation(field, x, y)
        used, spread = _clip(difference - varying, error, usable & ~reserved, settings)
        _require(int(used.sum()), flux.size, "agree with one another", settings)
    weight = error[used] ** -2
    mean = float(np.sum(weight * (difference - varying)[used]) / np.sum(weight))
    mean_err = float(max(spread, 1.0) * np.sum(weight) ** -0.5)
    photo_calib = _photo_calib(mean, mean_err, field)
    residual = difference - varying - mean
    offset, scatter = _test(residual, reserved, settings)
    return ZeroPoint(
        photo_calib=photo_calib,
        zero_point_mag=photo_calib.zero_point_mag if photo_calib.spatial is not None else mean,
        zero_point_mag_err=mean_err,
        scatter_mag=1.4826 * float(np.median(np.abs(residual[used]))),
        used=used,
        reserved=reserved,
        reserved_offset_mag=offset,
        reserved_scatter_mag=scatter,
        spatial_order=0 if field is None else field.order,
    )


def _differences(
    flux: np.ndarray,
    flux_err: np.ndarray,
    reference_flux: np.ndarray,
    reference_flux_err: np.ndarray,
    settings: ZeroPointSettings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Catalogue less instrumental magnitude of each star, its error, and whether both can be used."""
    with np.errstate(invalid="ignore", divide="ignore"):
        usable = (flux > 0) & (reference_flux > 0) & (flux_err > 0) & np.isfinite(flux_err)
        usable &= flux >= settings.signal_to_noise_min * flux_err
        difference = AB_ZERO_POINT_NJY - 2.5 * np.log10(reference_flux) + 2.5 * np.log10(flux)
        given = np.where(np.isfinite(reference_flux_err) & (reference_flux_err > 0), reference_flux_err, 0.0)
        variance = _MAG**2 * ((flux_err / flux) ** 2 + (given / reference_flux) ** 2) + settings.error_floor_mag**2
    usable &= np.isfinite(difference) & np.isfinite(variance)
    return difference, np.sqrt(variance), usable


def _clip(
    difference: np.ndarray, error: np.ndarray, usable: np.ndarray, settings: ZeroPointSettings
) -> tuple[np.ndarray, float]:
    """Stars that agree with the median within their errors, ``bool[n]``, and the scatter in units of the errors.

    The first median is that of the stars around the densest value, so that wrong matches have no part in it.  Where
    the stars scatter more than their errors say, all errors are scaled up.
    """
    start = densest_value(difference[usable], settings.scatter_max_mag)
    used = usable & (np.abs(difference - start) <= settings.scatter_max_mag)
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


def _photo_calib(mean: float, mean_err: float, field: ChebyshevFit | None) -> PhotoCalib:
    """The calibration of a mean zero point and its variation over the frame, both in magnitudes."""
    constant = PhotoCalib.from_zero_point(mean, mean_err)
    if field is None or field.order == 0:
        return constant
    spatial, average = flux_factor(field)
    return PhotoCalib(constant.calibration_mean * average, constant.calibration_err * average, spatial)


def _test(residual: np.ndarray, reserved: np.ndarray, settings: ZeroPointSettings) -> tuple[float, float]:
    """Median and robust scatter of the reserved stars, without those so far off that they must be wrong matches."""
    tested = residual[reserved & (np.abs(residual) <= settings.scatter_max_mag)]
    if tested.size == 0:
        return float("nan"), float("nan")
    median = float(np.median(tested))
    return median, 1.4826 * float(np.median(np.abs(tested - median)))


def _require(n: int, n_matched: int, what: str, settings: ZeroPointSettings) -> None:
    if n < settings.n_min:
        raise PhotometryError(
            f"Only {n} of {n_matched} matched stars {what}; {settings.n_min} are needed.",
            cure="Check the reference catalogue's depth and filter, or leave this frame out.",
            n_matched=n_matched,
            n_stars=n,
        )
