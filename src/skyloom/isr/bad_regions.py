"""Give bad pixels the level of the frame, so that what follows meets no wild values."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.clipped_statistics import clipped_statistics

__all__ = ["BadRegionStatistic", "fill_bad_regions"]

BadRegionStatistic = Literal["MEDIAN", "MEANCLIP"]


def fill_bad_regions(
    image: np.ndarray, bits: np.ndarray, statistic: BadRegionStatistic = "MEDIAN"
) -> tuple[int, float]:
    """Set pixels that are BAD and not interpolated (INTRP) to the level of the pixels that are not BAD.

    Parameters
    ----------
    image
        ``[y, x]``, changed in place; the variance stays as it is.
    bits
        Mask bits ``[y, x]``.
    statistic
        Median, or the mean without what is more than 3 sigma off.

    Returns
    -------
    count
        Pixels filled.
    level
        In the unit of the image; NaN where every pixel is BAD or not finite, and then so are the filled pixels.

    Raises
    ------
    ValueError
        If the statistic is another one.
    """
    if statistic not in get_args(BadRegionStatistic):
        raise ValueError(f"The level is a {' or '.join(get_args(BadRegionStatistic))}, not {statistic!r}.")
    found = clipped_statistics(image, bits, bitmask("BAD"))
    level = found.median if statistic == "MEDIAN" else found.mean
    fill = (bits & bitmask("BAD", "INTRP")) == bitmask("BAD")
    image[fill] = level
    return int(np.count_nonzero(fill)), level
