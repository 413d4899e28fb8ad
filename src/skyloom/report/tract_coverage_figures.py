"""Maps of a tract: how many visits cover each point, the frames, and the warps on its patches."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import MaxNLocator

from .tract_coverage import Coverage
from .tract_fit_figures import named_ticks
from .tract_products import FilterProducts
from .visit_style import BAD

__all__ = ["coverage_figure", "warp_figure"]

_WIDTH_INCH = 9.6
_MOST_CELLS = 400
"""Warps whose shares are written as numbers, at most."""
_MOST_OUTLINES = 400


def coverage_figure(products: FilterProducts, coverage: Coverage) -> Figure | None:
    """Visits of each point of a tract with the outlines of frames and patches, and the warps of each patch; None
    without any frame.
    """
    if not products.geometries:
        return None
    counts = dict.fromkeys(range(len(products.tract)), 0)
    for warp in products.warps:
        counts[warp.patch] = counts.get(warp.patch, 0) + warp.exists
    size = products.tract.bbox
    panel = 4.0 * size.y.size / size.x.size
    figure = Figure(figsize=(_WIDTH_INCH, min(panel, 7.0) + 0.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    _depth(figure, left, products, coverage)
    _patches(right, products, counts)
    for axes in (left, right):
        axes.set(xlim=(-0.5, size.x.stop - 0.5), ylim=(-0.5, size.y.stop - 0.5), aspect="equal")
        axes.set_xlabel("x of the tract (px)")
    left.set_ylabel("y of the tract (px)")
    return figure


def warp_figure(products: FilterProducts) -> Figure | None:
    """Share of each patch that the warp of each visit fills; crosses where a warp failed.  None without warps."""
    if not products.warps:
        return None
    patches, visits = (sorted({getattr(warp, name) for warp in products.warps}) for name in ("patch", "visit"))
    shares = np.full((len(visits), len(patches)), np.nan)
    failed = []
    for warp in products.warps:
        place = visits.index(warp.visit), patches.index(warp.patch)
        shares[place] = 100.0 * warp.filled if warp.exists else np.nan
        if not warp.exists:
            failed.append(place)
    figure = Figure(figsize=(_WIDTH_INCH, float(np.clip(0.25 * len(visits) + 1.2, 2.2, 8.0))), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("0.88")
    top = float(np.nanmax(shares, initial=1.0))
    shown = axes.imshow(shares, vmin=0.0, vmax=top, cmap="cividis", aspect="auto", interpolation="nearest")
    if shares.size <= _MOST_CELLS:
        for (row, column), share in np.ndenumerate(shares):
            if np.isfinite(share):
                colour = "white" if share < 0.5 * top else "black"
                axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=8, color=colour)
    if failed:
        rows, columns = np.array(failed).T
        axes.plot(columns, rows, "x", color=BAD, ms=7, mew=1.6)
    named_ticks(axes, [str(patch) for patch in patches])
    axes.set_xlim(-0.5, len(patches) - 0.5)
    step = max(1, -(-len(visits) // 30))
    axes.set_yticks(range(0, len(visits), step), [str(visit) for visit in visits[::step]], fontsize="small")
    axes.set(xlabel="patch", ylabel="visit")
    figure.colorbar(shown, ax=axes, label="filled (%)", pad=0.01)
    return figure


def _depth(figure: Figure, axes: Axes, products: FilterProducts, coverage: Coverage) -> None:
    count = coverage.count
    deepest = max(int(count.max()), 1)
    colours = colormaps["cividis"].resampled(deepest)
    half = 0.5 * coverage.step
    extent = (coverage.x[0] - half, coverage.x[-1] + half, coverage.y[0] - half, coverage.y[-1] + half)
    shown = axes.imshow(
        np.ma.masked_equal(count, 0),
        origin="lower",
        extent=extent,
        cmap=colours,
        norm=BoundaryNorm(np.arange(deepest + 1) + 0.5, deepest),
        interpolation="nearest",
    )
    frames = products.geometries.values()
    for frame in frames if len(frames) <= _MOST_OUTLINES else [one for one in frames if one.refused]:
        outline = frame.on_tract(products.tract)
        if np.isfinite(outline).all():
            edge, width, style = (BAD, 1.4, "--") if frame.refused else ("black", 0.3, "-")
            axes.add_patch(Polygon(outline, closed=True, fill=False, edgecolor=edge, linewidth=width, linestyle=style))
    axes.set_title(
        f"visits: {deepest if count.any() else 0} at most, median {coverage.median_depth:g}", fontsize="medium"
    )
    figure.colorbar(shown, ax=axes, label="visits", ticks=MaxNLocator(integer=True), shrink=0.8, pad=0.01)


def _patches(axes: Axes, products: FilterProducts, counts: dict[int, int]) -> None:
    """Patches with the number of their warps."""
    top = max(max(counts.values()), 1)
    many = len(products.tract) > 150
    for patch in products.tract.patches():
        box, number = patch.inner_bbox, counts[patch.id]
        colour = colormaps["cividis"](number / top) if number else (1.0, 1.0, 1.0, 1.0)
        corner = (box.x.start - 0.5, box.y.start - 0.5)
        axes.add_patch(Rectangle(corner, box.x.size, box.y.size, facecolor=colour, edgecolor="0.5", linewidth=0.5))
        if not many:
            axes.text(
                corner[0] + 0.5 * box.x.size,
                corner[1] + 0.5 * box.y.size,
                f"patch {patch.id}\n{number} warps" if len(products.tract) <= 36 else str(number),
                ha="center",
                va="center",
                fontsize=8 if len(products.tract) <= 36 else 6,
                color="white" if number and number / top < 0.5 else "black",
            )
    axes.set_title(f"warps on the patches: {sum(counts.values())}", fontsize="medium")
