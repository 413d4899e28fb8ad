"""Shapes of PSF stars and of the PSF at their places, and the mean stamp of what the PSF leaves of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom.catalog.columns import flag_column, float_column
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.moments import shapes
from skyloom.psf import psf_sigma, psf_stamps

from .visit_products import FrameProducts

if TYPE_CHECKING:
    from lsst.images.psfs import PointSpreadFunction

__all__ = ["MeanStamps", "Shapes", "StarShapes", "mean_stamps", "model_shapes", "star_shapes"]

_FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
_UNUSABLE = ("BAD", "SAT", "INTRP", "CR", "NO_DATA")
_FARTHEST_SHIFT = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Shapes:
    """Adaptive moments as size and ellipticity; NaN where there are none."""

    fwhm: np.ndarray
    """That of a Gaussian with the same determinant of moments, px."""
    e1: np.ndarray
    """(Ixx - Iyy) / (Ixx + Iyy)."""
    e2: np.ndarray
    """2 Ixy / (Ixx + Iyy)."""

    @classmethod
    def of(cls, xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> Shapes:
        """From second moments, px^2."""
        with np.errstate(invalid="ignore", divide="ignore"):
            determinant, trace = xx * yy - xy**2, xx + yy
            valid = (determinant > 0) & (trace > 0)
            return cls(
                fwhm=_FWHM_OF_SIGMA * np.where(valid, determinant, np.nan) ** 0.25,
                e1=np.where(valid, (xx - yy) / trace, np.nan),
                e2=np.where(valid, 2.0 * xy / trace, np.nan),
            )

    @property
    def ellipticity(self) -> np.ndarray:
        """Length of (e1, e2)."""
        return np.asarray(np.hypot(self.e1, self.e2))


@dataclass(frozen=True, kw_only=True, eq=False)
class StarShapes:
    """PSF stars beside the PSF at their places, one entry a candidate."""

    x: np.ndarray
    y: np.ndarray
    magnitude: np.ndarray
    star: Shapes
    model: Shapes | None
    """None without a PSF."""
    used: np.ndarray
    """Bool: fitted by the PSF."""
    reserved: np.ndarray
    """Bool: kept out of the fit to test it."""

    @property
    def size_residual(self) -> np.ndarray:
        """Relative difference of the sizes, star minus PSF; NaN without a PSF."""
        if self.model is None:
            return np.full(len(self.x), np.nan)
        return np.asarray(self.star.fwhm / self.model.fwhm - 1.0)

    @property
    def e1_residual(self) -> np.ndarray:
        """Star minus PSF."""
        return np.full(len(self.x), np.nan) if self.model is None else np.asarray(self.star.e1 - self.model.e1)

    @property
    def e2_residual(self) -> np.ndarray:
        """Star minus PSF."""
        return np.full(len(self.x), np.nan) if self.model is None else np.asarray(self.star.e2 - self.model.e2)


def model_shapes(psf: PointSpreadFunction, x: np.ndarray, y: np.ndarray, *, centred: bool = True) -> Shapes:
    """Adaptive moments of the PSF at positions x, y (px), of its pixels as those of stars are."""
    stamps, x0, y0 = psf_stamps(psf, x, y, centred=centred)
    middle = float(stamps.shape[1] // 2)
    at_x = np.full(len(stamps), middle) if centred else np.asarray(x, dtype=np.float64) - x0
    at_y = np.full(len(stamps), middle) if centred else np.asarray(y, dtype=np.float64) - y0
    moments, sigma = np.full((len(stamps), 3), np.nan), psf_sigma(psf)
    for number, stamp in enumerate(stamps):
        place = slice(number, number + 1)
        moments[number] = shapes(stamp, np.zeros_like(stamp), at_x[place], at_y[place], sigma, _FARTHEST_SHIFT)[0][0]
    return Shapes.of(*moments.T)


def star_shapes(products: FrameProducts) -> StarShapes | None:
    """The candidates of the PSF with their shapes; None where there are none.

    Columns ``psf_ixx``, ``psf_iyy`` and ``psf_ixy`` are taken where they were measured, else the PSF is measured.
    """
    table = products.candidates
    if table is None or len(table) == 0:
        return None
    x, y = float_column(table, "x"), float_column(table, "y")
    psf = None if products.exposure is None else products.exposure.psf
    model = None
    if {"psf_ixx", "psf_iyy", "psf_ixy"} <= set(table.colnames):
        model = Shapes.of(*(float_column(table, f"psf_{name}") for name in ("ixx", "iyy", "ixy")))
    if psf is not None and (model is None or not np.isfinite(model.fwhm).any()):
        model = model_shapes(psf, x, y, centred=False)
    return StarShapes(
        x=x,
        y=y,
        magnitude=products.magnitudes(table),
        star=Shapes.of(*(float_column(table, name) for name in ("ixx", "iyy", "ixy"))),
        model=model if model is not None and np.isfinite(model.fwhm).any() else None,
        used=flag_column(table, "calib_psf_used"),
        reserved=flag_column(table, "calib_psf_reserved"),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class MeanStamps:
    """Stamps ``[y, x]`` about stars, each star of unit flux, medians over the stars; in units of the PSF's peak."""

    n: int
    star: np.ndarray
    model: np.ndarray
    residual: np.ndarray
    """Median of star minus PSF."""


