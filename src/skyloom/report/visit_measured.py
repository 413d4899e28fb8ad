"""The figures of a frame that a report judges, from its products."""

from __future__ import annotations

from typing import Any

import numpy as np

from skyloom.images.mask_planes import bitmask

from .visit_astrometry import match_residuals
from .visit_growth import growth_curve
from .visit_products import FrameProducts
from .visit_psf_values import model_shapes, star_shapes
from .visit_sky import sky_residual
from .visit_source_classes import SourceKind, source_kinds
from .visit_zero_point import magnitude_residuals

__all__ = ["measured"]

_UNUSABLE = ("BAD", "SAT", "NO_DATA", "UNMASKEDNAN", "VIGNETTED")
_OF_METADATA = {
    "n_psf_stars": "n_psf_stars",
    "psf_chi2": "psf_chi2_median",
    "psf_reserved_size_residual": "psf_reserved_size_residual_median",
    "aperture_correction_scatter": "psf_flux_aperture_correction_scatter",
    "astrometry_rms_px": "astrometry_rms_px",
    "astrometry_rms_arcsec": "astrometry_rms_arcsec",
    "astrometry_matched_fraction": "astrometry_matched_fraction",
    "astrometry_spread": "astrometry_spread",
    "zero_point_mag": "zero_point_mag",
    "zero_point_err_mag": "zero_point_err_mag",
    "zero_point_scatter_mag": "zero_point_scatter_mag",
    "sky_background": "sky_background",
    "sky_noise": "sky_noise",
    "n_sources": "n_sources",
}
"""Our name: that of the stages' metadata."""
_TILT_SIGMA = 4.0
_GRID = 5
"""Places along each side at which the PSF is looked at."""


def measured(products: FrameProducts) -> dict[str, float]:
    """All figures that the products allow, by name; those of the metadata, and others measured anew.

    What is missing is left out, so that a frame that failed has fewer figures.
    """
    values = {
        name: float(products.metadata[key])
        for name, key in _OF_METADATA.items()
        if isinstance(products.metadata.get(key), (int, float))
    }
    for part in (_of_pixels, _of_sources, _of_psf, _of_astrometry, _of_photometry):
        values |= {name: value for name, value in part(products).items() if name not in values}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _of_pixels(products: FrameProducts) -> dict[str, float]:
    if products.exposure is None:
        return {}
    bits = products.exposure.bits
    residual = sky_residual(products.exposure)
    return {
        "masked_fraction": np.count_nonzero(bits & bitmask(*_UNUSABLE)) / bits.size,
        "sky_structure": residual.structure,
        "sky_noise_ratio": residual.noise_ratio,
    }


def _of_sources(products: FrameProducts) -> dict[str, float]:
    if products.sources is None or len(products.sources) == 0:
        return {}
    kinds = source_kinds(products.sources, None)
    real = kinds != SourceKind.SKY
    doubtful = (kinds == SourceKind.FLAGGED) & real
    values = {"n_sources": float(real.sum())}
    return values | ({"flagged_fraction": float(doubtful.sum() / real.sum())} if real.any() else {})


def _of_psf(products: FrameProducts) -> dict[str, float]:
    values: dict[str, float] = {}
    stars = star_shapes(products)
    if stars is not None:
        chosen = stars.used | stars.reserved
        fwhm = stars.star.fwhm[chosen if chosen.any() else slice(None)]
        values |= {"fwhm_px": _median(fwhm), "psf_ellipticity": _median(stars.star.ellipticity[chosen])}
        if stars.used.any():
            values["n_psf_stars"] = float(stars.used.sum())
    if products.exposure is not None and products.exposure.psf is not None:
        (rows, columns), (x0, y0) = products.shape, products.origin
        along = (np.arange(_GRID) + 0.5) / _GRID
        x, y = (part.ravel() for part in np.meshgrid(x0 + columns * along, y0 + rows * along))
        model = model_shapes(products.exposure.psf, x, y)
        if np.isfinite(model.fwhm).any():
            middle = float(np.nanmedian(model.fwhm))
            values |= {
                "fwhm_px": middle,
                "fwhm_range": float(np.nanmax(model.fwhm) - np.nanmin(model.fwhm)) / middle,
                "psf_ellipticity": _median(model.ellipticity),
            }
    scale = products.arcsec_per_pixel
    if scale is not None and "fwhm_px" in values:
        values["fwhm_arcsec"] = scale * values["fwhm_px"]
    curve = growth_curve(products)
    if curve is not None and curve.model_at_radii.size:
        difference = np.abs(curve.median - curve.model_at_radii)
        if np.isfinite(difference).any():
            values["growth_difference"] = float(np.nanmax(difference))
    return values


def _of_astrometry(products: FrameProducts) -> dict[str, float]:
    matches = match_residuals(products)
    if matches is None or not matches.fitted.any():
        return {}
    rms_mas = float(np.hypot(matches.rms_mas("x"), matches.rms_mas("y"))) / np.sqrt(2.0)
    values: dict[str, Any] = {"astrometry_rms_arcsec": 1e-3 * rms_mas, "n_astrometry": float(matches.fitted.sum())}
    scale = products.arcsec_per_pixel
    return values | ({} if scale is None else {"astrometry_rms_px": 1e-3 * rms_mas / scale})


def _of_photometry(products: FrameProducts) -> dict[str, float]:
    values: dict[str, float] = {}
    if products.calibration is not None:
        values["zero_point_mag"] = products.calibration.zero_point_mag
        values["zero_point_err_mag"] = products.calibration.zero_point_mag_err
    stars = magnitude_residuals(products)
    if stars is None or not stars.used.any():
        return values
    tilt, error = stars.tilt()
    return values | {
        "zero_point_scatter_mag": stars.scatter,
        "zero_point_kept_fraction": 1.0 - float(stars.clipped.mean()),
        # A tilt that chance may make is none.
        "zero_point_tilt_mag": tilt if tilt > _TILT_SIGMA * error else 0.0,
        "n_photometry": float(stars.used.sum()),
    }


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
