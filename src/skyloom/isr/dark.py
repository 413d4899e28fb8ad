"""Take off the dark current."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import astropy.units as u

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.signature import add_master

if TYPE_CHECKING:
    import numpy as np
    from astro_metadata_translator import ObservationInfo

    from .masters import MasterPlanes

__all__ = ["dark_time", "subtract_dark"]


def dark_time(info: ObservationInfo | None) -> float:
    """Seconds over which dark current gathered: the dark time of an observation, else its exposure time, else NaN."""
    for time in () if info is None else (info.dark_time, info.exposure_time):
        if time is not None and math.isfinite(time.to_value(u.s)):
            return float(time.to_value(u.s))
    return math.nan


def subtract_dark(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    dark: MasterPlanes,
    factor: float,
    *,
    file: str | None = None,
) -> None:
    """Subtract ``factor`` times a dark frame from image and mask ``[y, x]`` in place.

    The variance of the dark, times the factor squared, adds to that of the image; unusable pixels of the dark become
    BAD, and those that are not finite are not subtracted.

    Parameters
    ----------
    image, variance, bits
        Change in place.
    dark
        Current, in the unit of the image a second, or of another dark time.
    factor
        The dark time of the image in seconds, or over that of the dark frame; times what turns the unit of the dark
        into that of the image.  Negative to add the dark again.
    file
        The frame, for errors.

    Raises
    ------
    BadFrameError
        If the factor is not finite.
    """
    if not math.isfinite(factor):
        raise BadFrameError(
            f"the dark time is {factor} s.",
            file=file,
            cure="Say in the camera's description where the exposure time stands, or leave the dark out.",
        )
    add_master(image, variance, bits, dark.image, dark.variance, dark.mask, dark.unusable, -factor, bitmask("BAD"))
