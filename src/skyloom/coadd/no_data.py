"""`interpolate_missing`: values for pixels of a coadd that have none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from skyloom.images import Exposure, bitmask
from skyloom.kernels.clipped_statistics import clipped_statistics
from skyloom.kernels.interpolate_rows import interpolate_rows

__all__ = ["Fallback", "InterpolationSettings", "fallback_value", "interpolate_missing", "median_level"]


class Fallback(StrEnum):
    """What stands in where there is nothing to interpolate from."""

    MEAN = "MEAN"
    """Of all finite pixels, as the next two are."""
    MEDIAN = "MEDIAN"
    MEANCLIP = "MEANCLIP"
    USER = "USER"
    """A given value."""


@dataclass(frozen=True, kw_only=True)
class InterpolationSettings:
    """How missing pixels get a value."""

    fallback: Fallback = Fallback.MEDIAN
    """Value for rows without a good pixel, and beyond the ends of the others."""
    user_value: float = 0.0
    """That of USER."""
    negative_allowed: bool = False
    """Whether it may be negative; else 0 stands in for it."""
    fallback_at_edges: bool = True
    """Whether it is used in runs of more than 6 pixels that reach an end of their row; else these are extrapolated."""
    transpose: bool = False
    """Whether runs go along columns."""

    def __post_init__(self) -> None:
        if self.fallback is Fallback.USER and self.user_value < 0.0 and not self.negative_allowed:
            raise ValueError(f"The fallback value {self.user_value} is negative, and that is not allowed.")


def fallback_value(image: np.ndarray, settings: InterpolationSettings) -> tuple[float, bool]:
    """The fallback of an image ``[y, x]``, NaN where it has no finite pixel, and whether 0 stands in for it."""
    if settings.fallback is Fallback.USER:
        value = settings.user_value
    else:
        found = clipped_statistics(image, np.zeros(image.shape, np.int32))
        value = {
            Fallback.MEAN: found.whole_mean,
            Fallback.MEDIAN: found.median,
            Fallback.MEANCLIP: found.mean,
        }[settings.fallback]
    if value < 0.0 and not settings.negative_allowed:
        return 0.0, True
    return float(value), False


def median_level(image: np.ndarray) -> float:
    """Median of every fourth finite pixel in x and y of an image ``[y, x]``; 0 without any."""
    values = image[::4, ::4]
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else 0.0


def interpolate_missing(
    exposure: Exposure,
    missing: np.ndarray,
    settings: InterpolationSettings | None = None,
    fallback: float | None = None,
) -> np.ndarray:
    """Give missing pixels values from those beside them in their rows, in place; see `interpolate_rows`.

    They get INTRP, keep their other planes, and have the variance +inf: nothing was measured there.

    Parameters
    ----------
    exposure
        The picture.
    missing
        bool ``[y, x]``: its pixels to fill.
    settings
        How.
    fallback
        The fallback, if it is known.

    Returns
    -------
    filled
        bool ``[y, x]``: pixels that got a value.  Without any finite pixel in the picture only USER gives one.
    """
    settings = settings or InterpolationSettings()
    pixels = exposure.image.array
    if fallback is None:
        fallback = fallback_value(pixels, settings)[0]
    if settings.transpose:
        turned = np.ascontiguousarray(pixels.T)
        filled = interpolate_rows(turned, np.ascontiguousarray(missing.T), fallback, settings.fallback_at_edges).T
        pixels[...] = turned.T
    else:
        filled = interpolate_rows(pixels, missing, fallback, settings.fallback_at_edges)
    exposure.variance.array[missing] = np.inf
    exposure.bits[filled] |= bitmask("INTRP")
    return np.asarray(filled)
