"""Figures of the noise of a coadd: sky pixels, their correlation, PSF fluxes of empty sky."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .patch_noise import Noise
from .visit_style import BAD, GOOD, NEUTRAL

__all__ = ["noise_figure"]

_LIMIT = 5.5
_MOST_BINS = 88


def noise_figure(noise: Noise) -> Figure:
    """Signal to noise of sky pixels beside a Gaussian, correlation by distance, and PSF fluxes of empty sky."""
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    pixels, lags, fluxes = figure.subplots(1, 3)
    _histogram(pixels, noise.pulls)
    pixels.set(xlabel="sky pixel / √variance", ylabel="probability density")
    pixels.set_title(f"sky pixels: scatter {noise.scatter:.2f}", fontsize="medium")
    known = np.flatnonzero(np.isfinite(noise.correlation))
    lags.axhline(0.0, color=NEUTRAL, lw=0.8)
    lags.plot(known, noise.correlation[known], "o-", color=GOOD, ms=4, lw=1.0)
    lags.set(xlabel="distance along x and y (px)", ylabel="correlation of sky pixels", ylim=(-0.25, 1.05))
    lags.set_title(f"next neighbours: {noise.correlation[1]:+.2f}", fontsize="medium")
    if np.isfinite(noise.flux_scatter):
        _histogram(fluxes, noise.flux_pulls)
        fluxes.set_title(f"PSF fluxes of empty sky: scatter {noise.flux_scatter:.2f}", fontsize="medium")
    else:
        fluxes.text(
            0.5, 0.5, "too few places\nwithout a source", ha="center", transform=fluxes.transAxes, color=NEUTRAL
        )
        fluxes.set_title("PSF fluxes of empty sky", fontsize="medium")
    fluxes.set_xlabel("flux less median / error by variances")
    return figure


def _histogram(axes: Axes, values: np.ndarray) -> None:
    """Values as a histogram with the Gaussian of unit width; what lies beyond stands in the last bins."""
    bins = int(np.clip(2.0 * np.sqrt(values.size), 12, _MOST_BINS))
    edges = np.linspace(-_LIMIT, _LIMIT, bins + 1)
    inside = np.clip(values, -0.999 * _LIMIT, 0.999 * _LIMIT)
    axes.hist(inside, bins=list(edges), density=True, histtype="stepfilled", color=GOOD, alpha=0.5, linewidth=0)
    place = np.linspace(-_LIMIT, _LIMIT, 201)
    axes.plot(place, np.exp(-0.5 * place**2) / np.sqrt(2.0 * np.pi), color=BAD, lw=1.2, label="unit Gaussian")
    axes.set_yscale("log")
    axes.set(xlim=(-_LIMIT, _LIMIT), ylim=(max(0.3 / (values.size * (edges[1] - edges[0])), 1e-6), 2.0))
    axes.legend(loc="lower center", frameon=False, fontsize="small")
