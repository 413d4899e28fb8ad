"""The electronic level of an amplifier, from pixels that were read out but never exposed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom.kernels.statistics import clipped_mean

from .overscan_levels import LINE_METHODS, line_levels, region_level

if TYPE_CHECKING:
    from .settings import OverscanSettings

__all__ = ["OverscanLevel", "fit_overscan", "trimmed_overscan"]


@dataclass(frozen=True, kw_only=True, eq=False)
class OverscanLevel:
    """The level of one overscan region, line by line."""

    levels_adu: np.ndarray
    """One level a line (float64); all equal where the method takes one level for the whole region."""
    mean_adu: float
    median_adu: float
    scatter_adu: float
    """Standard deviation of the levels over the lines."""
    residual_mean_adu: float
    residual_median_adu: float
    """Of what the level leaves of the usable pixels."""
    noise_adu: float
    """Standard deviation (clipped at 3 sigma) of single pixels about the level: the read noise."""
    known: np.ndarray
    """Bool, lines with a usable pixel; the levels of the others come from their neighbours."""

    def at(self, lines: np.ndarray, first: int) -> np.ndarray:
        """Levels at line numbers of the raw image, where the region starts at line ``first``; outside the region the
        nearest level holds.
        """
        inside = np.clip(np.asarray(lines) - first, 0, len(self.levels_adu) - 1)
        return np.asarray(self.levels_adu[inside])


def trimmed_overscan(pixels: np.ndarray, settings: OverscanSettings, *, data_first: bool) -> np.ndarray:
    """Leave out columns on either side; "leading" is the side next to the data.

    Parameters
    ----------
    pixels
        Overscan ``[line, column]``.
    settings
        How many columns to leave out.
    data_first
        Whether the data lie at lower columns than the overscan.
    """
    low, high = settings.skip_leading, settings.skip_trailing
    if not data_first:
        low, high = high, low
    return pixels[:, low : pixels.shape[1] - high]


def fit_overscan(pixels: np.ndarray, settings: OverscanSettings) -> OverscanLevel | None:
    """Fit the level of an overscan region.

    Parameters
    ----------
    pixels
        Raw counts ``[line, column]`` of the region, levels being sought for each line.
    settings
        Method and rejection.

    Returns
    -------
    level
        None where the method is NONE or no pixel can be used.

    Notes
    -----
    Whole counts are treated as what they are, a continuous level that was rounded: medians are interpolated
    inside their bin, by how many pixels share it.  The plain median of whole numbers would be off by up to half a count
    wherever the noise is below one.
    """
    if settings.method == "NONE" or pixels.size == 0:
        return None
    counts = np.asarray(pixels, dtype=np.float64)
    usable = np.isfinite(counts)
    if not usable.any():
        return None
    usable &= np.abs(counts - np.median(counts[usable])) <= settings.max_deviation_adu
    if not usable.any():
        return None
    integer = not np.any(counts[usable] % 1.0)
    masked = np.where(usable, counts, np.nan)
    if settings.method in LINE_METHODS:
        levels, known = line_levels(masked, settings.method, settings.order, settings.n_sigma, integer=integer)
    else:
        level = region_level(masked, settings.method, settings.n_sigma, integer=integer)
        levels, known = np.full(len(counts), level), np.isfinite(masked).any(axis=1)
    residual = (counts - levels[:, None])[usable]
    return OverscanLevel(
        levels_adu=levels,
        mean_adu=float(np.mean(levels)),
        median_adu=float(np.median(levels)),
        scatter_adu=float(np.std(levels)),
        residual_mean_adu=float(np.mean(residual)),
        residual_median_adu=float(np.median(residual)),
        noise_adu=float(clipped_mean(residual, 3.0, 3)[1]),
        known=known,
    )
