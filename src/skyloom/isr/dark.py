"""Take off the dark current."""

from __future__ import annotations

import math

import numpy as np

from skyloom.errors import BadFrameError

__all__ = ["subtract_dark"]


def subtract_dark(image: np.ndarray, dark_rate: np.ndarray, dark_time_s: float, *, file: str) -> None:
    """Subtract ``dark_time_s`` times the dark current (electrons a second, ``[y, x]``) from an image in electrons, in
    place.

    Raises
    ------
    BadFrameError
        If the dark time is not a finite number, zero or more.
    """
    if not (math.isfinite(dark_time_s) and dark_time_s >= 0):
        raise BadFrameError(
            f"the dark time is {dark_time_s} s.",
            file=file,
            cure="Say in the camera's description where the exposure time stands, or leave the dark out.",
        )
    np.subtract(image, dark_time_s * dark_rate, out=image, where=np.isfinite(dark_rate), casting="same_kind")
