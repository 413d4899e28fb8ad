"""Figures of the zero point: residuals of its stars against magnitude and over the frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skyloom.catalog.columns import flag_column, float_column
from skyloom.images.photo_calib import njy_to_ab_magnitude

from .visit_products import FrameProducts
from .visit_style import (
    BAD,
    GOOD,
    NEUTRAL,
    OTHER,
    colour_bar,
    frame_panels,
    group_medians,
    histogram_edges,
    robust_scatter,
    scatter_within,
    show_frame,
    symmetric_limit,
)

__all__ = ["MagnitudeResiduals", "magnitude_residuals", "zero_point_figure", "zero_point_map"]

_LEAST_MAG = 0.01
_FEWEST_FOR_TILT = 10
_ERROR_FLOOR_MAG = 0.01
"""Added to the error of each star, so that a few bright ones do not decide alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MagnitudeResiduals:
    """Calibrated minus reference magnitude of the matched stars."""

    x: np.ndarray
    y: np.ndarray
    magnitude: np.ndarray
    """Of the reference, AB."""
    residual: np.ndarray
    error: np.ndarray
    """Standard error of the star's own magnitude; 0 where it is not known."""
    used: np.ndarray
    """Bool: the zero point was fitted to it."""
    reserved: np.ndarray
    """Bool: kept out of the fit to test it."""

    @property
    def clipped(self) -> np.ndarray:
        """Bool: neither fitted nor reserved."""
        return np.asarray(~(self.used | self.reserved))

    @property
    def scatter(self) -> float:
        """Robust scatter of the stars that were used."""
        return robust_scatter(self.residual[self.used])

    def tilt(self) -> tuple[float, float]:
        """Range over the frame's stars of the plane that fits the residuals best, and its error, mag; NaN of few."""
        chosen = self.used & np.isfinite(self.residual)
        if chosen.sum() < _FEWEST_FOR_TILT:
            return float("nan"), float("nan")
        x, y = self.x[chosen], self.y[chosen]
        weight = 1.0 / np.hypot(self.error[chosen], _ERROR_FLOOR_MAG)
        terms = np.stack([np.ones(x.size), _normal(x), _normal(y)], axis=1) * weight[:, None]
        scaled = self.residual[chosen] * weight
        slopes, *_ = np.linalg.lstsq(terms, scaled, rcond=None)
        # Stars that scatter more than their errors say make the tilt less certain.
        spread = max(float(np.std(scaled - terms @ slopes, ddof=3)), 1.0)
        errors = spread * np.sqrt(np.diag(np.linalg.pinv(terms.T @ terms)))
        return 2.0 * float(np.abs(slopes[1:]).sum()), 2.0 * float(np.hypot(*errors[1:]))


def _normal(values: np.ndarray) -> np.ndarray:
    """Values on the scale from -1 to 1."""
    low, high = float(values.min()), float(values.max())
    return np.asarray((2.0 * values - low - high) / max(high - low, 1e-9))


def magnitude_residuals(products: FrameProducts) -> MagnitudeResiduals | None:
    """The residuals of the matched stars; None without matches."""
    table = products.photometry_matches
    if table is None or len(table) == 0 or "magnitude_residual" not in table.colnames:
        return None
    return MagnitudeResiduals(
        x=float_column(table, "x"),
        y=float_column(table, "y"),
        magnitude=njy_to_ab_magnitude(float_column(table, "reference_flux")),
        residual=float_column(table, "magnitude_residual"),
        error=products.magnitude_errors(table),
        used=flag_column(table, "used"),
        reserved=flag_column(table, "reserved"),
    )


