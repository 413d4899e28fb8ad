"""`build_difference_image`: what clipping takes from the mean of a stack of warps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import astropy.units as u
import numpy as np
from lsst.images import Box, Image, SkyProjection

from skyloom.errors import NoOverlapError
from skyloom.images import Exposure, bitmask
from skyloom.kernels.clip_difference import clip_difference

from .assemble import coadd_extent, coadd_psf, strips
from .clip_settings import SafeClipSettings
from .combine import read_planes, relative_weights
from .inputs import CoaddInput
from .settings import CoaddSettings

__all__ = ["DifferenceImage", "build_difference_image"]


@dataclass(kw_only=True, eq=False)
class DifferenceImage(Exposure):
    """The mean of warps less their clipped mean."""

    clipped_mean: Image | None = None
    """The clipped mean, nJy, on the same pixels."""


def build_difference_image(
    inputs: Sequence[CoaddInput], box: Box, projection: SkyProjection[Any], settings: SafeClipSettings | None = None
) -> DifferenceImage:
    """The weighted mean of the warps less their clipped mean, strip by strip.

    Where all samples agree it is zero but for noise.  Where one of n stands out by d, the mean moves by d / n and the
    clipped mean stays.

    Parameters
    ----------
    inputs
        Weighted warps.
    box
        Pixels of the tract.
    projection
        Sky projection of the tract.
    settings
        How to clip, and the memory.

    Returns
    -------
    DifferenceImage
        Image in nJy, 0 where one sample is usable and NaN where none is; variance the sum of those of both means, which
        is more than that of their difference, for they share most samples: a threshold of 2 sigma is a strict one.  Its
        PSF is that of the mean, of the warps that have one.

    Raises
    ------
    NoOverlapError
        If there is no input, or none reaches the box.
    BadFrameError
        If the PSF of a warp is on the pixels of another projection.
    """
    settings = settings or SafeClipSettings()
    if not inputs:
        raise NoOverlapError("No warp can take part in the coadd.", cure="Look at why the warps were left out.")
    known = [part for part in inputs if part.handle.get(component="psf") is not None]
    clipped_mean = np.full(box.shape, np.nan, np.float32)
    difference = DifferenceImage.from_arrays(
        np.full(box.shape, np.nan, np.float32),
        np.full(box.shape, bitmask("NO_DATA"), np.int32),
        x0=box.x.start,
        y0=box.y.start,
        unit=u.nJy,
        projection=projection,
        psf=coadd_psf(known, box, projection) if known else None,
        clipped_mean=Image(clipped_mean, bbox=box),
    )
    clip, bad = (settings.n_sigma, settings.iterations), bitmask(*settings.bad_planes)
    memory = CoaddSettings(max_memory_mb=settings.max_memory_mb)
    stacks = _Stacks(inputs)
    for strip in strips(coadd_extent(inputs, box), len(inputs), memory):
        at, stack = strip.slice_within(box), stacks.read(strip)
        image, variance, clipped, bits = clip_difference(
            *stack, relative_weights(inputs), bad, clip, bitmask("NO_DATA")
        )
        difference.image.array[at], difference.variance.array[at], difference.bits[at] = image, variance, bits
        clipped_mean[at] = clipped
    return cast("DifferenceImage", difference)


class _Stacks:
    """Reads the planes of all inputs, strip by strip, into the same memory."""

    def __init__(self, inputs: Sequence[CoaddInput]) -> None:
        self._inputs = inputs
        self._image = self._variance = np.empty(0, np.float32)
        self._bits = np.empty(0, np.int32)

    def read(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, variance and mask bits ``[n, y, x]`` inside a box, valid until the next reading."""
        shape = (len(self._inputs), *box.shape)
        size = int(np.prod(shape))
        if self._image.size < size:
            self._image, self._variance = np.empty(size, np.float32), np.empty(size, np.float32)
            self._bits = np.empty(size, np.int32)
        image, variance, bits = (plane[:size].reshape(shape) for plane in (self._image, self._variance, self._bits))
        for n, part in enumerate(self._inputs):
            read_planes(part, box, {}, 0, (image[n], variance[n], bits[n]))
        return image, variance, bits
