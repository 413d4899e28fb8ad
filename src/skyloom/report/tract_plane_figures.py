"""Residuals of a joint fit over the focal plane and over the tract, before and after, beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from .tract_residuals import Cells, Residuals, cells_of
from .visit_style import GOOD

__all__ = ["plane_figure", "sky_figure", "visit_planes_figure"]

_WHEN = ("before", "after")
_WIDTH_INCH = 9.6
_LONGEST = 1.1
"""Length of the longest arrows, but for a few, in cells."""
_UNKNOWN = "0.88"
"""Of cells without a value: the middle of the colours is white."""
_MANY = 12
"""With more detectors their numbers are not written."""
_MOST_VISITS = 5
_LEAST = 0.1
"""Of a scale, mas or mmag."""

type Outlines = Mapping[int, np.ndarray]


def plane_figure(residuals: Residuals, outlines: Outlines) -> Figure | None:
    """Means in cells of the focal plane over all visits: arrows of positions, colours of magnitudes; None without.

    Parameters
    ----------
    residuals
        Of the fit.
    outlines
        Corners of the detectors, mm, as `skyloom.report.tract_geometry.detector_outlines` gives them.
    """
    cells = [residuals.plane_cells(when) for when in _WHEN]
    if not all(np.isfinite(one.rms).any() for one in cells):
        return None
    titles = [
        f"{when}: {_root(one):.1f} {residuals.unit} rms, {one.common:.1f} in common"
        for when, one in zip(_WHEN, cells, strict=True)
    ]
    return _panels([cells], [titles], outlines, residuals.unit, height=_height(outlines, 2))


def visit_planes_figure(residuals: Residuals, outlines: Outlines) -> Figure | None:
    """The same of single visits, those with the largest common part before the fit; before above, after below."""
    common = residuals.common_of_visits("before")
    chosen = sorted(sorted(common, key=lambda visit: (-common[visit], visit))[:_MOST_VISITS])
    if not chosen:
        return None
    cells = [[residuals.plane_cells(when, visit) for visit in chosen] for when in _WHEN]
    titles = [
        [
            (f"visit {visit}\n" if when == "before" else "") + f"{when}: {one.common:.1f} {residuals.unit}"
            for visit, one in zip(chosen, row, strict=True)
        ]
        for when, row in zip(_WHEN, cells, strict=True)
    ]
    return _panels(cells, titles, outlines, residuals.unit, height=_height(outlines, len(chosen)))


def sky_figure(residuals: Residuals, size_arcmin: tuple[float, float]) -> Figure | None:
    """Root mean square of the bright measurements in cells of the tract, before and after the fit; None without.

    Parameters
    ----------
    residuals
        Of the fit.
    size_arcmin
        Of the tract, along x and y.
    """
    cells = [cells_of(residuals.sky[residuals.bright], residuals.of(when)[residuals.bright]) for when in _WHEN]
    known = [one.rms[np.isfinite(one.rms)] for one in cells]
    if not all(part.size for part in known):
        return None
    top = float(np.percentile(np.concatenate(known), 98))
    norm = Normalize(0.0, max(top, _LEAST))
    low, high = _shown_part(cells[0], size_arcmin)
    figure = Figure(figsize=(_WIDTH_INCH, 0.9 + 4.0 * (high[1] - low[1]) / (high[0] - low[0])), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, when, one, values in zip(panels, _WHEN, cells, known, strict=True):
        shown = axes.pcolormesh(*one.edges, one.rms, norm=norm, cmap="cividis")
        # x of a tract runs to the west: the map is as seen on the sky.
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xlabel="x of the tract (arcmin)")
        axes.set_title(f"{when}: median of the cells {np.median(values):.1f} {residuals.unit}", fontsize="medium")
    panels[0].set_ylabel("y of the tract (arcmin)")
    figure.colorbar(shown, ax=panels, label=f"rms ({residuals.unit})", extend="max", shrink=0.85, pad=0.01)
    return figure


def _shown_part(cells: Cells, size_arcmin: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Lower left and upper right corner of the part of the tract that is shown: that with stars, and a little more."""
    edges = np.array([[edge[0], edge[-1]] for edge in cells.edges])
    margin = 0.05 * np.ptp(edges, axis=1).max()
    return np.maximum(edges[:, 0] - margin, 0.0), np.minimum(edges[:, 1] + margin, size_arcmin)


