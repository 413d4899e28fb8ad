"""Small pictures of a frame for quick looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.visualization import make_lupton_rgb
from scipy import ndimage

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.clipped_statistics import clipped_statistics

from .binning import bin_bits, bin_image

__all__ = ["ThumbnailSettings", "thumbnail"]

_IGNORED_PLANES = ("SAT", "BAD", "INTRP")


@dataclass(frozen=True, kw_only=True)
class ThumbnailSettings:
    """Size and stretch of a thumbnail."""

    binning: int = 4
    black_sigma: float = 3.0
    """How far below the background black is, in units of its scatter."""
    stretch: float = 5.0
    """In the unit of the image; this over `softening` above black the picture turns from linear to logarithmic."""
    softening: float = 20.0
    """The Q of Lupton et al."""
    saturated_border: int = 2
    """Width in binned pixels of the border around saturated pixels that is as bright as these; 0 for no border and
    saturated pixels as they are."""


def thumbnail(image: np.ndarray, bits: np.ndarray, settings: ThumbnailSettings) -> np.ndarray:
    """A picture of a frame (``[y, x]``), uint8 ``[y, x, colour]``, stretched by an inverse hyperbolic sine.

    Black is a little below the background.  Pixels that are SAT, BAD or INTRP do not count for that; saturated ones are
    as bright as the brightest that do count.  Pixels without a value are black.  Lupton et al. 2004, PASP 116, 133.
    """
    small, small_bits = bin_image(image, settings.binning), bin_bits(bits, settings.binning)
    background = clipped_statistics(small, small_bits, bitmask(*_IGNORED_PLANES))
    if background.accepted == 0:
        return np.zeros((*small.shape, 3), np.uint8)
    black = background.median - settings.black_sigma * np.nan_to_num(background.sigma)
    if settings.saturated_border > 0:
        saturated = (small_bits & bitmask("SAT")) != 0
        if saturated.any():
            saturated = ndimage.binary_dilation(saturated, iterations=settings.saturated_border)
        small[saturated] = np.nanmax(small[(small_bits & bitmask(*_IGNORED_PLANES)) == 0])
    small[~np.isfinite(small)] = black
    return np.asarray(
        make_lupton_rgb(small, small, small, minimum=black, stretch=settings.stretch, Q=settings.softening)
    )
