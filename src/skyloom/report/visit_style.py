"""One look for the figures of a frame: colours, panels with the frame's proportions, limits with outliers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BAD",
    "GOOD",
    "HEADROOM",
    "NEUTRAL",
    "OTHER",
    "binning_of",
    "colour_bar",
    "extent_of",
    "frame_panels",
    "group_medians",
    "histogram_edges",
    "key_place",
    "robust_scatter",
    "scatter_within",
    "show_frame",
    "symmetric_limit",
]

# Okabe & Ito: told apart with every kind of colour vision.
GOOD = "#0072B2"
"""Blue: what was used."""
BAD = "#D55E00"
"""Vermilion: what was left out."""
OTHER = "#E69F00"
"""Orange: what was kept to test."""
NEUTRAL = "0.55"
HEADROOM = 0.09
"""Height that a key takes above a frame, as a share of the frame's."""

_WIDTH_INCH = 9.6
_TALLEST_INCH = 7.5
_LONG_SIDE = 700
"""Pixels of the longer side of a picture, at most."""


def binning_of(shape: tuple[int, int]) -> int:
    """By how much a frame of so many rows and columns is binned for a picture."""
    return max(1, math.ceil(max(shape) / _LONG_SIDE))


def frame_panels(
    shape: tuple[int, int], across: int, *, bars: bool = True, side: float = 0.0, headroom: float = 0.0
) -> tuple[Figure, NDArray[np.object_]]:
    """A figure with so many panels side by side, each with the proportions of a frame.

    Parameters
    ----------
    shape
        Rows and columns of the frame.
    across
        Panels.
    bars
        Whether the panels have colour bars, for which there must be room.
    side
        Width of a column on the right of the panels that is left free, inches.
    headroom
        As `show_frame` takes it.
    """
    rows, columns = (1.0 + headroom) * shape[0], shape[1]
    extra = 1.5 if bars else 0.75
    width = (_WIDTH_INCH - side) / across - extra
    height = width * rows / columns
    if height > _TALLEST_INCH:
        width, height = _TALLEST_INCH * columns / rows, _TALLEST_INCH
    size = (
        min(_WIDTH_INCH, max(across * (width + extra), across * 2.4) + side),
        max(height, 1.6) + (1.1 if headroom else 0.9),
    )
    figure = Figure(figsize=size, layout="constrained")
    ratios = [1.0] * across + ([side * across / (size[0] - side)] if side else [])
    return figure, np.atleast_1d(figure.subplots(1, len(ratios), width_ratios=ratios))


def show_frame(
    axes: Axes,
    shape: tuple[int, int],
    origin: tuple[int, int],
    title: str,
    *,
    first: bool = True,
    headroom: float = 0.0,
) -> None:
    """Give a panel the pixels of a frame as its axes.

    Parameters
    ----------
    first
        Whether the panel is the first of its row, and gets numbers at its y axis.
    headroom
        Share of the frame's height that is added above it, for a key.
    """
    rows, columns = shape
    x0, y0 = origin
    top = y0 + rows - 0.5
    axes.set(xlim=(x0 - 0.5, x0 + columns - 0.5), ylim=(y0 - 0.5, top + headroom * rows), aspect="equal")
    if headroom:
        axes.axhspan(top, top + headroom * rows, color="white", zorder=2.0)
        axes.axhline(top, color="black", lw=0.8)
    axes.set_xlabel("x (px)")
    if first:
        axes.set_ylabel("y (px)")
    else:
        axes.tick_params(labelleft=False)
    axes.locator_params(nbins=4 if columns < 0.7 * rows else 6, axis="x")
    axes.set_title(title, fontsize="medium")


def extent_of(shape: tuple[int, int], origin: tuple[int, int], binning: int) -> tuple[float, float, float, float]:
    """Where a binned picture of a frame lies, for ``imshow``."""
    (x0, y0), (rows, columns) = origin, shape
    return (
        x0 - 0.5,
        x0 + columns // binning * binning - 0.5,
        y0 - 0.5,
        y0 + rows // binning * binning - 0.5,
    )


def colour_bar(figure: Figure, axes: Axes, shown: Any, label: str, *, extend: str = "neither") -> None:
    """A thin colour bar to the right of a panel."""
    # A panel that keeps the frame's proportions is smaller than its place; a bar inside its coordinates follows it.
    figure.colorbar(shown, cax=axes.inset_axes((1.03, 0.0, 0.05, 1.0)), label=label, extend=extend)


def key_place(shape: tuple[int, int], origin: tuple[int, int]) -> tuple[float, float]:
    """Position (x, y) of a key in the headroom of a panel."""
    return origin[0] + 0.4 * shape[1], origin[1] + (1.0 + 0.5 * HEADROOM) * shape[0]


def robust_scatter(values: ArrayLike) -> float:
    """Standard deviation by the median absolute deviation from the median, of the finite values; NaN without."""
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return float(1.4826 * np.median(np.abs(numbers - np.median(numbers)))) if numbers.size else float("nan")


def symmetric_limit(values: ArrayLike, least: float, n_sigma: float = 6.0) -> float:
    """A limit about zero that holds all values, but is not set by a few that stand out."""
    numbers = np.abs(np.asarray(values, dtype=np.float64))
    numbers = numbers[np.isfinite(numbers)]
    if numbers.size == 0:
        return least
    typical = 1.4826 * float(np.median(numbers))
    return max(least, min(1.1 * float(numbers.max()), n_sigma * typical))


def scatter_within(
    axes: Axes,
    x: ArrayLike,
    y: ArrayLike,
    limit: float,
    *,
    colour: str,
    label: str,
    marker: str = "o",
    size: float = 9.0,
) -> None:
    """Points within -limit and limit; those beyond stand at the edge as open triangles that point outwards."""
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    known = np.isfinite(across) & np.isfinite(up)
    inside = known & (np.abs(up) <= limit)
    axes.scatter(
        across[inside],
        up[inside],
        s=size,
        marker=marker,
        color=colour,
        alpha=0.6,
        linewidths=0.0 if marker != "x" else 1.0,
        label=f"{label} ({int(known.sum())})",
    )
    for sign, arrow in ((1.0, "^"), (-1.0, "v")):
        beyond = known & (sign * up > limit)
        axes.scatter(
            across[beyond],
            np.full(int(beyond.sum()), sign * 0.96 * limit),
            s=22,
            marker=arrow,
            facecolors="none",
            edgecolors=colour,
            linewidths=0.9,
        )


def group_medians(
    x: ArrayLike, y: ArrayLike, least: int = 8, groups: int = 8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Medians of groups of neighbours in x with an equal number of points: place, median and its error.

    Parameters
    ----------
    least
        Points of a group; with fewer in all there is no group.
    groups
        Groups at most.
    """
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(across) & np.isfinite(up))
    number = min(groups, known.size // least)
    if number == 0:
        return np.empty(0), np.empty(0), np.empty(0)
    parts = np.array_split(known[np.argsort(across[known], kind="stable")], number)
    error = [1.2533 * robust_scatter(up[part]) / math.sqrt(part.size) for part in parts]
    return (
        np.array([np.median(across[part]) for part in parts]),
        np.array([np.median(up[part]) for part in parts]),
        np.array(error),
    )


def histogram_edges(limit: float, number: int) -> np.ndarray:
    """Edges of equal bins from -limit to limit, as many as so many values fill."""
    return np.linspace(-limit, limit, int(np.clip(2.0 * math.sqrt(number), 8, 40)) + 1)