def _panels(
    cells: Sequence[Sequence[Cells]], titles: Sequence[Sequence[str]], outlines: Outlines, unit: str, height: float
) -> Figure:
    """Panels ``[row][column]`` with one scale."""
    shape = (len(cells), len(cells[0]))
    figure = Figure(figsize=(_WIDTH_INCH, shape[0] * (height + 0.3) + 0.6), layout="constrained")
    grid = figure.subplots(*shape, squeeze=False, sharex=True, sharey=True)
    means = [one.mean[np.isfinite(one.rms)] for row in cells for one in row]
    points = np.concatenate(list(outlines.values()))
    margin = 0.03 * np.ptp(points, axis=0).max()
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    single = shape[1] <= 2
    largest = max(float(np.percentile(np.concatenate([np.linalg.norm(part, axis=1) for part in means]), 95)), _LEAST)
    norm = Normalize(-largest, largest)
    side = float(np.median([one.edges[0][1] - one.edges[0][0] for row in cells for one in row]))
    for axes, one, title in zip(grid.ravel(), chain(*cells), chain(*titles), strict=True):
        _outline(axes, outlines, numbers=single and len(outlines) <= _MANY)
        if unit == "mas":
            drawn = _arrows(axes, one, largest / (_LONGEST * side), small=not single)
        else:
            axes.set_facecolor(_UNKNOWN)
            axes.pcolormesh(*one.edges, one.mean[..., 0], norm=norm, cmap="PuOr", zorder=0.5)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        axes.set_title(title, fontsize="medium" if single else "small")
        axes.tick_params(labelsize="small" if single else "x-small")
        axes.locator_params(nbins=5 if single else 3)
    figure.supxlabel("focal plane x (mm)", fontsize="small")
    figure.supylabel("focal plane y (mm)", fontsize="small")
    if unit == "mas":
        key = float(f"{largest:.1g}")
        grid[0, -1].quiverkey(
            drawn, 0.94, 0.02, key, f"{key:g} mas", labelpos="W", coordinates="figure", fontproperties={"size": 9}
        )
    else:
        shown = ScalarMappable(norm, "PuOr")
        figure.colorbar(shown, ax=grid, label="mean (mmag)", extend="both", shrink=0.85, pad=0.01)
    return figure


def _arrows(axes: Axes, cells: Cells, scale: float, *, small: bool) -> Any:
    """Means of the cells, so many mas a mm."""
    known = np.isfinite(cells.rms)
    x, y = (part[known] for part in cells.centres)
    u, v = cells.mean[known].T
    return axes.quiver(
        x,
        y,
        u,
        v,
        angles="xy",
        scale_units="xy",
        scale=scale,
        width=0.012 if small else 0.005,
        headwidth=3.5,
        color=GOOD,
        pivot="middle",
    )


def _outline(axes: Axes, outlines: Outlines, *, numbers: bool) -> None:
    for number, corners in outlines.items():
        axes.add_patch(Polygon(corners, closed=True, fill=False, edgecolor="0.55", linewidth=0.8))
        if numbers:
            x, y = corners.max(axis=0) - 0.02 * np.ptp(corners, axis=0)
            axes.text(float(x), float(y), str(number), ha="right", va="top", fontsize=8, color="0.3")


def _height(outlines: Outlines, across: int) -> float:
    """Height of a panel of so many side by side, inches."""
    span = np.ptp(np.concatenate(list(outlines.values())), axis=0)
    return float(np.clip((_WIDTH_INCH - 1.0) / across * span[1] / span[0], 0.7, 6.0))


def _root(cells: Cells) -> float:
    """Root mean square of the means a coordinate."""
    return float(np.sqrt(np.mean(cells.mean[np.isfinite(cells.rms)] ** 2)))
