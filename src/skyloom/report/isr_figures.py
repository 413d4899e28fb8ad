"""Figures of a frame before and after the removal of the instrument's signature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skyloom.images import bitmask
from skyloom.isr import ThumbnailSettings, bin_bits, thumbnail

from .isr_profiles import LineMedians, OverscanProfile, group_means, stretch_of

__all__ = ["mask_figure", "median_figure", "overscan_figure", "thumbnail_figure"]

_BEFORE, _AFTER, _FIT = "tab:orange", "tab:blue", "tab:red"
_LONG_SIDE = 500
"""Binned pixels of the longer side of a picture."""
_SOFTENING = 8.0
_GROUPS = 40
"""Groups of rows whose means show what is left of a slope."""


def overscan_figure(profiles: Sequence[OverscanProfile]) -> Figure:
    """For each amplifier: levels by row, what is left by row, and what is left by column."""
    figure = Figure(figsize=(10.0, 0.6 + 2.2 * len(profiles)), layout="constrained")
    grid = figure.subplots(len(profiles), 3, squeeze=False, width_ratios=(2, 2, 1))
    for profile, (levels, rows, columns) in zip(profiles, grid, strict=True):
        levels.plot(profile.rows, profile.levels, "-", lw=0.8, color=_FIT, label="level taken off")
        levels.plot(profile.rows, profile.means, ".", ms=_dot(profile), color=_BEFORE, label="mean of the row")
        levels.set(ylabel=f"{profile.name}: overscan (ADU)")
        error = profile.noise / math.sqrt(max(int(profile.counted.sum()), 1))
        rows.axhspan(-error, error, color="0.9")
        rows.plot(profile.rows, profile.residuals, ".", ms=_dot(profile), color=_AFTER)
        rows.plot(*group_means(profile.rows, profile.residuals, _GROUPS), "-", lw=1.2, color=_FIT)
        rows.set(ylabel="left (ADU)")
        columns.axhline(0, color="0.7", lw=0.8)
        columns.plot(profile.columns, profile.column_residuals, "o", ms=3, mfc="none", color="0.6")
        counted = profile.counted
        columns.plot(profile.columns[counted], profile.column_residuals[counted], "o", ms=3, color=_AFTER)
    grid[0, 0].legend(loc="best", fontsize="small")
    for axes, label in zip(grid[-1], ("row", "row", "columns from the data"), strict=True):
        axes.set(xlabel=label)
    return figure


def _dot(profile: OverscanProfile) -> float:
    """Size of the dots: the more rows, the smaller."""
    return 2.0 if len(profile.rows) < 1000 else 1.0


def thumbnail_figure(pictures: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Small pictures side by side on an asinh stretch, each from its own background on.

    Parameters
    ----------
    pictures
        By title, image and mask bits ``[y, x]``.
    """
    widths = [image.shape[1] / image.shape[0] for image, _ in pictures.values()]
    height = min(5.5, 11.0 / sum(widths))
    figure = Figure(figsize=(height * sum(widths) + 1.0, height + 0.5), layout="constrained")
    grid = figure.subplots(1, len(pictures), squeeze=False, width_ratios=widths)[0]
    for axes, (title, (image, bits)) in zip(grid, pictures.items(), strict=True):
        _show(axes, _picture(image, bits), image.shape)
        axes.set_title(title, fontsize="medium")
    return figure


def mask_figure(image: np.ndarray, bits: np.ndarray, counts: Mapping[str, int]) -> Figure:
    """A faint picture of a frame (``[y, x]``) for each plane of ``counts``, with its pixels in red.

    A pixel of the picture stands for a block: it is red where any pixel of the block is marked.
    """
    across = min(4, max(len(counts), 1))
    down = math.ceil(len(counts) / across)
    width = 2.8
    figure = Figure(
        figsize=(across * width + 0.3, down * (width * image.shape[0] / image.shape[1] + 0.4)), layout="constrained"
    )
    grid = figure.subplots(down, across, squeeze=False).ravel()
    marked, faint = bin_bits(bits, _binning(image.shape)), 0.5 * _picture(image, bits)
    for axes, (plane, count) in zip(grid, counts.items(), strict=False):
        picture = np.minimum(faint, 255.0).astype(np.uint8)
        picture[(marked & bitmask(plane)) != 0] = (255, 40, 40)
        _show(axes, picture, image.shape)
        axes.set_title(f"{plane}: {count:,} px", fontsize="small")
    for axes in grid:
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
    return figure


def median_figure(before: LineMedians, after: LineMedians) -> Figure:
    """Medians of rows and of columns before and after, in electrons."""
    figure = Figure(figsize=(10.0, 5.5), layout="constrained")
    for axes, name in zip(figure.subplots(2, 1), ("rows", "columns"), strict=True):
        axes.plot(getattr(before, name), "-", lw=0.8, color=_BEFORE, label="before: overscan taken off, gains applied")
        axes.plot(getattr(after, name), "-", lw=0.8, color=_AFTER, label="after")
        axes.set(xlabel=name.removesuffix("s"), ylabel=f"median of {name} (electrons)")
        axes.margins(x=0.01)
    figure.axes[0].legend(loc="best", fontsize="small")
    return figure


def _binning(shape: tuple[int, ...]) -> int:
    return max(1, math.ceil(max(shape) / _LONG_SIDE))


def _picture(image: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """A thumbnail, uint8 ``[y, x, colour]``, whose stretch is that of the image's own noise."""
    binning = _binning(image.shape)
    settings = ThumbnailSettings(
        binning=binning, stretch=stretch_of(image, bits, binning), softening=_SOFTENING, saturated_border=0
    )
    with np.errstate(invalid="ignore"):  # a pixel as dark as black is 0 over 0 to astropy
        return thumbnail(image, bits, settings)


def _show(axes: Axes, picture: np.ndarray, shape: tuple[int, ...]) -> None:
    """Draw a picture of an image of ``shape`` with the image's own coordinates."""
    binning = _binning(shape)
    extent = (-0.5, picture.shape[1] * binning - 0.5, -0.5, picture.shape[0] * binning - 0.5)
    axes.imshow(picture, origin="lower", extent=extent, interpolation="nearest")
