"""The sky of a frame: what was subtracted, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from matplotlib.figure import Figure

from skyloom.images.mask_planes import bitmask
from skyloom.isr import bin_image

from .visit_products import FrameProducts
from .visit_style import (
    NEUTRAL,
    binning_of,
    colour_bar,
    extent_of,
    frame_panels,
    robust_scatter,
    show_frame,
    symmetric_limit,
)

if TYPE_CHECKING:
    from skyloom.images import Exposure

__all__ = ["SkyResidual", "sky_figure", "sky_residual", "subtracted_sky"]

_NO_SKY = ("BAD", "SAT", "INTRP", "CR", "DETECTED", "DETECTED_NEGATIVE", "SUSPECT", "NO_DATA", "EDGE")
_LEAST_SHARE = 0.2
"""Share of a block that must be sky."""
_BLOCKS = 24
"""Blocks along the shorter side of a frame."""
_LEVELS = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class SkyResidual:
    """What is left of the sky where no source was detected."""

    size: int
    """Side of a block, px."""
    mean: np.ndarray
    """Mean of the sky pixels of each block ``[row, column]``, in the unit of the image; NaN with too few of them."""
    error: np.ndarray
    """Error of the mean by the variance plane, independent pixels."""
    noise_ratio: float
    """Scatter of single sky pixels over that which the variance plane says."""

    @property
    def structure(self) -> float:
        """Scatter of the blocks in units of their errors: 1 for white noise, more for a sky that is not flat."""
        return robust_scatter(self.mean / self.error)


def sky_residual(exposure: Exposure) -> SkyResidual:
    """Means of a frame's sky pixels in square blocks."""
    image, variance = exposure.image.array, exposure.variance.array
    size = max(8, min(image.shape) // _BLOCKS)
    sky = ((exposure.bits & bitmask(*_NO_SKY)) == 0) & np.isfinite(image) & np.isfinite(variance)
    share = bin_image(sky.astype(np.float32), size)
    mean = bin_image(np.where(sky, image, np.float32(np.nan)), size)
    spread = bin_image(np.where(sky, variance, np.float32(np.nan)), size)
    mean[share < _LEAST_SHARE] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(spread / (share * size**2))
    thin = (slice(None, None, 3), slice(None, None, 3))
    kept = sky[thin]
    pull = image[thin][kept] / np.sqrt(variance[thin][kept])
    return SkyResidual(size=size, mean=mean, error=error, noise_ratio=robust_scatter(pull))


def subtracted_sky(products: FrameProducts) -> tuple[np.ndarray, int, str] | None:
    """The sky that was subtracted as means of blocks ``[row, column]``, the side of a block, and its unit."""
    entry = None if products.sky is None else products.sky.subtracted
    if entry is None:
        return None
    size = binning_of(products.shape)
    box = entry.field.bounds.bbox if products.exposure is None else products.exposure.bbox
    level = bin_image(entry.field.render(box, dtype=np.float32).array, size)
    return level, size, unit_text(entry.field.unit or products.background_unit)


def unit_text(unit: u.UnitBase | None) -> str:
    """A unit as axes show it."""
    if unit is None:
        return "unit of the pixels"
    return "e⁻" if unit == u.electron else str(unit)


def sky_figure(products: FrameProducts) -> Figure | None:
    """The subtracted sky with lines of equal level, and what is left of it in blocks; None where neither is known."""
    sky = subtracted_sky(products)
    residual = None if products.exposure is None else sky_residual(products.exposure)
    if sky is None and residual is None:
        return None
    shape, origin = products.shape, products.origin
    figure, panels = frame_panels(shape, 2)
    if sky is None:
        panels[0].text(0.5, 0.5, "no sky was\nsubtracted", ha="center", transform=panels[0].transAxes, color=NEUTRAL)
    else:
        level, size, unit = sky
        shown = panels[0].imshow(
            level, origin="lower", extent=extent_of(shape, origin, size), cmap="cividis", interpolation="nearest"
        )
        colour_bar(figure, panels[0], shown, f"sky ({unit} per px)")
        _draw_levels(panels[0], level, extent_of(shape, origin, size))
    show_frame(panels[0], shape, origin, "Subtracted sky")
    if residual is None:
        panels[1].text(0.5, 0.5, "no pixels", ha="center", transform=panels[1].transAxes, color=NEUTRAL)
    else:
        _draw_residual(figure, panels[1], products, residual)
    told = "" if residual is None else f": scatter {residual.structure:.2f} x the noise"
    show_frame(panels[1], shape, origin, f"Left of it{told}", first=False)
    return figure


def _draw_levels(axes: Any, level: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    """Lines of equal level with their values, where the sky is not constant."""
    low, high = float(np.nanmin(level)), float(np.nanmax(level))
    if not high - low > 1e-6 * max(abs(low), abs(high)):
        return
    lines = axes.contour(level, levels=_LEVELS, extent=extent, colors="white", linewidths=0.7)
    axes.clabel(lines, fontsize=7, fmt="%.4g")


def _draw_residual(figure: Figure, axes: Any, products: FrameProducts, residual: SkyResidual) -> None:
    assert products.exposure is not None
    limit = symmetric_limit(residual.mean, float(np.nanmin(residual.error, initial=np.inf)) or 1.0, 4.0)
    axes.set_facecolor("0.8")
    shown = axes.imshow(
        residual.mean,
        origin="lower",
        extent=extent_of(products.shape, products.origin, residual.size),
        cmap="PuOr",
        vmin=-limit,
        vmax=limit,
        interpolation="nearest",
    )
    label = f"mean of {residual.size} x {residual.size} px ({unit_text(products.exposure.unit)})"
    colour_bar(figure, axes, shown, label, extend="both")
