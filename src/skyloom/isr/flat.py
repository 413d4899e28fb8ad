"""Divide by the relative response of the pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.order_statistics import pixel_quantiles
from skyloom.kernels.signature import divide_by_response

if TYPE_CHECKING:
    from .amplifiers import AmplifierLayout
    from .masters import MasterPlanes

__all__ = ["divide_by_flat", "flat_level", "multiply_by_flat"]


def flat_level(
    flat: MasterPlanes,
    layouts: Sequence[AmplifierLayout],
    factors: Mapping[str, float],
    statistic: Literal["MEDIAN", "MEAN"] = "MEDIAN",
    *,
    file: str | None = None,
) -> float:
    """Median or mean of the usable positive pixels of a flat frame, each amplifier times its factor.

    Raises
    ------
    BadFrameError
        If no pixel is positive.
    """
    scaled = flat.image
    if len(set(factors.values())) > 1:
        scaled = np.full(flat.image.shape, np.nan, np.float32)
        for layout in layouts:
            scaled[layout.trimmed] = flat.image[layout.trimmed] * np.float32(factors[layout.name])
        common = 1.0
    else:
        common = next(iter(factors.values()))
    if statistic == "MEAN":
        usable = ~flat.unusable_pixels() & (scaled > 0)
        level = float(np.mean(scaled, where=usable, dtype=np.float64)) if usable.any() else math.nan
    else:
        (level,), _ = pixel_quantiles(np.asarray(scaled, np.float32), flat.mask, flat.unusable, (0.5,), above=0.0)
    if math.isnan(level):
        raise BadFrameError(
            "the flat frame has no positive pixel.", file=file, cure="Import another one with 'skyloom calibs import'."
        )
    return common * float(level)


def divide_by_flat(
    image: np.ndarray, variance: np.ndarray, bits: np.ndarray, flat: MasterPlanes, scale: float, *, minimum: float = 0.0
) -> int:
    """Divide image and variance ``[y, x]`` by ``scale`` times a flat, in place.

    The variance of the quotient is (V + (I / f)^2 V_f) / f^2.  Unusable pixels of the flat become BAD; so do those
    whose scaled response is not positive or is below ``minimum``, which are left undivided.

    Returns
    -------
    count
        Pixels that were left undivided.
    """
    planes = flat.image, flat.variance, flat.mask
    return int(divide_by_response(image, variance, *planes, flat.unusable, scale, minimum, bits, bitmask("BAD")))


def multiply_by_flat(image: np.ndarray, variance: np.ndarray, flat: MasterPlanes, scale: float) -> None:
    """Undo `divide_by_flat`, in place; the noise of the flat is added once more."""
    response = np.where(np.isfinite(flat.image) & (flat.image > 0), scale * flat.image, 1.0)
    variance[...] = variance * response**2 + image.astype(np.float64) ** 2 * scale**2 * flat.usable_variance()
    image *= response
