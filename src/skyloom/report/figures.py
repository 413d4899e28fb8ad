"""Figures of a report, as self-contained PNG images in base64."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .png import png_of

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["count_figure", "image_figure", "photometry_figure", "position_figure", "zero_point_figure"]


def image_figure(image: np.ndarray, title: str, unit: str) -> str:
    """An image ``[y, x]`` on an asinh stretch from two sigma below the sky to the 99.7th percentile."""
    good = image[np.isfinite(image)]
    middle = np.median(good)
    sigma = 1.4826 * np.median(np.abs(good - middle))
    top = max(float(np.percentile(good, 99.7)), middle + 20 * sigma)
    stretched = np.arcsinh((image - middle + 2 * sigma) / (2 * sigma)) / np.arcsinh(
        (top - middle + 2 * sigma) / (2 * sigma)
    )
    figure, axes = _figure(7.0, 7.0 * image.shape[0] / image.shape[1])
    axes.imshow(stretched, origin="lower", cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(title=f"{title} ({unit})", xlabel="x (px)", ylabel="y (px)")
    return _encode(figure)


def count_figure(counts: np.ndarray) -> str:
    """How many inputs each pixel ``[y, x]`` of a coadd has."""
    figure, axes = _figure(7.0, 7.0 * counts.shape[0] / counts.shape[1])
    shown = axes.imshow(counts, origin="lower", cmap="viridis", interpolation="nearest")
    figure.colorbar(shown, ax=axes, label="inputs a pixel")
    axes.set(title="Inputs of the coadd", xlabel="x (px)", ylabel="y (px)")
    return _encode(figure)


def position_figure(stars: Table) -> str:
    """Position differences (mas) of the matched stars."""
    figure, axes = _figure(5.0, 5.0)
    axes.scatter(stars["dra_mas"], stars["ddec_mas"], s=3, alpha=0.4, linewidths=0)
    limit = 3.0 * max(1.0, float(np.percentile(np.abs([stars["dra_mas"], stars["ddec_mas"]]), 90)))
    axes.axhline(0, color="0.7", lw=0.8)
    axes.axvline(0, color="0.7", lw=0.8)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", title="Positions: measured minus true")
    axes.set(xlabel="RA cos(Dec) (mas)", ylabel="Dec (mas)")
    return _encode(figure)


def photometry_figure(stars: Table) -> str:
    """Magnitude differences of the matched stars against their true magnitude."""
    figure, axes = _figure(7.0, 4.0)
    axes.scatter(stars["true_mag"], 1e3 * np.asarray(stars["dmag"]), s=3, alpha=0.4, linewidths=0)
    limit = 4e3 * max(1e-3, float(np.percentile(np.abs(stars["dmag"]), 80)))
    axes.axhline(0, color="0.7", lw=0.8)
    axes.set(ylim=(-limit, limit), title="PSF magnitudes: measured minus true")
    axes.set(xlabel="true AB magnitude", ylabel="difference (mmag)")
    return _encode(figure)


def zero_point_figure(visits: np.ndarray, errors_mmag: np.ndarray) -> str:
    """Zero-point error of each frame against its visit."""
    figure, axes = _figure(7.0, 3.0)
    axes.plot(visits, errors_mmag, "o", ms=4)
    axes.axhline(0, color="0.7", lw=0.8)
    axes.set(title="Zero point: measured minus true", xlabel="visit", ylabel="error (mmag)")
    return _encode(figure)


def _figure(width_inch: float, height_inch: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_inch, height_inch), layout="constrained")
    return figure, figure.subplots()


def _encode(figure: Figure) -> str:
    """The figure as base64 text."""
    return base64.b64encode(png_of(figure)).decode("ascii")
