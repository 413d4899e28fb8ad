"""Figures of the astrometric solution: residuals over the frame, their distribution, and against magnitude."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skyloom.catalog.columns import flag_column, float_column

from .visit_products import FrameProducts
from .visit_style import (
    BAD,
    GOOD,
    HEADROOM,
    NEUTRAL,
    OTHER,
    frame_panels,
    histogram_edges,
    key_place,
    scatter_within,
    show_frame,
    symmetric_limit,
)

__all__ = ["MatchResiduals", "astrometry_figure", "astrometry_residual_figure", "match_residuals"]

_LEAST_MAS = 1.0
_ARROW_SHARE = 0.07
"""Share of the panel that the arrow of the key takes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchResiduals:
    """Residuals of the matched reference stars, source minus reference, along the axes of the detector."""

    x: np.ndarray
    y: np.ndarray
    dx_mas: np.ndarray
    dy_mas: np.ndarray
    magnitude: np.ndarray
    fitted: np.ndarray
    """Bool: the solution was fitted to it."""

    @property
    def length_mas(self) -> np.ndarray:
        """Length of the residual."""
        return np.asarray(np.hypot(self.dx_mas, self.dy_mas))

    def rms_mas(self, axis: str) -> float:
        """Root mean square along an axis of the fitted stars; NaN without any."""
        values = getattr(self, f"d{axis}_mas")[self.fitted]
        return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")


def match_residuals(products: FrameProducts) -> MatchResiduals | None:
    """The residuals in milliarcsec; None without matches.

    The scale is that which the separations on the sky give the residuals in pixels.
    """
    table = products.astrometry_matches
    if table is None or len(table) == 0 or "x_residual" not in table.colnames:
        return None
    dx, dy = float_column(table, "x_residual"), float_column(table, "y_residual")
    length, separation = np.hypot(dx, dy), float_column(table, "separation")
    known = np.isfinite(separation) & (length > 0)
    scale = float(np.median(separation[known] / length[known])) if known.any() else 1.0
    return MatchResiduals(
        x=float_column(table, "x"),
        y=float_column(table, "y"),
        dx_mas=1e3 * scale * dx,
        dy_mas=1e3 * scale * dy,
        magnitude=products.magnitudes(table),
        fitted=flag_column(table, "fitted"),
    )


def astrometry_figure(products: FrameProducts) -> Figure | None:
    """Arrows of the residuals over the frame, with a key, and their distribution in both axes; None without matches."""
    matches = match_residuals(products)
    if matches is None:
        return None
    figure, panels = frame_panels(products.shape, 2, bars=False, headroom=HEADROOM)
    _arrows(panels[0], matches, key_place(products.shape, products.origin))
    show_frame(panels[0], products.shape, products.origin, "Residuals, source minus reference", headroom=HEADROOM)
    _cloud(panels[1], matches)
    return figure


def astrometry_residual_figure(products: FrameProducts) -> Figure | None:
    """Histograms of the residuals along both axes, and the residuals against magnitude; None without matches."""
    matches = match_residuals(products)
    if matches is None:
        return None
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    grid = figure.subplots(2, 2, width_ratios=(1, 2), sharex="col")
    both = np.concatenate([matches.dx_mas, matches.dy_mas])
    limit = symmetric_limit(both[np.tile(matches.fitted, 2)], _LEAST_MAS, 4.5)
    for (histogram, against), axis, colour in zip(grid, "xy", (GOOD, OTHER), strict=True):
        values = getattr(matches, f"d{axis}_mas")
        _histogram(histogram, values[matches.fitted], limit, axis, matches.rms_mas(axis), colour)
        against.axhline(0.0, color=NEUTRAL, lw=0.8)
        for chosen, shade, label, marker in (
            (matches.fitted, colour, "fitted", "o"),
            (~matches.fitted, BAD, "left out", "x"),
        ):
            if chosen.any():
                scatter_within(
                    against, matches.magnitude[chosen], values[chosen], limit, colour=shade, label=label, marker=marker
                )
        against.set(ylim=(-limit, limit), ylabel=f"d{axis} (mas)")
        against.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")
    grid[1, 0].set_xlabel("residual (mas)")
    grid[1, 1].set_xlabel(products.magnitude_label)
    return figure


