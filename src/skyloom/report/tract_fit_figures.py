"""The course of a joint fit, and what it did to the frames: chi2 by step, zero points, shifts and scatter by visit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from skyloom.catalog.columns import float_column

from .tract_frames import FrameRecord, visit_median
from .visit_style import BAD, GOOD, NEUTRAL, OTHER

__all__ = ["frame_figure", "history_figure", "named_ticks", "zero_point_figure"]

_WIDTH_INCH = 9.6
_MOST_LABELS = 16
_MANY = 200
"""With more frames their dots are small."""
_MARKERS = {
    "initial": ("*", "black"),
    "visits": ("s", OTHER),
    "transforms": ("D", "#CC79A7"),
    "stars": ("v", "#009E73"),
    "transforms and stars": ("o", GOOD),
    "stars, less outliers": ("x", BAD),
}
"""Marker and colour of each kind of step."""


def history_figure(history: Table) -> Figure | None:
    """chi2 a degree of freedom and the number of outliers by step of either fit; None of an empty table."""
    names = list(dict.fromkeys(str(name) for name in history["fit"]))
    if not names:
        return None
    figure = Figure(figsize=(_WIDTH_INCH, 4.6), layout="constrained")
    grid = figure.subplots(2, len(names), sharex="col", height_ratios=(2, 1), squeeze=False)
    for column, name in enumerate(names):
        rows = history[np.asarray(history["fit"]) == name]
        steps = np.arange(1, len(rows) + 1)
        kinds = np.array([str(step) for step in rows["step"]])
        degrees = float_column(rows, "degrees")
        ratio = float_column(rows, "chi2") / np.where(degrees > 0, degrees, np.nan)
        outliers = float_column(rows, "n_outliers")
        for axes, values in ((grid[0, column], ratio), (grid[1, column], outliers)):
            axes.plot(steps, values, color="0.75", lw=1.0, zorder=1)
            for kind in dict.fromkeys(kinds):
                marker, colour = _MARKERS.get(kind, ("P", NEUTRAL))
                axes.scatter(steps[kinds == kind], values[kinds == kind], s=32, marker=marker, color=colour, label=kind)
        if np.nanmax(ratio, initial=1.0) > 20.0 * np.nanmin(ratio, initial=1.0) > 0.0:
            grid[0, column].set_yscale("log")
        grid[0, column].set_title(f"{name}: {ratio[-1]:.3f} at the end", fontsize="medium")
        grid[1, column].set_xlabel("step")
        grid[1, column].xaxis.set_major_locator(MaxNLocator(integer=True))
        grid[1, column].set_ylim(bottom=0.0)
    grid[0, 0].set_ylabel("chi² a degree of freedom")
    grid[1, 0].set_ylabel("outliers")
    known = {label: handle for axes in grid[0] for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=6, frameon=False, fontsize="small")
    return figure


def zero_point_figure(frames: Sequence[FrameRecord]) -> Figure | None:
    """Zero points of the frames before and after the fit by visit, their change, and that by detector; None without."""
    chosen = [frame for frame in frames if "zero_point_after_mag" in frame.values]
    if not chosen:
        return None
    figure = Figure(figsize=(_WIDTH_INCH, 6.4), layout="constrained")
    (top, change), (whole, detectors) = figure.subplots(2, 2)
    visits, places = _visit_places(chosen)
    for name, colour, marker, label, side in (
        ("zero_point_before_mag", OTHER, "s", "before", -0.12),
        ("zero_point_after_mag", GOOD, "o", "after", 0.12),
    ):
        _dots(top, places + side, [frame.get(name) for frame in chosen], colour, marker, label)
    top.set_ylabel("zero point (AB mag of 1 e⁻)")
    top.set_title("zero points", fontsize="medium")
    top.ticklabel_format(useOffset=False, axis="y")
    top.legend(frameon=False, fontsize="small", ncols=2)
    _change(change, chosen, places, visits)
    _spread(whole, chosen, places)
    for axes in (top, change, whole):
        _visit_axis(axes, visits)
    _by_detector(detectors, chosen)
    return figure


def frame_figure(frames: Sequence[FrameRecord]) -> Figure | None:
    """Scatter about the stars and shift of the WCS of each frame by visit, refused frames at the top; None without."""
    chosen = [frame for frame in frames if "astrometry_stars" in frame.values]
    if not chosen:
        return None
    figure = Figure(figsize=(_WIDTH_INCH, 3.6), layout="constrained")
    visits, places = _visit_places(chosen)
    for axes, name, label in zip(
        figure.subplots(1, 2),
        ("scatter_mas", "moved_mas"),
        ("scatter, a coordinate (mas)", "shift by the fit (mas)"),
        strict=True,
    ):
        _dots(axes, places, [frame.get(name) for frame in chosen], GOOD, "o", "frame")
        axes.set_ylim(bottom=0.0)
        refused = np.array(["astrometry" in frame.refused for frame in chosen])
        if refused.any():
            top = 1.08 * axes.get_ylim()[1]
            axes.set_ylim(top=top)
            _dots(axes, places[refused], np.full(int(refused.sum()), 0.97 * top), BAD, "x", "refused")
            axes.legend(frameon=False, fontsize="small")
        axes.set_ylabel(label)
        _visit_axis(axes, visits)
    return figure


def _change(axes: Axes, frames: Sequence[FrameRecord], places: np.ndarray, visits: list[int]) -> None:
    values = [frame.get("zero_point_change_mmag") for frame in frames]
    axes.axhline(0.0, color=NEUTRAL, lw=0.8)
    _dots(axes, places, values, GOOD, "o", "frame")
    middle = visit_median(frames, "zero_point_change_mmag")
    if middle:
        where = [visits.index(visit) for visit in middle]
        size = _bar(len(visits))
        axes.plot(where, list(middle.values()), "_", color="black", ms=size, mew=1.6, label="median of the visit")
        axes.legend(frameon=False, fontsize="small", ncols=2)
    axes.set_ylabel("after less before (mmag)")
    axes.set_title("change by the fit", fontsize="medium")


def _spread(axes: Axes, frames: Sequence[FrameRecord], places: np.ndarray) -> None:
    _dots(axes, places, [frame.get("scale_range_mmag") for frame in frames], GOOD, "o", "frame")
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("range over the frame (mmag)")
    axes.set_title("variation of the fitted scale within a frame", fontsize="medium")


def _by_detector(axes: Axes, frames: Sequence[FrameRecord]) -> None:
    """Change less that of the visit, against the detector."""
    detectors = sorted({frame.detector for frame in frames})
    places = np.array([detectors.index(frame.detector) for frame in frames], np.float64)
    values = np.array([frame.get("change_in_visit_mmag") for frame in frames])
    axes.axhline(0.0, color=NEUTRAL, lw=0.8)
    _dots(axes, places, values, GOOD, "o", "frame")
    middle = [
        np.nanmedian(values[places == one]) if np.isfinite(values[places == one]).any() else np.nan
        for one in range(len(detectors))
    ]
    axes.plot(range(len(detectors)), middle, "_", color="black", ms=_bar(len(detectors)), mew=1.6)
    named_ticks(axes, [str(one) for one in detectors])
    axes.set(xlabel="detector", ylabel="change less that of the visit (mmag)")
    axes.set_title("detectors", fontsize="medium")


def _visit_places(frames: Sequence[FrameRecord]) -> tuple[list[int], np.ndarray]:
    """Visits in their order, and the place of each frame on an axis of them."""
    visits = sorted({frame.visit for frame in frames})
    number = {visit: place for place, visit in enumerate(visits)}
    return visits, np.array([number[frame.visit] for frame in frames], np.float64)


def _visit_axis(axes: Axes, visits: Sequence[int]) -> None:
    named_ticks(axes, [str(visit) for visit in visits])
    axes.set_xlabel("visit")


def named_ticks(axes: Axes, names: Sequence[str]) -> None:
    """Ticks with names, some of them where there are many."""
    step = max(1, -(-len(names) // _MOST_LABELS))
    places = range(0, len(names), step)
    turned = max(map(len, names), default=0) * len(places) > 40
    axes.set_xticks(list(places), [names[place] for place in places], rotation=60 if turned else 0)
    axes.tick_params(axis="x", labelsize="small")
    axes.set_xlim(-0.6, len(names) - 0.4)


def _bar(number: int) -> float:
    """Length of the bars that mark medians, points, with so many of them side by side."""
    return 16.0 if number <= _MOST_LABELS else 6.0


def _dots(axes: Axes, x: np.ndarray, y: object, colour: str, marker: str, label: str) -> None:
    size = 4.5 if len(x) <= _MANY else 2.5
    axes.plot(x, np.asarray(y, np.float64), marker, color=colour, ms=size, alpha=0.7, ls="none", label=label)
