"""What goes through the same resampling as a frame: realisations of its noise, and the share of its bad pixels."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from lsst.images import Image

from skyloom.images import Exposure, bitmask

if TYPE_CHECKING:
    from lsst.images import Box

__all__ = ["masked_share", "noise_realisation", "typical_variance"]

_SAMPLE = 1_000_000
"""Pixels that the typical variance is taken from, every n-th in both axes."""


def noise_realisation(
    exposure: Exposure, whole: Box, seeds: Sequence[int], typical: float, *, per_pixel: bool = False
) -> Exposure:
    """A frame of noise alone, Gaussian, with the mask and variance of another.

    The number that a pixel draws depends on the seeds and on where it lies on the detector, not on the part of the
    frame at hand: neighbouring patches see the same noise.

    Parameters
    ----------
    exposure
        The frame, or a part of it.
    whole
        Box of the whole frame.
    seeds
        Numbers of 0 or more that name the realisation: visit, detector, number of it, offset.
    typical
        Variance of the noise, of all pixels or (``per_pixel``) of those without a measurement.
    per_pixel
        Whether each measured pixel has noise of its own variance, in which that of the sources is.

    Returns
    -------
    Exposure
        It shares mask and variance with the frame; where that has no value, it has none.
    """
    rng = np.random.default_rng(list(seeds))
    noise = rng.standard_normal(whole.shape, dtype=np.float32)[exposure.bbox.slice_within(whole)]
    variance = exposure.variance.array
    if per_pixel:
        noise = noise * np.sqrt(np.where(np.isfinite(variance), variance, np.float32(typical)))
    else:
        noise = noise * np.float32(np.sqrt(typical))
    noise[~np.isfinite(exposure.image.array)] = np.nan
    return _with_image(exposure, noise)


def typical_variance(variance: np.ndarray) -> float:
    """Median of the finite values of a variance plane ``[y, x]``, from a million pixels; NaN without any."""
    step = int(np.ceil(np.sqrt(variance.size / _SAMPLE)))
    values = variance[::step, ::step]
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


def masked_share(exposure: Exposure, planes: Sequence[str]) -> Exposure:
    """A frame that is 1 in bad pixels and 0 in others: warped, it tells the share of bad pixels.

    Bad are pixels without a value or a measurement, and those with one of the mask planes.
    """
    bad = (exposure.bits & bitmask(*planes)) != 0
    bad |= ~(np.isfinite(exposure.image.array) & np.isfinite(exposure.variance.array))
    shares = _with_image(exposure, bad.astype(np.float32))
    shares.variance = Image(np.zeros(bad.shape, np.float32), bbox=exposure.bbox)
    shares.mask = exposure.mask.copy()
    shares.bits[...] = 0
    return shares


def _with_image(exposure: Exposure, pixels: np.ndarray) -> Exposure:
    """The frame with other pixel values, and the same planes beside them."""
    twin = copy.copy(exposure)
    twin.image = Image(np.ascontiguousarray(pixels, np.float32), bbox=exposure.bbox)
    twin.metadata = dict(exposure.metadata)
    return twin
