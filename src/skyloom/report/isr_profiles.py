"""What a look at a frame before and after signature removal is drawn from: profiles, counts, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyloom.images import MASK_PLANES, bitmask
from skyloom.isr import AmplifierLayout, OverscanSettings, bin_bits, bin_image, fit_overscan, trimmed_overscan
from skyloom.kernels.clipped_statistics import clipped_statistics

__all__ = [
    "LineMedians",
    "OverscanProfile",
    "group_means",
    "in_electrons",
    "line_medians",
    "overscan_profile",
    "plane_counts",
    "stretch_of",
]

_UNUSABLE = ("BAD", "SAT", "INTRP", "NO_DATA", "UNMASKEDNAN")
_N_SIGMA = 5.0
_LEAST_LIMIT_ADU = 1.0
"""Whole counts scatter by their rounding, even where there is no noise."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OverscanProfile:
    """The serial overscan of one amplifier, ADU."""

    name: str
    rows: np.ndarray
    """Rows of the raw image."""
    means: np.ndarray
    """Mean of each row over the columns that count, hits left out; NaN without any."""
    levels: np.ndarray
    """What is taken off each row."""
    columns: np.ndarray
    """Distance from the data in columns: 1 is next to them."""
    column_residuals: np.ndarray
    """Mean over the rows, hits left out, of what the levels leave in each column, also in those that do not count."""
    counted: np.ndarray
    """Bool: columns that count."""
    noise: float
    """Scatter of single pixels that count about the levels."""

    @property
    def residuals(self) -> np.ndarray:
        """What the levels leave of each row."""
        return np.asarray(self.means - self.levels)


def overscan_profile(image: np.ndarray, layout: AmplifierLayout, settings: OverscanSettings) -> OverscanProfile | None:
    """The profile of an amplifier's serial overscan, its levels fitted as by the correction itself.

    Parameters
    ----------
    image
        The raw frame ``[y, x]``, ADU.
    layout
        The amplifier.
    settings
        Those of the correction.

    Returns
    -------
    profile
        None where the amplifier has no overscan, none of it is usable, or it is not corrected.
    """
    if layout.serial is None:
        return None
    counts = image[layout.serial]
    data_first = layout.data[1].start < layout.serial[1].start
    level = fit_overscan(trimmed_overscan(counts, settings, data_first=data_first), settings)
    if level is None:
        return None
    columns = np.arange(1, counts.shape[1] + 1)
    if not data_first:
        columns = columns[::-1]
    counted = (columns > settings.skip_leading) & (columns <= len(columns) - settings.skip_trailing)
    limit = max(_N_SIGMA * level.noise_adu, _LEAST_LIMIT_ADU)
    return OverscanProfile(
        name=layout.name,
        rows=np.arange(layout.serial[0].start, layout.serial[0].stop),
        means=_robust_means(counts[:, counted], limit),
        levels=level.levels_adu,
        columns=columns,
        column_residuals=_robust_means((counts - level.levels_adu[:, None]).T, limit),
        counted=counted,
        noise=level.noise_adu,
    )


def _robust_means(lines: np.ndarray, limit: float) -> np.ndarray:
    """Mean of each line ``[line, place]`` without what is farther than ``limit`` from its median, and without what is
    no number; NaN without any.
    """
    values = np.array(lines, np.float64)
    known = np.isfinite(values).any(axis=1)
    middle = np.full(len(values), np.nan)
    middle[known] = np.nanmedian(values[known], axis=1)
    near = np.abs(values - middle[:, None]) <= limit
    number = near.sum(axis=1)
    total = np.sum(values, axis=1, where=near)
    return np.asarray(np.divide(total, number, out=np.full(len(values), np.nan), where=number > 0))


def group_means(places: np.ndarray, values: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean place and mean value of so many equal groups of neighbours; values that are not numbers are left out."""
    parts = [part for part in np.array_split(np.flatnonzero(np.isfinite(values)), groups) if part.size]
    return np.array([places[part].mean() for part in parts]), np.array([values[part].mean() for part in parts])


@dataclass(frozen=True, kw_only=True, eq=False)
class LineMedians:
    """Medians of the rows and of the columns of an image; NaN where no pixel is usable."""

    rows: np.ndarray
    columns: np.ndarray


def line_medians(image: np.ndarray, bits: np.ndarray) -> LineMedians:
    """Medians over the pixels ``[y, x]`` that are numbers and not BAD, SAT, INTRP, NO_DATA or UNMASKEDNAN."""
    usable = np.where((bits & bitmask(*_UNUSABLE)) == 0, image, np.float32(np.nan))
    return LineMedians(rows=_medians(usable), columns=_medians(usable.T))


def _medians(lines: np.ndarray) -> np.ndarray:
    """Median of the numbers of each line."""
    medians = np.full(len(lines), np.nan)
    for number, line in enumerate(lines):
        values = line[np.isfinite(line)]
        if values.size:
            medians[number] = np.median(values)
    return medians


def plane_counts(bits: np.ndarray) -> dict[str, int]:
    """How many pixels each mask plane marks, for those that mark any, in the order of the schema."""
    counts = {name: int(np.count_nonzero(bits & bitmask(name))) for name in MASK_PLANES}
    return {name: count for name, count in counts.items() if count}


def stretch_of(image: np.ndarray, bits: np.ndarray, binning: int) -> float:
    """A stretch for `skyloom.isr.ThumbnailSettings` on whose linear part four sigma of the background lie, in the unit
    of the image.
    """
    found = clipped_statistics(bin_image(image, binning), bin_bits(bits, binning), bitmask("SAT", "BAD", "INTRP"))
    return 4.0 * found.sigma if found.accepted and found.sigma > 0 else 1.0


def in_electrons(image: np.ndarray, layouts: Sequence[AmplifierLayout]) -> np.ndarray:
    """A trimmed image in ADU (``[y, x]``) times the gains of its amplifiers."""
    electrons = np.full(image.shape, np.nan, np.float32)
    for layout in layouts:
        electrons[layout.trimmed] = image[layout.trimmed] * np.float32(layout.gain)
    return electrons