def mean_stamps(products: FrameProducts, chosen: np.ndarray) -> MeanStamps | None:
    """What the PSF leaves of some of the candidates, ``bool[n]``; None without pixels, PSF or stars.

    The PSF is made at the place of each star, so that nothing is resampled; medians leave neighbours out.
    """
    table, exposure = products.candidates, products.exposure
    if table is None or exposure is None or exposure.psf is None:
        return None
    rows = np.flatnonzero(chosen & np.isfinite(float_column(table, "x")) & np.isfinite(float_column(table, "y")))
    if rows.size == 0:
        return None
    stamps, x0, y0 = psf_stamps(exposure.psf, float_column(table, "x")[rows], float_column(table, "y")[rows])
    data = np.full(stamps.shape, np.nan)
    for number, (left, bottom) in enumerate(zip(x0, y0, strict=True)):
        pixels = _cut(products, int(left), int(bottom), stamps.shape[1])
        # The flux that fits this PSF best, whatever the table's flux was corrected to.
        known = np.isfinite(pixels) & np.isfinite(stamps[number])
        norm = float(np.sum(stamps[number][known] ** 2))
        flux = float(np.sum(pixels[known] * stamps[number][known])) / norm if norm > 0 else 0.0
        if flux > 0:
            data[number] = pixels / flux
    good = np.isfinite(data).any(axis=(1, 2))
    if not good.any():
        return None
    model = np.median(stamps[good], axis=0)
    peak = float(model.max())
    # Some pixel may be unusable in every star.
    with np.errstate(invalid="ignore"):
        star, residual = (
            np.ma.median(np.ma.masked_invalid(part), axis=0).filled(np.nan)
            for part in (data[good], data[good] - stamps[good])
        )
    return MeanStamps(n=int(good.sum()), star=star / peak, model=model / peak, residual=residual / peak)


def _cut(products: FrameProducts, left: int, bottom: int, size: int) -> np.ndarray:
    """Pixels about a star, float64 ``[y, x]``; NaN where they are unusable or outside the frame."""
    exposure = products.exposure
    assert exposure is not None
    rows, columns = exposure.image.array.shape
    x0, y0 = products.origin
    found = np.full((size, size), np.nan)
    y, x = bottom - y0, left - x0
    top, right = min(y + size, rows), min(x + size, columns)
    part = slice(max(y, 0), max(top, 0)), slice(max(x, 0), max(right, 0))
    pixels = exposure.image.array[part].astype(np.float64)
    pixels[(exposure.bits[part] & bitmask(*_UNUSABLE)) != 0] = np.nan
    found[
        part[0].start - y : part[0].start - y + pixels.shape[0], part[1].start - x : part[1].start - x + pixels.shape[1]
    ] = pixels
    return found
