"""Statistics of each amplifier of a corrected frame, for its header."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.clipped_statistics import clipped_statistics

if TYPE_CHECKING:
    from .amplifiers import AmplifierLayout

__all__ = ["amplifier_statistics"]


def amplifier_statistics(
    image: np.ndarray, bits: np.ndarray, layouts: Iterable[AmplifierLayout], overscan_levels: Mapping[str, float]
) -> dict[str, float | int]:
    """Header keys of the amplifiers of a trimmed frame (``[y, x]``).

    For each amplifier: the numbers of saturated and of bad pixels; mean, median and clipped standard deviation of all
    pixels that are numbers; and the level, which is that median less the overscan's.  What cannot be said is NaN.

    Parameters
    ----------
    image, bits
        Pixels and mask bits.
    layouts
        The amplifiers.
    overscan_levels
        Median of the serial overscan by amplifier name, in the unit of the image.
    """
    keys: dict[str, float | int] = {}
    for layout in layouts:
        name, part = layout.name, layout.trimmed
        for plane in ("SAT", "BAD"):
            keys[f"LSST ISR MASK {plane} {name}"] = int(np.count_nonzero(bits[part] & bitmask(plane)))
        found = clipped_statistics(image[part], bits[part])
        keys[f"LSST ISR FINAL MEAN {name}"] = found.whole_mean
        keys[f"LSST ISR FINAL MEDIAN {name}"] = found.median
        keys[f"LSST ISR FINAL STDEV {name}"] = found.sigma
        keys[f"LSST ISR LEVEL {name}"] = found.median - overscan_levels.get(name, math.nan)
    return keys