def _arrows(axes: Axes, matches: MatchResiduals, place: tuple[float, float]) -> None:
    """Residuals as arrows; what was left out is drawn too, cut to twice the length of the key."""
    typical = float(np.median(matches.length_mas[matches.fitted])) if matches.fitted.any() else _LEAST_MAS
    key = max(float(f"{2.0 * typical:.1g}"), _LEAST_MAS)
    for chosen, colour in ((matches.fitted, GOOD), (~matches.fitted, BAD)):
        if not chosen.any():
            continue
        cut = np.minimum(1.0, 2.0 * key / np.maximum(matches.length_mas[chosen], 1e-9))
        drawn = axes.quiver(
            matches.x[chosen],
            matches.y[chosen],
            (matches.dx_mas[chosen] * cut),
            (matches.dy_mas[chosen] * cut),
            angles="xy",
            scale_units="width",
            scale=key / _ARROW_SHARE,
            width=0.004,
            headwidth=3.5,
            color=colour,
            zorder=1.5,
        )
        if colour == GOOD:
            axes.quiverkey(
                drawn,
                *place,
                key,
                f"{key:g} mas",
                labelpos="E",
                coordinates="data",
                fontproperties={"size": 8},
                zorder=3.0,
            )


def _cloud(axes: Axes, matches: MatchResiduals) -> None:
    """Residuals in both axes against each other, with the circle of the rms."""
    both = np.concatenate([matches.dx_mas, matches.dy_mas])
    limit = symmetric_limit(both[np.tile(matches.fitted, 2)], _LEAST_MAS, 4.5)
    axes.axhline(0.0, color=NEUTRAL, lw=0.8)
    axes.axvline(0.0, color=NEUTRAL, lw=0.8)
    beyond = 0
    for chosen, colour, label, marker in (
        (matches.fitted, GOOD, "fitted", "o"),
        (~matches.fitted, BAD, "left out", "x"),
    ):
        x, y = matches.dx_mas[chosen], matches.dy_mas[chosen]
        beyond += int(np.count_nonzero((np.abs(x) > limit) | (np.abs(y) > limit)))
        if chosen.any():
            axes.scatter(
                x,
                y,
                s=9,
                marker=marker,
                color=colour,
                alpha=0.6,
                linewidths=0.0 if marker == "o" else 1.0,
                label=f"{label} ({int(chosen.sum())})",
            )
    mean = np.array(
        [np.mean(part[matches.fitted]) if matches.fitted.any() else np.nan for part in (matches.dx_mas, matches.dy_mas)]
    )
    angle = np.linspace(0.0, 2.0 * np.pi, 100)
    axes.plot(
        mean[0] + matches.rms_mas("x") * np.cos(angle),
        mean[1] + matches.rms_mas("y") * np.sin(angle),
        "k-",
        lw=1.2,
        label="rms",
    )
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xlabel="dx (mas)", ylabel="dy (mas)")
    total = len(matches.dx_mas)
    axes.set_title(
        f"{total} residuals, {beyond} beyond the limits" if beyond else f"{total} residuals", fontsize="medium"
    )
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        frameon=False,
        fontsize="small",
        ncols=3,
        columnspacing=1.0,
        handletextpad=0.2,
    )


def _histogram(axes: Axes, values: np.ndarray, limit: float, axis: str, rms: float, colour: str) -> None:
    """A histogram, with a Gaussian of the same rms and area."""
    edges = histogram_edges(limit, values.size)
    axes.hist(np.clip(values, -limit, limit), bins=edges.tolist(), color=colour, alpha=0.7)
    if rms > 0:
        fine = np.linspace(-limit, limit, 200)
        height = values.size * (edges[1] - edges[0]) / (np.sqrt(2 * np.pi) * rms)
        axes.plot(fine, height * np.exp(-0.5 * (fine / rms) ** 2), "k-", lw=1.0)
    mean = float(np.mean(values)) if values.size else float("nan")
    axes.set_title(f"d{axis}: rms {rms:.1f} mas, mean {mean:+.1f} mas", fontsize="small")
    axes.set(ylabel="stars", xlim=(-limit, limit))
