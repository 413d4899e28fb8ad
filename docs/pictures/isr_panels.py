"""Small figures of a frame before and after one correction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import ndimage

from skyloom.images import Exposure, bitmask
from skyloom.isr import VignetteSettings, unvignetted_field, valid_polygon
from skyloom.report.isr_profiles import group_means, line_medians

__all__ = ["offset_panel", "pair_panel", "ratio_panel", "size_panel", "vignette_panel"]

_BEFORE, _AFTER = "tab:orange", "tab:blue"
_DPI = 80
_RADIUS = 6
"""Half the side of the stamps that sizes are measured on, pixels."""
_WEIGHT_SIGMA = 2.5


def pair_panel(before: Exposure, after: Exposure, region: tuple[slice, slice], top_sigma: float) -> Figure:
    """A region ``[y, x]`` before and after, on one linear scale, from 3 sigma below the background to ``top_sigma``
    above it.
    """
    rows, columns = region
    images = [exposure.image.array[region] for exposure in (before, after)]
    middle = float(np.nanmedian(images[1]))
    sigma = 1.4826 * float(np.nanmedian(np.abs(images[1] - middle)))
    figure = Figure(figsize=(8.0, 0.4 + 4.0 * images[0].shape[0] / images[0].shape[1]), dpi=_DPI, layout="constrained")
    for axes, image, title in zip(figure.subplots(1, 2), images, ("before", "after"), strict=True):
        extent = (columns.start - 0.5, columns.stop - 0.5, rows.start - 0.5, rows.stop - 0.5)
        limits = {"vmin": middle - 3 * sigma, "vmax": middle + top_sigma * sigma}
        shown = np.where(np.isfinite(image), image, middle - 3 * sigma)
        axes.imshow(shown, origin="lower", cmap="gray", interpolation="nearest", extent=extent, **limits)
        axes.set_title(title, fontsize="medium")
    return figure


def vignette_panel(exposure: Exposure, settings: VignetteSettings) -> Figure:
    """A frame with its valid polygon, and what is marked outside it in red."""
    image, outside = exposure.image.array, (exposure.bits & bitmask("VIGNETTED")) != 0
    middle = float(np.nanmedian(image))
    sigma = 1.4826 * float(np.nanmedian(np.abs(image - middle)))
    grey = np.clip((np.nan_to_num(image, nan=middle) - middle + 3 * sigma) / (13 * sigma), 0.0, 1.0)
    picture = np.repeat(grey[::2, ::2, None], 3, axis=2)
    picture[outside[::2, ::2]] = (0.45, 0.1, 0.1)
    figure = Figure(figsize=(5.0, 4.2), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.imshow(picture, origin="lower", extent=(-0.5, image.shape[1] - 0.5, -0.5, image.shape[0] - 0.5))
    assert exposure.detector is not None
    polygon = valid_polygon(exposure.detector, unvignetted_field(settings))
    assert polygon is not None
    axes.plot(
        np.append(polygon.x_vertices, polygon.x_vertices[0]), np.append(polygon.y_vertices, polygon.y_vertices[0]), "y-"
    )
    return figure


def ratio_panel(true: Exposure, before: Exposure, after: Exposure) -> Figure:
    """Electrons over true electrons against the true ones."""
    good = ((true.bits | before.bits | after.bits) & bitmask("SAT", "SUSPECT", "BAD", "INTRP")) == 0
    light = true.image.array[good]
    bright = light > 1500.0
    figure, axes = _plot("electrons without the effect", "measured / without (%)")
    for exposure, colour, label in ((before, _BEFORE, "before"), (after, _AFTER, "after")):
        ratio = 100.0 * exposure.image.array[good][bright] / light[bright]
        axes.plot(light[bright], ratio, ".", ms=3, color=colour, label=label)
    axes.axhline(100.0, color="0.7", lw=0.8)
    axes.legend()
    return figure


def size_panel(true: Exposure, before: Exposure, after: Exposure) -> Figure:
    """Size of stars over that of the same stars without the effect, against the height of their peak."""
    masks = true.bits | before.bits | after.bits
    peaks = _peaks(true.image.array, masks)
    heights = np.array([true.image.array[peak] for peak in peaks])
    figure, axes = _plot("peak of the star (electrons)", "size / size without (%)")
    sizes = _sizes(true.image.array, peaks)
    for exposure, colour, label in ((before, _BEFORE, "before"), (after, _AFTER, "after")):
        ratio = 100.0 * _sizes(exposure.image.array, peaks) / sizes
        axes.plot(heights, ratio, "o", ms=4, color=colour, label=label)
    axes.axhline(100.0, color="0.7", lw=0.8)
    axes.legend()
    return figure


def offset_panel(before: Exposure, after: Exposure) -> Figure:
    """Medians of the columns about the border between two amplifiers."""
    figure, axes = _plot("column", "median of the column (electrons)")
    for exposure, colour, label in ((before, _BEFORE, "before"), (after, _AFTER, "after")):
        medians = line_medians(exposure.image.array, exposure.bits).columns
        columns = np.arange(len(medians))
        axes.plot(columns, medians, ".", ms=2, color=colour)
        for half in (slice(0, len(columns) // 2), slice(len(columns) // 2, None)):
            axes.plot(*group_means(columns[half], medians[half], 8), "-", color=colour, label=label)
            label = "_"
    axes.legend()
    return figure


def _plot(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.0, 3.5), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    return figure, axes


def _peaks(image: np.ndarray, bits: np.ndarray) -> Sequence[tuple[int, int]]:
    """Pixels that are the highest of their surroundings, stand out, and have nothing masked near."""
    highest = ndimage.maximum_filter(image, 4 * _RADIUS + 1) == image
    masked = ndimage.binary_dilation((bits & bitmask("SAT", "SUSPECT", "BAD", "INTRP")) != 0, iterations=_RADIUS)
    y, x = np.nonzero(highest & ~masked & (image > np.median(image) + 3000.0))
    edge = 2 * _RADIUS
    inside = (y > edge) & (x > edge) & (y < image.shape[0] - edge) & (x < image.shape[1] - edge)
    return list(zip(y[inside].tolist(), x[inside].tolist(), strict=True))


def _sizes(image: np.ndarray, peaks: Sequence[tuple[int, int]]) -> np.ndarray:
    """Root of the second moment about each peak, with a Gaussian weight."""
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    squared = offsets[:, None] ** 2 + offsets**2
    weight = np.exp(-0.5 * squared / _WEIGHT_SIGMA**2)
    sky = np.median(image)
    sizes = []
    for y, x in peaks:
        light = weight * (image[y - _RADIUS : y + _RADIUS + 1, x - _RADIUS : x + _RADIUS + 1] - sky)
        sizes.append(np.sqrt((light * squared).sum() / light.sum()))
    return np.array(sizes)
