"""The electronic level of an amplifier, from pixels that were read out but never exposed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline

from skyloom.kernels.statistics import clipped_mean

if TYPE_CHECKING:
    from .settings import OverscanSettings

__all__ = ["OverscanLevel", "fit_overscan", "trimmed_overscan"]

_SIGMA_OF_QUARTILES = 0.741301109252802
_MIN_KNOTS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class OverscanLevel:
    """The level of one overscan region, line by line."""

    levels_adu: np.ndarray
    """One level a line (float64); all equal where the method takes one level for the whole region."""
    median_adu: float
    scatter_adu: float
    """Standard deviation of the levels over the lines."""
    noise_adu: float
    """Standard deviation (clipped at 3 sigma) of single pixels about the level: the read noise."""

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
        Raw counts ``[line, column]`` of the region, levels being sought for each line; integers or floats.
    settings
        Method and rejection.

    Returns
    -------
    level
        None where the method is NONE or no pixel can be used.

    Notes
    -----
    Integer counts are treated as what they are, a continuous level rounded to whole counts: the median is
    interpolated inside its bin, by how many pixels share it.  The plain median of whole numbers would be off by up to
    half a count wherever the noise is below one.
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
    integer = np.issubdtype(pixels.dtype, np.integer)
    levels = _levels(counts, usable, integer, settings)
    residual = (counts - levels[:, None])[usable]
    return OverscanLevel(
        levels_adu=levels,
        median_adu=float(np.median(levels)),
        scatter_adu=float(np.std(levels)),
        noise_adu=float(clipped_mean(residual, 3.0, 3)[1]),
    )


def _levels(counts: np.ndarray, usable: np.ndarray, integer: bool, settings: OverscanSettings) -> np.ndarray:
    lines = counts.shape[0]
    method = settings.method
    if method == "MEDIAN":
        everything = np.where(usable, counts, np.nan).reshape(1, -1)
        return np.full(lines, _line_medians(everything, integer)[0])
    if method == "MEAN":
        return np.full(lines, clipped_mean(counts[usable], 3.0, 3)[0])
    masked = np.where(usable, counts, np.nan)
    levels = _line_means(masked) if method == "MEAN_PER_ROW" else _line_medians(masked, integer)
    levels = _bridged(levels)
    return _spline(levels, settings.spline_knots) if method == "SPLINE" else levels


def _line_medians(counts: np.ndarray, integer: bool) -> np.ndarray:
    """Median of the finite values of each line; NaN for a line without any."""
    ordered = np.sort(counts, axis=1)  # NaN last
    number = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(ordered))
    low, high = (
        ordered[rows, np.maximum(number - 1, 0) // 2],
        ordered[rows, np.minimum(number // 2, ordered.shape[1] - 1)],
    )
    if not integer:
        return np.asarray(0.5 * (low + high))
    below = (counts < low[:, None]).sum(axis=1)
    equal = (counts == low[:, None]).sum(axis=1)
    inside = low - 0.5 + (0.5 * number - below) / np.maximum(equal, 1)
    # With an even number the two middle values may lie in different bins: the level is between them.
    return np.asarray(np.where(low == high, inside, 0.5 * (low + high)))


def _line_means(counts: np.ndarray) -> np.ndarray:
    """Mean of each line without what is more than 3 sigma (from the quartiles) off its median."""
    good = np.isfinite(counts)
    levels = np.full(len(counts), np.nan)
    filled = good.any(axis=1)
    low, middle, high = np.nanpercentile(counts[filled], [25, 50, 75], axis=1)
    width = 3.0 * np.maximum(_SIGMA_OF_QUARTILES * (high - low), 0.5)
    near = np.abs(counts[filled] - middle[:, None]) <= width[:, None]
    levels[filled] = np.nanmean(np.where(near, counts[filled], np.nan), axis=1)
    return levels


def _bridged(levels: np.ndarray) -> np.ndarray:
    """Fill lines without a level linearly from their neighbours."""
    good = np.isfinite(levels)
    lines = np.arange(len(levels))
    return np.asarray(np.interp(lines, lines[good], levels[good]))


def _spline(levels: np.ndarray, knots: int) -> np.ndarray:
    """A natural cubic spline through the medians of groups of lines."""
    groups = np.array_split(np.arange(len(levels)), min(max(knots, _MIN_KNOTS), len(levels)))
    if len(groups) < _MIN_KNOTS:
        return np.full_like(levels, np.median(levels))
    nodes = np.array([group.mean() for group in groups])
    values = np.array([np.median(levels[group]) for group in groups])
    return np.asarray(CubicSpline(nodes, values, bc_type="natural")(np.arange(len(levels))))
