"""Maps of a coadd: depth and number of warps, the PSF, mask planes and what was clipped in single visits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from skyloom.images.mask_planes import bitmask
from skyloom.isr import bin_bits, bin_image

from .patch_depth import PatchMaps
from .patch_inputs_table import VisitRecord
from .patch_measured import PLANES
from .patch_products import BandProducts
from .patch_psf_map import PsfMap
from .visit_style import BAD, GOOD, HEADROOM, binning_of, colour_bar, extent_of, frame_panels, key_place, show_frame
from .whiskers import draw_whiskers

__all__ = ["clipped_figure", "depth_figure", "plane_figure", "psf_figure"]

_NOTHING = "0.88"
_MOST_LEVELS = 12
_PLANE_COLOURS = {"INEXACT_PSF": "#CC79A7", "SENSOR_EDGE": "#E69F00", "REJECTED": GOOD, "CLIPPED": BAD}
"""The first are drawn first: the later ones say why."""
_VISIT_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C564B")
_OTHER_VISITS = "0.5"


def depth_figure(products: BandProducts, maps: PatchMaps) -> Figure | None:
    """Depth, and the number of warps; None where neither is known."""
    if not maps.depths.size and maps.count is None:
        return None
    figure, panels = frame_panels(products.shape, 2)
    extent = extent_of(products.shape, products.origin, maps.binning)
    for axes in panels:
        axes.set_facecolor(_NOTHING)
    if maps.depth is not None and maps.depths.size:
        low, high = np.percentile(maps.depths, [1, 99])
        shown = panels[0].imshow(
            maps.depth, origin="lower", extent=extent, cmap="cividis", vmin=low, vmax=max(high, low + 0.02)
        )
        colour_bar(figure, panels[0], shown, "5 sigma of a point source (AB mag)", extend="both")
        title = f"depth: median {np.median(maps.depths):.2f} mag"
    else:
        _say(panels[0], "no PSF:\nno depth")
        title = "depth"
    show_frame(panels[0], products.shape, products.origin, title)
    if maps.count is None:
        _say(panels[1], "not written")
    else:
        _draw_count(figure, panels[1], maps.count, extent)
    show_frame(panels[1], products.shape, products.origin, "warps in each pixel", first=False)
    return figure


def psf_figure(products: BandProducts, psf: PsfMap) -> Figure:
    """Ellipticity of the PSF as whiskers, and its FWHM."""
    figure, (left, right) = frame_panels(products.shape, 2, headroom=HEADROOM)
    left.set_facecolor(_NOTHING)
    left.imshow(
        np.where(np.isfinite(psf.area), 1.0, float(_NOTHING)),
        origin="lower",
        extent=extent_of(products.shape, products.origin, 1),
        cmap="gray",
        vmin=0.0,
        vmax=1.0,
        interpolation="nearest",
    )
    place = key_place(products.shape, products.origin)
    draw_whiskers(left, (psf.x, psf.y), (psf.e1, psf.e2), GOOD, place, scale=16.0, width=0.005)
    known = np.isfinite(psf.ellipticity)
    middle = f": median {np.median(psf.ellipticity[known]):.3f}" if known.any() else ""
    show_frame(left, products.shape, products.origin, f"ellipticity of the PSF{middle}", headroom=HEADROOM)
    fwhm, unit = psf.fwhm * products.scale_arcsec, "arcsec"
    if not np.isfinite(products.scale_arcsec):
        fwhm, unit = psf.fwhm, "px"
    right.set_facecolor(_NOTHING)
    if np.isfinite(fwhm).any():
        low, high = np.nanpercentile(fwhm, [1, 99])
        shown = right.imshow(
            fwhm,
            origin="lower",
            extent=extent_of(products.shape, products.origin, 1),
            cmap="cividis",
            vmin=low,
            vmax=max(high, 1.002 * low),
            interpolation="nearest",
        )
        colour_bar(figure, right, shown, f"FWHM ({unit})", extend="both")
        title = f"FWHM of the PSF: median {np.nanmedian(fwhm):.3g} {unit}"
    else:
        title = "FWHM of the PSF"
    show_frame(right, products.shape, products.origin, title, first=False, headroom=HEADROOM)
    return figure


def plane_figure(products: BandProducts) -> Figure | None:
    """Where the planes that the assembly sets are; None where nothing is filled."""
    assert products.coadd is not None
    filled = products.filled
    if not filled.any():
        return None
    binning = binning_of(products.shape)
    bits = bin_bits(np.where(filled, products.coadd.bits, 0), binning)
    picture = np.full((*bits.shape, 3), float(_NOTHING))
    picture[bin_image(filled.astype(np.float32), binning) > 0.0] = 1.0
    for name, colour in _PLANE_COLOURS.items():
        picture[bits & bitmask(name) != 0] = _rgb(colour)
    figure, (axes, key) = frame_panels(products.shape, 1, bars=False, side=3.0)
    axes.imshow(picture, origin="lower", extent=extent_of(products.shape, products.origin, binning))
    show_frame(axes, products.shape, products.origin, "what the assembly marked")
    shares = {
        name: 100.0 * np.count_nonzero((products.coadd.bits & bitmask(name) != 0) & filled) / filled.sum()
        for name in PLANES
    }
    handles = [
        Patch(facecolor=colour, label=f"{name}: {shares[name]:.3g} %")
        for name, colour in reversed(_PLANE_COLOURS.items())
    ]
    handles.append(Patch(facecolor=_NOTHING, label=f"no data: {100.0 * (1.0 - filled.mean()):.3g} % of the patch"))
    key.set_axis_off()
    key.legend(handles=handles, loc="upper left", frameon=False, borderaxespad=0.0, fontsize="small")
    return figure


def clipped_figure(products: BandProducts, visits: Sequence[VisitRecord]) -> Figure | None:
    """Outlines of what was clipped in single visits, a colour a visit for those with most; None without masks."""
    ordered = sorted(
        (one for one in visits if one.visit in products.clipped and one.clipped_px > 0),
        key=lambda one: (-one.clipped_px, one.visit),
    )
    if not ordered:
        return None
    binning = binning_of(products.shape)
    extent = extent_of(products.shape, products.origin, binning)
    figure, (axes, key) = frame_panels(products.shape, 1, bars=False, side=3.0)
    filled = bin_image(products.filled.astype(np.float32), binning) > 0.0
    axes.imshow(np.where(filled, 1.0, float(_NOTHING)), origin="lower", extent=extent, cmap="gray", vmin=0.0, vmax=1.0)
    handles = []
    # Those with most come last, so that nothing hides them.
    for place, one in reversed(list(enumerate(ordered))):
        colour = _VISIT_COLOURS[place] if place < len(_VISIT_COLOURS) else _OTHER_VISITS
        _outline(axes, products, one.visit, binning, colour)
        if place < len(_VISIT_COLOURS):
            label = f"visit {one.visit}: {one.clipped_px:,.0f} px in {one.regions:.0f} region"
            handles.append(Patch(facecolor=colour, label=label + ("s" if one.regions != 1 else "")))
    handles.reverse()
    if len(ordered) > len(_VISIT_COLOURS):
        handles.append(Patch(facecolor=_OTHER_VISITS, label=f"{len(ordered) - len(_VISIT_COLOURS)} other visits"))
    show_frame(axes, products.shape, products.origin, "clipped in single visits")
    key.set_axis_off()
    key.legend(handles=handles, loc="upper left", frameon=False, borderaxespad=0.0, fontsize="small")
    return figure


def _outline(axes: Axes, products: BandProducts, visit: int, binning: int, colour: str) -> None:
    assert products.coadd is not None
    clipped = np.pad(bin_bits(products.clipped[visit].to_mask(products.coadd.bbox), binning), 1).astype(np.float32)
    along = [
        start + 0.5 * (binning - 1) + binning * (np.arange(number) - 1.0)
        for start, number in zip(products.origin, clipped.shape[::-1], strict=True)
    ]
    axes.contourf(*along, clipped, levels=[0.5, 1.5], colors=[colour], alpha=0.3)
    axes.contour(*along, clipped, levels=[0.5], colors=[colour], linewidths=1.0)


def _draw_count(figure: Figure, axes: Axes, count: np.ndarray, extent: Any) -> None:
    deepest = max(round(float(count.max())), 1)
    shown_count = np.ma.masked_equal(count, 0.0)
    look: dict[str, Any] = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
    if deepest <= _MOST_LEVELS:
        colours = ListedColormap(colormaps["cividis"](np.linspace(0.0, 1.0, deepest)))
        norm = BoundaryNorm(np.arange(deepest + 1) + 0.5, deepest)
        # Blocks at a border have fewer than one on the mean.
        shown = axes.imshow(np.ma.maximum(shown_count, 0.51), cmap=colours, norm=norm, **look)
        figure.colorbar(
            shown,
            cax=axes.inset_axes((1.03, 0.0, 0.05, 1.0)),
            label="warps",
            ticks=MaxNLocator(integer=True).tick_values(1, deepest),
        )
    else:
        shown = axes.imshow(shown_count, cmap="cividis", vmin=0.0, vmax=deepest, **look)
        colour_bar(figure, axes, shown, "warps")


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[place : place + 2], 16) / 255.0 for place in (1, 3, 5))
    return red, green, blue


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color="0.4")
