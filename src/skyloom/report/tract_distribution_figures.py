"""How the residuals of a joint fit are distributed: histograms, pulls, and scatter against magnitude."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from .tract_residuals import Residuals, repeatability
from .visit_style import BAD, GOOD, NEUTRAL, OTHER, histogram_edges, robust_scatter, symmetric_limit

__all__ = ["histogram_figure", "magnitude_figure", "magnitude_scatter"]

_GROUPS = 10
_LEAST_OF_GROUP = 20
_PULL_LIMIT = 5.0


def magnitude_scatter(residuals: Residuals, when: str) -> tuple[np.ndarray, np.ndarray]:
    """Median magnitude and repeatability a coordinate of groups of stars with equal numbers of measurements."""
    known = np.flatnonzero(residuals.used & np.isfinite(residuals.magnitude))
    number = min(_GROUPS, known.size // _LEAST_OF_GROUP)
    if number == 0:
        return np.empty(0), np.empty(0)
    # A star goes into one group as a whole.
    _, star = np.unique(residuals.star[known], return_inverse=True)
    mean = (np.bincount(star, residuals.magnitude[known]) / np.bincount(star))[star]
    parts = [known[part] for part in np.array_split(np.lexsort((star, mean)), number)]
    return (
        np.array([np.median(residuals.magnitude[part]) for part in parts]),
        np.array([repeatability(residuals.of(when)[part], residuals.star[part]) for part in parts]),
    )


def magnitude_figure(fits: Sequence[Residuals]) -> Figure | None:
    """Scatter of the stars' measurements against magnitude, before and after each fit; None without any."""
    curves = [(one, {when: magnitude_scatter(one, when) for when in ("before", "after")}) for one in fits]
    curves = [(one, pair) for one, pair in curves if pair["after"][0].size]
    if not curves:
        return None
    figure = Figure(figsize=(4.8 * max(len(curves), 1), 3.6), layout="constrained")
    for axes, (one, pair) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        for when, colour, marker in (("before", OTHER, "s--"), ("after", GOOD, "o-")):
            axes.plot(*pair[when], marker, color=colour, ms=5, lw=1.2, label=when)
        axes.set(yscale="log", xlabel="AB magnitude", ylabel=f"repeatability ({one.unit})")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
        axes.grid(which="both", axis="y", color="0.92", lw=0.6)
        axes.set_title("positions, a coordinate" if one.unit == "mas" else "fluxes", fontsize="medium")
        axes.legend(frameon=False, fontsize="small")
    return figure


def histogram_figure(fits: Sequence[Residuals]) -> Figure | None:
    """Histograms of the residuals of the bright measurements, and of all pulls where errors are known; None without."""
    shown = [one for one in fits if one.bright.any()]
    if not shown:
        return None
    pulls = [one for one in shown if one.error is not None]
    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    panels = figure.subplots(1, len(shown) + len(pulls), squeeze=False)[0]
    for axes, one in zip(panels, shown, strict=False):
        _residuals(axes, one)
    for axes, one in zip(panels[len(shown) :], pulls, strict=True):
        _pulls(axes, one)
    return figure


def _residuals(axes: Axes, residuals: Residuals) -> None:
    """Before as a line, after filled; what is beyond the limits is in the last bins."""
    chosen = residuals.bright
    limit = symmetric_limit(residuals.before[chosen], 1.0, 4.5)
    edges = histogram_edges(limit, int(chosen.sum()))
    for when, filled, colour in (("after", True, GOOD), ("before", False, BAD)):
        values = residuals.of(when)[chosen].ravel()
        root = float(np.sqrt(np.mean(values**2)))
        axes.hist(
            np.clip(values, -limit, limit),
            bins=edges.tolist(),
            histtype="stepfilled" if filled else "step",
            color=colour,
            alpha=0.6 if filled else 1.0,
            lw=1.4,
            label=f"{when}: rms {root:.1f} {residuals.unit}",
        )
    what = "east and north" if residuals.unit == "mas" else "magnitudes"
    axes.set_title(f"{what}, brightest quarter", fontsize="small")
    axes.set(xlabel=f"measurement less star ({residuals.unit})", ylabel="number", xlim=(-limit, limit))
    _legend_above_the_bars(axes)


def _pulls(axes: Axes, residuals: Residuals) -> None:
    """Residuals over the errors of their measurements, with the Gaussian of unit width."""
    assert residuals.error is not None
    pulls = (residuals.after[:, 0] / residuals.error)[residuals.used]
    pulls = pulls[np.isfinite(pulls)]
    edges = histogram_edges(_PULL_LIMIT, pulls.size)
    axes.hist(
        np.clip(pulls, -_PULL_LIMIT, _PULL_LIMIT),
        bins=edges.tolist(),
        color=NEUTRAL,
        alpha=0.6,
        label=f"scatter {robust_scatter(pulls):.2f}",
    )
    fine = np.linspace(-_PULL_LIMIT, _PULL_LIMIT, 200)
    height = pulls.size * (edges[1] - edges[0]) / np.sqrt(2.0 * np.pi)
    axes.plot(fine, height * np.exp(-0.5 * fine**2), "k-", lw=1.0, label="normal, width 1")
    axes.set_title("pulls of the fluxes, all used", fontsize="small")
    axes.set(xlabel="residual over its error", ylabel="number", xlim=(-_PULL_LIMIT, _PULL_LIMIT))
    _legend_above_the_bars(axes)


def _legend_above_the_bars(axes: Axes) -> None:
    axes.set_ylim(top=1.32 * axes.get_ylim()[1])
    axes.legend(loc="upper center", frameon=False, fontsize="small")
