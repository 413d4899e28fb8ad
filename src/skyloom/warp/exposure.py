"""`warp_exposure`: one frame resampled onto another pixel grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from lsst.images import Box, SkyProjection

from skyloom.errors import AstrometryError, NoOverlapError
from skyloom.images import Exposure, bitmask
from skyloom.kernels.resample import resample
from skyloom.psf import WarpedPsf

from .mapping import overlap_box, pixel_mapping
from .settings import WarpSettings

__all__ = ["empty_exposure", "warp_exposure"]


def warp_exposure(
    exposure: Exposure,
    destination_box: Box,
    destination_projection: SkyProjection[Any],
    settings: WarpSettings | None = None,
) -> Exposure:
    """Resample image, variance and mask of a frame onto another pixel grid.

    Flux is conserved: a pixel's value is multiplied by the area that it covers on the source.  Pixels to which no
    source pixel contributes, or which lie within the kernel's reach of pixels without a value, are missing (NaN,
    variance +inf, NO_DATA; also EDGE at the frame's border).  Pixels of which interpolated source pixels make up more
    than ``settings.significant_weight`` keep their value, with variance +inf.

    Parameters
    ----------
    exposure
        A frame with a sky projection.
    destination_box
        The pixels to fill.
    destination_projection
        Sky projection of the destination's pixels.
    settings
        How to resample.

    Returns
    -------
    Exposure
        The warped frame, with the source's unit, passband, observation and photometric calibration, and with its PSF
        as seen on the new pixels.

    Raises
    ------
    AstrometryError
        If the frame has no sky projection, or one that cannot be interpolated.
    NoOverlapError
        If the frame does not touch the box.
    """
    settings = settings or WarpSettings()
    source = exposure.projection
    if source is None:
        raise AstrometryError("The frame to warp has no WCS.", cure="Calibrate it first.")
    box = overlap_box(source, destination_projection, exposure.bbox, destination_box, settings.order)
    if box is None:
        raise NoOverlapError(f"The frame does not touch the box {destination_box}.", cure="Choose another patch.")
    mapping = pixel_mapping(
        source,
        destination_projection,
        box,
        exposure.bbox,
        step=settings.grid_step,
        tolerance=settings.tolerance,
    )
    image, variance, bits = resample(
        exposure.image.array,
        exposure.variance.array,
        exposure.bits,
        mapping.x_nodes - exposure.bbox.x.start,
        mapping.y_nodes - exposure.bbox.y.start,
        mapping.step,
        (box.y.size, box.x.size),
        order=settings.order,
        significant_weight=settings.significant_weight,
        no_data=bitmask("NO_DATA"),
        edge=bitmask("EDGE"),
    )
    warped = empty_exposure(
        destination_box,
        unit=exposure.unit,
        projection=destination_projection,
        band=exposure.band,
        obs_info=exposure.obs_info,
        photo_calib=exposure.photo_calib,
        psf=exposure.psf and WarpedPsf(exposure.psf, source, destination_projection, destination_box),
        metadata={**exposure.metadata, "warp_mapping_error_px": mapping.error, "warp_grid_step_px": mapping.step},
    )
    part = warped[box]
    part.image.array[...], part.variance.array[...], part.bits[...] = image, variance, bits
    return warped


def empty_exposure(box: Box, **attributes: Any) -> Exposure:
    """A frame of which every pixel is missing; ``attributes`` are those of `Exposure`, ``unit`` among them."""
    return Exposure.from_arrays(
        np.full(box.shape, np.nan, np.float32),
        np.full(box.shape, bitmask("NO_DATA"), np.int32),
        x0=box.x.start,
        y0=box.y.start,
        **attributes,
    )
