"""Figures of the pictures of a coadd: the whole patch, and a part of it pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .patch_picture import Picture, colour_picture, grey_picture
from .visit_style import OTHER, extent_of, frame_panels, show_frame

__all__ = ["colour_figure", "grey_figure"]

_BAR_ARCSEC = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_BAR_SHARE = 0.25


def colour_figure(red: Picture, green: Picture, blue: Picture) -> Figure:
    """Three bands in colours: the whole and a part of it.

    Raises
    ------
    ValueError
        If the pictures are not of the same pixels.
    """
    pictures = (red, green, blue)
    if len({(one.shape, one.origin, one.detail_origin) for one in pictures}) != 1:
        raise ValueError("The pictures are not of the same pixels.")
    title = f"red {red.band}, green {green.band}, blue {blue.band}"
    whole, detail = (colour_picture([getattr(one, part) for one in pictures]) for part in ("whole", "detail"))
    return _figure(red, whole, detail, title)


def grey_figure(picture: Picture) -> Figure:
    """One band in grey."""
    return _figure(picture, grey_picture(picture.whole), grey_picture(picture.detail), f"band {picture.band}")


def _figure(picture: Picture, whole: np.ndarray, detail: np.ndarray, title: str) -> Figure:
    figure, (left, right) = frame_panels(picture.shape, 2, bars=False)
    extent = extent_of(picture.shape, picture.origin, picture.binning)
    left.imshow(whole, origin="lower", extent=extent)
    rows, columns = detail.shape[:2]
    x, y = picture.detail_origin
    right.imshow(detail, origin="lower", extent=extent_of((rows, columns), (x, y), 1), interpolation="nearest")
    left.add_patch(Rectangle((x - 0.5, y - 0.5), columns, rows, fill=False, edgecolor=OTHER, linewidth=1.2))
    binned = f": means of {picture.binning} x {picture.binning} px" if picture.binning > 1 else ""
    show_frame(left, picture.shape, picture.origin, title + binned)
    show_frame(right, (rows, columns), (x, y), "the orange square, pixel by pixel", first=False)
    right.tick_params(labelleft=True)
    for axes, size, start in ((left, picture.shape, picture.origin), (right, (rows, columns), (x, y))):
        _scale_bar(axes, size, start, picture.scale_arcsec)
    return figure


def _scale_bar(axes: Axes, shape: Sequence[int], origin: Sequence[int], scale_arcsec: float) -> None:
    """A line of a round length at the lower left."""
    fitting = [one for one in _BAR_ARCSEC if one / scale_arcsec <= _BAR_SHARE * shape[1]]
    if not fitting:
        return
    length = fitting[-1] / scale_arcsec
    x, y = origin[0] + 0.05 * shape[1], origin[1] + 0.05 * shape[0]
    label = f"{fitting[-1]:g} arcsec" if fitting[-1] < 60.0 else f"{fitting[-1] / 60.0:g} arcmin"
    for colour, width in (("black", 4.0), ("white", 2.0)):
        axes.plot([x, x + length], [y, y], color=colour, lw=width, solid_capstyle="butt")
    axes.annotate(
        label,
        (x + 0.5 * length, y),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color="white",
        fontsize="small",
        bbox={"boxstyle": "square,pad=0.15", "facecolor": "black", "edgecolor": "none", "alpha": 0.6},
    )
