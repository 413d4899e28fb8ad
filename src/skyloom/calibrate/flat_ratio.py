"""Photometry in the flat field of the stars, and the sky in that of the sky."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask

if TYPE_CHECKING:
    from skyloom.images.exposure import Exposure

__all__ = ["apply_flat_ratio", "in_flat_of_sky"]


def apply_flat_ratio(exposure: Exposure, ratio: np.ndarray) -> np.ndarray:
    """Divide image and variance in place by the flat of photometry over that which was applied.

    A flat taken of the sky, or of a screen, holds light that the optics scatter onto the detector, and is not the
    response to a star (Manfroid, Selman & Jones 2001, The Messenger 104, 16).

    Parameters
    ----------
    exposure
        After flat fielding.
    ratio
        ``[y, x]``.  Pixels where it is not finite and positive become BAD and stay as they are.

    Returns
    -------
    ratio
        float32, 1 where it was not usable.

    Raises
    ------
    BadFrameError
        If the shape is not that of the exposure.
    """
    if ratio.shape != exposure.image.array.shape:
        raise BadFrameError(
            f"the ratio of flats has the shape {ratio.shape}, the frame {exposure.image.array.shape}",
            cure="Give flats of the trimmed detector.",
        )
    usable = np.isfinite(ratio) & (ratio > 0)
    clean = np.where(usable, ratio, 1.0).astype(np.float32)
    exposure.bits[~usable] |= bitmask("BAD")
    exposure.image.array[...] /= clean
    exposure.variance.array[...] /= clean**2
    exposure.metadata["LSST CALIB ILLUMCORR APPLIED"] = True
    return clean


@contextmanager
def in_flat_of_sky(exposure: Exposure, ratio: np.ndarray | None) -> Iterator[None]:
    """Show the image as the flat that was applied left it, in which the sky is flat; nothing without a ratio."""
    if ratio is None:
        yield
        return
    exposure.image.array[...] *= ratio
    try:
        yield
    finally:
        exposure.image.array[...] /= ratio
