"""The curve of growth: the light of PSF stars within apertures, and what the PSF says of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from skyloom.catalog.columns import flag_column, float_column
from skyloom.errors import SkyloomError
from skyloom.kernels.apertures import aperture_sums
from skyloom.photometry import ApertureCorrectionSettings, reference_aperture
from skyloom.psf import psf_sigma, psf_stamps

from .visit_products import FrameProducts
from .visit_style import BAD, GOOD, NEUTRAL

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["GrowthCurve", "growth_curve", "growth_figure"]

_APERTURE = re.compile(r"aperture_flux_(\d+)_(\d+)$")
_FINE_RADII = 60
_HIGHEST_SHARE = 1.6
"""Neighbours may add any light to wide apertures; the figure does not follow them further."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GrowthCurve:
    """Light within apertures, in units of the corrected PSF flux, or without a PSF of the reference aperture."""

    radii: np.ndarray
    """Of the apertures that were measured, px."""
    stars: np.ndarray
    """``[star, radius]``."""
    total_radius: float
    """Within which light counts as all of a star's, px."""
    model_radii: np.ndarray
    model: np.ndarray
    """Of the PSF at the stars, over what its fluxes were corrected by; empty without a PSF."""
    model_at_radii: np.ndarray
    """The same at `radii`; NaN beyond the grid of the PSF, empty without one."""

    @property
    def median(self) -> np.ndarray:
        """Median of the stars at each radius."""
        return np.asarray(np.nanmedian(self.stars, axis=0))

    @property
    def error(self) -> np.ndarray:
        """Error of the median, from the quartiles of the stars."""
        low, high = np.nanpercentile(self.stars, [25, 75], axis=0)
        return np.asarray(1.2533 * 0.7413 * (high - low) / np.sqrt(np.sum(np.isfinite(self.stars), axis=0)))


def growth_curve(products: FrameProducts) -> GrowthCurve | None:
    """The curve of the stars that made or tested the PSF; None without them or without two apertures."""
    table = products.candidates
    if table is None or len(table) == 0:
        return None
    columns = {float(f"{found[1]}.{found[2]}"): name for name in table.colnames if (found := _APERTURE.match(name))}
    radius_of = {name: radius for radius, name in columns.items()}
    reference = _reference(products, table.colnames)
    if len(columns) < 2 or reference not in radius_of:
        return None
    good = flag_column(table, "calib_psf_used") | flag_column(table, "calib_psf_reserved")
    good &= ~flag_column(table, reference.replace("_flux_", "_flag_")) & (float_column(table, reference) > 0)
    with_psf = products.exposure is not None and products.exposure.psf is not None
    total = float_column(table, "psf_flux" if with_psf else reference)
    good &= total > 0
    if not good.any():
        return None
    radii = np.array(sorted(columns))
    stars = np.stack([_sums(table, columns[radius])[good] / total[good] for radius in radii], axis=1)
    fine, model, at_radii = _model(products, radii, good)
    return GrowthCurve(
        radii=radii,
        stars=stars,
        total_radius=float(products.metadata.get("total_radius_px", radius_of[reference])),
        model_radii=fine,
        model=model,
        model_at_radii=at_radii,
    )


def _sums(table: Table, name: str) -> np.ndarray:
    """Sums within an aperture as they were measured, NaN where pixels are missing."""
    correction = f"{name}_aperture_correction"
    factor = float_column(table, correction) if correction in table.colnames else 1.0
    flagged = flag_column(table, name.replace("_flux_", "_flag_"))
    return np.where(flagged, np.nan, float_column(table, name) / factor)


def growth_figure(products: FrameProducts) -> Figure | None:
    """The curve, and below it the stars minus the PSF; None without stars."""
    curve = growth_curve(products)
    if curve is None:
        return None
    figure = Figure(figsize=(9.6, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    above.plot(curve.radii, curve.stars.T, "-", color=NEUTRAL, lw=0.4, alpha=0.4)
    above.plot([], [], "-", color=NEUTRAL, lw=0.6, label=f"{len(curve.stars)} PSF stars")
    above.errorbar(curve.radii, curve.median, curve.error, fmt="o", color=GOOD, ms=5, capsize=2, label="their median")
    if curve.model.size:
        above.plot(curve.model_radii, curve.model, "-", color=BAD, lw=1.4, label="PSF / aperture correction")
    low, high = float(np.nanmin(curve.median)), float(np.nanmax(curve.median))
    above.set(
        ylabel="share of the corrected PSF flux" if curve.model.size else "share of the reference aperture",
        ylim=(max(0.0, low - 0.15), min(max(1.1, high + 0.05), _HIGHEST_SHARE)),
    )
    for axes in (above, below):
        axes.axvline(curve.total_radius, color="black", ls="--", lw=1.0, label="all of the light")
        axes.axhline(1.0 if axes is above else 0.0, color=NEUTRAL, lw=0.8)
    if curve.model_at_radii.size:
        difference = 100.0 * (curve.median - curve.model_at_radii)
        below.errorbar(curve.radii, difference, 100.0 * curve.error, fmt="o-", color=GOOD, ms=5, lw=1.0, capsize=2)
    else:
        below.text(0.5, 0.5, "no PSF to compare with", ha="center", transform=below.transAxes, color=NEUTRAL)
    below.set(
        xlabel="radius of the aperture (px)",
        ylabel="stars - PSF (%)",
        xlim=(0.0, 1.06 * max(float(curve.radii.max()), curve.total_radius)),
    )
    scale = products.arcsec_per_pixel
    if scale is not None:
        top = above.secondary_xaxis("top", functions=(lambda r: r * scale, lambda r: r / scale))
        top.set_xlabel("arcsec", fontsize="small")
    above.legend(loc="lower right", fontsize="small")
    return figure


def _reference(products: FrameProducts, columns: list[str]) -> str:
    """The aperture that fluxes were corrected to, or would be."""
    told = str(products.metadata.get("reference_aperture", ""))
    if told:
        return told
    sigma = 2.0 if products.exposure is None or products.exposure.psf is None else psf_sigma(products.exposure.psf)
    try:
        return reference_aperture(columns, sigma, ApertureCorrectionSettings())
    except SkyloomError:
        return ""


def _model(products: FrameProducts, radii: np.ndarray, good: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radii as far as the grid of the PSF goes, its light within them, and that within the measured apertures."""
    table, exposure = products.candidates, products.exposure
    assert table is not None
    if exposure is None or exposure.psf is None:
        return np.empty(0), np.empty(0), np.empty(0)
    stamps, _, _ = psf_stamps(
        exposure.psf, float_column(table, "x")[good], float_column(table, "y")[good], centred=True
    )
    stamp = np.nanmean(stamps, axis=0)
    half = float(stamp.shape[0] // 2)
    fine = np.linspace(half / _FINE_RADII, half, _FINE_RADII)
    middle = np.array([half])
    none = np.zeros_like(stamp)
    correction = 1.0
    if "psf_flux_aperture_correction" in table.colnames:
        correction = float(np.nanmedian(float_column(table, "psf_flux_aperture_correction")[good]))
    curves = [
        aperture_sums(stamp, none, none.astype(bool), middle, middle, some)[0][0] / correction
        for some in (fine, np.minimum(radii, half))
    ]
    return fine, curves[0], np.where(radii <= half, curves[1], np.nan)
