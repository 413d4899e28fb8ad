"""Figures of the PSF: its shape over the frame, how its stars differ from it, and what it leaves of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from .visit_products import FrameProducts
from .visit_psf_values import StarShapes, mean_stamps, model_shapes, star_shapes
from .visit_style import (
    BAD,
    GOOD,
    HEADROOM,
    NEUTRAL,
    OTHER,
    colour_bar,
    extent_of,
    frame_panels,
    group_medians,
    key_place,
    scatter_within,
    show_frame,
    symmetric_limit,
)
from .whiskers import draw_whiskers, key_length

__all__ = ["psf_field_figure", "psf_residual_figure", "psf_stamp_figure"]

_GRID = 11
"""Places along the shorter side at which the PSF is shown."""
_FEWEST_RESERVED = 3
_LEAST_RESIDUAL_PERCENT = 0.2


def psf_field_figure(products: FrameProducts) -> Figure | None:
    """Ellipticity of the PSF over the frame, that of the stars less that of the PSF, and the FWHM.

    None without PSF stars and PSF.  Without a PSF the stars show their own ellipticity.
    """
    stars = star_shapes(products)
    psf = None if products.exposure is None else products.exposure.psf
    if stars is None and psf is None:
        return None
    figure, panels = frame_panels(products.shape, 3, bars=False, headroom=HEADROOM)
    place = key_place(products.shape, products.origin)
    x, y = _grid(products)
    model = None if psf is None else model_shapes(psf, x.ravel(), y.ravel())
    if model is not None:
        draw_whiskers(panels[0], (x.ravel(), y.ravel()), (model.e1, model.e2), GOOD, place)
    elif stars is not None:
        draw_whiskers(panels[0], (stars.x, stars.y), (stars.star.e1, stars.star.e2), GOOD, place)
    title = f"Ellipticity of the {'stars' if model is None else 'PSF'}"
    show_frame(panels[0], products.shape, products.origin, title, headroom=HEADROOM)
    _star_whiskers(panels[1], stars, products)
    _draw_fwhm(figure, panels[2], products, stars, None if model is None else model.fwhm.reshape(x.shape))
    return figure


def psf_residual_figure(products: FrameProducts) -> Figure | None:
    """Differences of size and ellipticity against magnitude, of fitted and of reserved stars; None without a PSF."""
    stars = star_shapes(products)
    if stars is None or stars.model is None:
        return None
    figure = Figure(figsize=(9.6, 6.6), layout="constrained")
    rows = figure.subplots(3, 1, sharex=True)
    for axes, values, label, least in zip(
        rows,
        (100.0 * stars.size_residual, stars.e1_residual, stars.e2_residual),
        ("size, star / PSF - 1 (%)", "e₁, star - PSF", "e₂, star - PSF"),
        (1.0, 0.01, 0.01),
        strict=True,
    ):
        fitted_or_kept = stars.used | stars.reserved
        limit = symmetric_limit(values[fitted_or_kept], least)
        axes.axhline(0.0, color=NEUTRAL, lw=0.8)
        _scatter_kinds(axes, stars, values, limit)
        place, middle, error = group_medians(stars.magnitude[fitted_or_kept], values[fitted_or_kept])
        axes.errorbar(
            place, middle, error, fmt="s-", color="black", ms=4, lw=1.0, capsize=2, label="median and its error"
        )
        axes.set(ylabel=label, ylim=(-limit, limit))
    rows[-1].set_xlabel(products.magnitude_label)
    handles, labels = rows[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    return figure


def psf_stamp_figure(products: FrameProducts) -> Figure | None:
    """Mean star, PSF, and what the PSF leaves of fitted and of reserved stars; None where they are not known."""
    stars = star_shapes(products)
    if stars is None:
        return None
    fitted = mean_stamps(products, stars.used if stars.used.any() else np.ones(len(stars.x), dtype=bool))
    if fitted is None:
        return None
    kept = mean_stamps(products, stars.reserved) if stars.reserved.sum() >= _FEWEST_RESERVED else None
    figure = Figure(figsize=(9.6, 3.2), layout="constrained")
    panels = figure.subplots(1, 4)
    for axes, stamp, title in ((panels[0], fitted.star, f"mean of {fitted.n} stars"), (panels[1], fitted.model, "PSF")):
        shown = _stamp(axes, np.log10(np.clip(np.nan_to_num(stamp), 1e-4, None)), title, "cividis", (-4.0, 0.0))
    figure.colorbar(shown, ax=list(panels[:2]), label="log₁₀ of the peak", location="bottom", aspect=30)
    limit = max(100.0 * float(np.nanmax(np.abs(fitted.residual))), _LEAST_RESIDUAL_PERCENT)
    left = _stamp(panels[2], 100.0 * fitted.residual, f"left of {fitted.n} fitted stars", "PuOr", (-limit, limit))
    if kept is not None:
        _stamp(panels[3], 100.0 * kept.residual, f"left of {kept.n} reserved stars", "PuOr", (-limit, limit))
    else:
        panels[3].text(
            0.5, 0.5, "too few\nreserved stars", ha="center", va="center", transform=panels[3].transAxes, color=NEUTRAL
        )
        panels[3].set_axis_off()
    figure.colorbar(left, ax=list(panels[2:]), label="% of the PSF's peak", location="bottom", aspect=30, extend="both")
    return figure


def _grid(products: FrameProducts) -> tuple[np.ndarray, np.ndarray]:
    """Positions x and y, ``[row, column]`` each, at which the PSF is shown: the centres of squares."""
    (rows, columns), (x0, y0) = products.shape, products.origin
    side = min(rows, columns) / min(_GRID, rows, columns)
    along = [
        start - 0.5 + size / count * (np.arange(count) + 0.5)
        for start, size, count in ((x0, columns, round(columns / side)), (y0, rows, round(rows / side)))
    ]
    x, y = np.meshgrid(*along)
    return x, y


def _star_whiskers(axes: Axes, stars: StarShapes | None, products: FrameProducts) -> None:
    """What the stars' ellipticities differ from the PSF's by."""
    if stars is None or stars.model is None:
        axes.text(0.5, 0.5, "no PSF\nto compare with", ha="center", transform=axes.transAxes, color=NEUTRAL)
        show_frame(axes, products.shape, products.origin, "Star minus PSF", first=False, headroom=HEADROOM)
        return
    place = key_place(products.shape, products.origin)
    e1, e2 = stars.e1_residual, stars.e2_residual
    key = key_length(np.hypot(e1, e2)[stars.used | stars.reserved])
    for chosen, colour, label in ((stars.used, GOOD, "fitted"), (stars.reserved, OTHER, "reserved")):
        if chosen.any():
            x, y = stars.x[chosen], stars.y[chosen]
            draw_whiskers(axes, (x, y), (e1[chosen], e2[chosen]), colour, place, key)
            axes.plot(x, y, ".", ms=2.5, color=colour, label=label)
    show_frame(
        axes,
        products.shape,
        products.origin,
        "Star minus PSF\n(blue fitted, orange reserved)",
        first=False,
        headroom=HEADROOM,
    )


def _draw_fwhm(
    figure: Figure, axes: Axes, products: FrameProducts, stars: StarShapes | None, model: np.ndarray | None
) -> None:
    """FWHM of the PSF (``[row, column]``, px) as a map, of stars as dots, in arcsec where the scale is known."""
    scale = products.arcsec_per_pixel
    factor, unit = (1.0, "px") if scale is None else (scale, "arcsec")
    known = [] if model is None else [factor * model.ravel()]
    if stars is not None:
        chosen = stars.used | stars.reserved
        known.append(factor * stars.star.fwhm[chosen if chosen.any() else slice(None)])
    values = np.concatenate(known)
    low, high = np.nanpercentile(values, [2, 98]) if np.isfinite(values).any() else (0.0, 1.0)
    title = "FWHM of the stars" if model is None else "FWHM of PSF and stars"
    look: dict[str, Any] = {"vmin": low, "vmax": high, "cmap": "cividis"}
    shown: Any = None
    if model is not None:
        extent = extent_of(products.shape, products.origin, 1)
        shown = axes.imshow(factor * model, origin="lower", extent=extent, interpolation="nearest", **look)
    if stars is not None:
        fwhm = factor * stars.star.fwhm
        dots = axes.scatter(stars.x, stars.y, c=fwhm, s=14, edgecolors="white", linewidths=0.4, **look)
        shown = shown or dots
    show_frame(axes, products.shape, products.origin, title, first=False, headroom=HEADROOM)
    colour_bar(figure, axes, shown, f"FWHM ({unit})", extend="both")


def _scatter_kinds(axes: Axes, stars: StarShapes, values: np.ndarray, limit: float) -> None:
    rejected = ~(stars.used | stars.reserved)
    for chosen, colour, label, marker in (
        (stars.used, GOOD, "fitted", "o"),
        (stars.reserved, OTHER, "reserved", "D"),
        (rejected, BAD, "rejected", "x"),
    ):
        if chosen.any():
            scatter_within(
                axes,
                stars.magnitude[chosen],
                values[chosen],
                limit,
                colour=colour,
                label=label,
                marker=marker,
                size=14.0,
            )


def _stamp(axes: Axes, stamp: np.ndarray, title: str, cmap: str, limits: tuple[float, float]) -> AxesImage:
    half = stamp.shape[0] / 2
    axes.set_facecolor("0.8")
    axes.set_title(title, fontsize="small")
    axes.set_xlabel("x (px)", fontsize="small")
    return axes.imshow(
        stamp,
        origin="lower",
        cmap=cmap,
        vmin=limits[0],
        vmax=limits[1],
        extent=(-half, half, -half, half),
        interpolation="nearest",
    )