def zero_point_figure(products: FrameProducts) -> Figure | None:
    """Residuals against the reference magnitude and their distribution, used and clipped stars; None without."""
    stars = magnitude_residuals(products)
    if stars is None:
        return None
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    against, histogram = figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)
    limit = 1e3 * symmetric_limit(stars.residual[stars.used], _LEAST_MAG, 5.0)
    _draw_zero_point(against, products, stars)
    kinds = (
        (stars.used, GOOD, "used", "o"),
        (stars.reserved, OTHER, "reserved", "D"),
        (stars.clipped, BAD, "clipped", "x"),
    )
    for chosen, colour, label, marker in kinds:
        if chosen.any():
            scatter_within(
                against,
                stars.magnitude[chosen],
                1e3 * stars.residual[chosen],
                limit,
                colour=colour,
                label=label,
                marker=marker,
            )
    place, middle, error = group_medians(stars.magnitude[stars.used], 1e3 * stars.residual[stars.used])
    against.errorbar(
        place, middle, error, fmt="s-", color="black", ms=4, lw=1.0, capsize=2, label="median and its error"
    )
    against.set(xlabel="reference magnitude (AB)", ylabel="calibrated - reference (mmag)", ylim=(-limit, limit))
    histogram.hist(
        1e3 * stars.residual[stars.used],
        bins=histogram_edges(limit, int(stars.used.sum())).tolist(),
        orientation="horizontal",
        color=GOOD,
        alpha=0.7,
    )
    histogram.axhline(0.0, color=NEUTRAL, lw=0.8)
    histogram.set_xlabel("stars used")
    histogram.set_title(f"scatter {1e3 * stars.scatter:.1f} mmag", fontsize="small")
    handles, labels = against.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    return figure


def zero_point_map(products: FrameProducts) -> Figure | None:
    """The residuals over the frame; clipped stars are crosses.  None without matches."""
    stars = magnitude_residuals(products)
    if stars is None:
        return None
    figure, panels = frame_panels(products.shape, 2)
    limit = 1e3 * symmetric_limit(stars.residual[stars.used], _LEAST_MAG, 3.0)
    shown = panels[0].scatter(
        stars.x[stars.used],
        stars.y[stars.used],
        c=1e3 * stars.residual[stars.used],
        cmap="PuOr",
        vmin=-limit,
        vmax=limit,
        s=26,
        edgecolors="0.4",
        linewidths=0.4,
    )
    panels[0].scatter(stars.x[stars.clipped], stars.y[stars.clipped], s=22, marker="x", color=BAD, linewidths=1.0)
    colour_bar(figure, panels[0], shown, "calibrated - reference (mmag)", extend="both")
    show_frame(
        panels[0],
        products.shape,
        products.origin,
        f"{int(stars.used.sum())} used, {int(stars.clipped.sum())} clipped (crosses)",
    )
    _trends(panels[1], stars)
    return figure


def _draw_zero_point(axes: Axes, products: FrameProducts, stars: MagnitudeResiduals) -> None:
    """The zero point with its error, in words and as a band about zero."""
    calibration = products.calibration
    axes.axhline(0.0, color=NEUTRAL, lw=0.8)
    if calibration is None:
        return
    error = 1e3 * calibration.zero_point_mag_err
    axes.axhspan(-error, error, color="0.85")
    axes.set_title(
        f"zero point {calibration.zero_point_mag:.4f} ± {calibration.zero_point_mag_err:.4f} mag "
        f"(AB magnitude of 1 e⁻), {int(stars.used.sum())} stars",
        fontsize="small",
    )


def _trends(axes: Axes, stars: MagnitudeResiduals) -> None:
    """Medians of the used stars along both axes."""
    for values, colour, marker, label in ((stars.x, GOOD, "o", "along x"), (stars.y, OTHER, "s", "along y")):
        place, middle, error = group_medians(values[stars.used], 1e3 * stars.residual[stars.used])
        axes.errorbar(place, middle, error, fmt=f"{marker}-", color=colour, ms=4, lw=1.0, capsize=2, label=label)
    axes.axhline(0.0, color=NEUTRAL, lw=0.8)
    axes.set(xlabel="x or y (px)", ylabel="median residual (mmag)")
    tilt, error_of_tilt = stars.tilt()
    axes.set_title(f"tilt over the frame {1e3 * tilt:.0f} ± {1e3 * error_of_tilt:.0f} mmag", fontsize="small")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize="small", ncols=2)
