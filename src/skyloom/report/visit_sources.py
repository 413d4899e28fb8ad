"""Pictures of a frame: its pixels with the mask planes in colour, and its sources with a mark for each kind."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from skyloom.catalog.columns import float_column
from skyloom.images.mask_planes import bitmask
from skyloom.isr import bin_bits, bin_image

from .isr_profiles import plane_counts
from .visit_products import FrameProducts
from .visit_source_classes import SourceKind, source_kinds
from .visit_style import binning_of, extent_of, frame_panels, show_frame

__all__ = ["image_figure", "source_figure"]

_PLANES = {
    "DETECTED": "#56B4E9",
    "DETECTED_NEGATIVE": "#0072B2",
    "EDGE": "#999999",
    "SUSPECT": "#F0E442",
    "CROSSTALK": "#F0E442",
    "STREAK": "#F0E442",
    "INTRP": "#009E73",
    "BAD": "#E69F00",
    "CR": "#CC79A7",
    "SAT": "#D55E00",
    "NO_DATA": "#332288",
}
"""Colour of each plane, in the order of painting."""
_MARKS: dict[SourceKind, tuple[str, str]] = {
    SourceKind.FAINT: (".", "#777777"),
    SourceKind.STAR: ("o", "#0072B2"),
    SourceKind.EXTENDED: ("s", "#D55E00"),
    SourceKind.BLENDED: ("D", "#009E73"),
    SourceKind.FLAGGED: ("x", "#CC79A7"),
    SourceKind.SATURATED: ("^", "#000000"),
    SourceKind.SKY: ("+", "#E69F00"),
}
_ZOOM = 360
"""Side of the enlarged part, px."""
_TOP_PERCENTILE = 99.7
_LEAST_TOP_SIGMA = 20.0


def image_figure(products: FrameProducts) -> Figure | None:
    """The image in an asinh stretch, alone and with the mask planes in colour; None without pixels."""
    if products.exposure is None:
        return None
    exposure, shape, origin = products.exposure, products.shape, products.origin
    size = binning_of(shape)
    grey = stretched(bin_image(exposure.image.array, size))
    figure, panels = frame_panels(shape, 2, bars=False, side=1.7)
    extent = extent_of(shape, origin, size)
    for axes in panels[:2]:
        axes.imshow(grey, origin="lower", extent=extent, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    counts = plane_counts(exposure.bits)
    shown = {name: colour for name, colour in _PLANES.items() if name in counts}
    panels[1].imshow(_painted(exposure.bits, size, shown), origin="lower", extent=extent, interpolation="nearest")
    show_frame(panels[0], shape, origin, "Image")
    show_frame(panels[1], shape, origin, "Image and mask", first=False)
    handles = [Patch(color=colour, label=f"{name}\n{counts[name]:,} px") for name, colour in shown.items()]
    _legend(panels[2], handles)
    return figure


def source_figure(products: FrameProducts) -> Figure | None:
    """The image with a mark for each source, and its most crowded part enlarged; None without sources or pixels."""
    if products.exposure is None or products.sources is None or len(products.sources) == 0:
        return None
    exposure, shape, origin = products.exposure, products.shape, products.origin
    kinds = source_kinds(products.sources, exposure.psf)
    x, y = float_column(products.sources, "x"), float_column(products.sources, "y")
    figure, panels = frame_panels(shape, 2, bars=False, side=1.7)
    size = binning_of(shape)
    _grey(panels[0], stretched(bin_image(exposure.image.array, size)), extent_of(shape, origin, size))
    zoom = _crowded_part(x, y, shape, origin)
    (x0, y0), (rows, columns) = zoom
    panels[0].add_patch(Rectangle((x0, y0), columns, rows, fill=False, edgecolor="black", linewidth=1.2))
    part = exposure.image.array[y0 - origin[1] : y0 - origin[1] + rows, x0 - origin[0] : x0 - origin[0] + columns]
    _grey(panels[1], stretched(part), extent_of((rows, columns), (x0, y0), 1))
    inside = int(np.count_nonzero((x >= x0) & (x < x0 + columns) & (y >= y0) & (y < y0 + rows)))
    handles: list[Any] = []
    for kind, (marker, colour) in _MARKS.items():
        chosen = kinds == kind
        if not chosen.any():
            continue
        for axes, area in ((panels[0], 16.0 if len(kinds) < 800 else 7.0), (panels[1], 60.0 if inside < 150 else 25.0)):
            _mark(axes, x[chosen], y[chosen], marker, colour, area)
        handles.append(_handle(kind, marker, colour, int(chosen.sum())))
    show_frame(panels[0], shape, origin, f"{len(kinds)} sources")
    show_frame(panels[1], (rows, columns), (x0, y0), "Frame drawn in black, enlarged", first=False)
    panels[1].tick_params(labelleft=True)
    _legend(panels[2], handles)
    return figure


def stretched(image: np.ndarray) -> np.ndarray:
    """An image ``[y, x]`` from 0 to 1 on an asinh stretch, from two sigma below the sky to a bright percentile.

    What is no number is 0.
    """
    good = image[np.isfinite(image)]
    if good.size == 0:
        return np.zeros(image.shape)
    middle = float(np.median(good))
    sigma = max(1.4826 * float(np.median(np.abs(good - middle))), 1e-30)
    top = max(float(np.percentile(good, _TOP_PERCENTILE)), middle + _LEAST_TOP_SIGMA * sigma)
    scaled = np.arcsinh((image - middle + 2 * sigma) / (2 * sigma)) / np.arcsinh(
        (top - middle + 2 * sigma) / (2 * sigma)
    )
    return np.asarray(np.clip(np.nan_to_num(scaled), 0.0, 1.0))


def _painted(bits: np.ndarray, size: int, colours: dict[str, str]) -> np.ndarray:
    """The planes as colours with transparency, ``[y, x, 4]``; footprints of sources fainter than the rest."""
    some = bin_bits(bits, size)
    paint = np.zeros((*some.shape, 4))
    for name, colour in colours.items():
        red, green, blue = (int(colour[k : k + 2], 16) / 255.0 for k in (1, 3, 5))
        if name.startswith("DETECTED"):
            # A block that a footprint only touches would make all footprints look a block larger.
            chosen = bin_image((bits & bitmask(name) != 0).astype(np.float32), size) >= 0.5
            paint[chosen] = (red, green, blue, 0.35)
        else:
            paint[(some & bitmask(name)) != 0] = (red, green, blue, 0.85)
    return paint


def _grey(axes: Axes, picture: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    """A faint picture, dark on light, under marks."""
    axes.imshow(picture, origin="lower", extent=extent, cmap="gray_r", vmin=0, vmax=1.6, interpolation="nearest")


def _mark(axes: Axes, x: np.ndarray, y: np.ndarray, marker: str, colour: str, area: float) -> None:
    if marker in "x+.":
        axes.scatter(x, y, s=area, marker=marker, color=colour, linewidths=0.9)
    else:
        axes.scatter(x, y, s=area, marker=marker, facecolors="none", edgecolors=colour, linewidths=0.9)


def _handle(kind: SourceKind, marker: str, colour: str, number: int) -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        color=colour,
        markerfacecolor=colour if marker == "." else "none",
        label=f"{kind.value}\n{number:,}",
    )


def _legend(axes: Axes, handles: list[Any]) -> None:
    """A legend in a column of its own, so that it hides nothing."""
    axes.set_axis_off()
    if handles:
        axes.legend(handles=handles, loc="upper left", frameon=False, fontsize="small", borderaxespad=0.0)


def _crowded_part(
    x: np.ndarray, y: np.ndarray, shape: tuple[int, int], origin: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """First pixel (x, y) and size (rows, columns) of the part of a frame with the most sources.

    It has the proportions of the frame.
    """
    scale = min(0.5, _ZOOM / min(shape))
    rows, columns = (max(int(scale * size), 1) for size in shape)
    steps = [max(int(2 / scale) - 1, 1)] * 2
    starts_y = origin[1] + np.linspace(0, shape[0] - rows, steps[0]).astype(int)
    starts_x = origin[0] + np.linspace(0, shape[1] - columns, steps[1]).astype(int)
    best = max(
        ((int(y0), int(x0)) for y0 in starts_y for x0 in starts_x),
        key=lambda start: np.count_nonzero(
            (y >= start[0]) & (y < start[0] + rows) & (x >= start[1]) & (x < start[1] + columns)
        ),
    )
    return (best[1], best[0]), (rows, columns)
