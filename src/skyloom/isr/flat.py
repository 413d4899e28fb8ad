"""Divide by the relative response of the pixels."""

from __future__ import annotations

import numpy as np

from skyloom.errors import BadFrameError

__all__ = ["divide_by_flat", "normalised_flat"]


def normalised_flat(flat: np.ndarray, unusable: np.ndarray, *, file: str) -> tuple[np.ndarray, float]:
    """A flat frame over its median, ``[y, x]`` float64, so that a detector keeps its level; and that median.

    Parameters
    ----------
    flat
        Response in any unit, the gains already applied.
    unusable
        Bool: pixels that do not count for the median.

    Raises
    ------
    BadFrameError
        If no pixel is positive.
    """
    good = ~unusable & np.isfinite(flat) & (flat > 0)
    if not good.any():
        raise BadFrameError(
            "the flat frame has no positive pixel.", file=file, cure="Import another one with 'skyloom calibs import'."
        )
    level = float(np.median(flat[good]))
    return np.asarray(flat / level, dtype=np.float64), level


def divide_by_flat(
    image: np.ndarray, variance: np.ndarray, flat: np.ndarray, flat_variance: np.ndarray, *, minimum: float
) -> np.ndarray:
    """Divide image and variance (``[y, x]``, in place) by a normalised flat.

    The variance of the quotient is (V + (I / f)^2 V_f) / f^2.

    Returns
    -------
    bad
        Bool ``[y, x]``: pixels whose response is not a number, not positive or below ``minimum``.  Those are left
        undivided.
    """
    good = np.isfinite(flat) & (flat > 0) & (flat >= minimum)
    divisor = np.where(good, flat, 1.0)
    image /= divisor
    variance += np.where(good, flat_variance, 0.0) * image.astype(np.float64) ** 2
    variance /= divisor**2
    return ~good
