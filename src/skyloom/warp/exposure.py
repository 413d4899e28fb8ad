"""`warp_exposure`: one frame resampled onto another pixel grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from lsst.images import Box, SkyProjection

from skyloom.errors import AstrometryError, NoOverlapError
from skyloom.images import Exposure, bitmask
from skyloom.kernels.resample import resample
from skyloom.psf import WarpedPsf

from .mapping import PixelMapping, overlap_box, pixel_mapping, sample_mapping
from .settings import WarpSettings

__all__ = ["empty_exposure", "warp_exposure", "warp_overlap"]


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
    part = warp_overlap(exposure, destination_box, destination_projection, settings)
    source = exposure.projection
    assert source is not None
    warped = empty_exposure(
        destination_box,
        unit=part.unit,
        projection=destination_projection,
        band=part.band,
        obs_info=part.obs_info,
        photo_calib=part.photo_calib,
        psf=exposure.psf and WarpedPsf(exposure.psf, source, destination_projection, destination_box, settings.order),
        metadata=part.metadata,
    )
    here = warped[part.bbox]
    here.image.array[...], here.variance.array[...] = part.image.array, part.variance.array
    here.bits[...] = part.bits
    return warped


def warp_overlap(
    exposure: Exposure,
    destination_box: Box,
    destination_projection: SkyProjection[Any],
    settings: WarpSettings,
    step: int | None = None,
) -> Exposure:
    """The same as `warp_exposure`, over the part of the box alone that the frame falls on, and without a PSF.

    Parameters
    ----------
    exposure, destination_box, destination_projection, settings
        As in `warp_exposure`.
    step
        Step of the mapping's grid, where it is known from an earlier warp of the frame.
    """
    source = exposure.projection
    if source is None:
        raise AstrometryError("The frame to warp has no WCS.", cure="Calibrate it first.")
    box = overlap_box(source, destination_projection, exposure.bbox, destination_box, settings.order)
    if box is None:
        raise NoOverlapError(f"The frame does not touch the box {destination_box}.", cure="Choose another patch.")
    if step is None:
        mapping = pixel_mapping(
            source,
            destination_projection,
            box,
            exposure.bbox,
            step=settings.grid_step,
            tolerance=settings.tolerance,
        )
    else:
        mapping = sample_mapping(source, destination_projection, box, step)
    image, variance, bits = _resample(exposure, mapping, settings)
    return Exposure.from_arrays(
        image,
        bits,
        variance,
        x0=box.x.start,
        y0=box.y.start,
        unit=exposure.unit,
        projection=destination_projection,
        band=exposure.band,
        obs_info=exposure.obs_info,
        photo_calib=exposure.photo_calib,
        metadata={**exposure.metadata, "warp_mapping_error_px": mapping.error, "warp_grid_step_px": mapping.step},
    )


def _resample(
    exposure: Exposure, mapping: PixelMapping, settings: WarpSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, variance and mask bits over the mapping's box."""
    return resample(
        exposure.image.array,
        exposure.variance.array,
        exposure.bits,
        mapping.x_nodes,
        mapping.y_nodes,
        mapping.step,
        (mapping.box.y.size, mapping.box.x.size),
        first=mapping.first,
        origin=(exposure.bbox.x.start, exposure.bbox.y.start),
        order=settings.order,
        significant_weight=settings.significant_weight,
        mask_order=settings.mask_order,
        grown=bitmask(*settings.grown_planes),
        no_data=bitmask("NO_DATA"),
        edge=bitmask("EDGE"),
        conserve_flux=settings.conserve_flux,
    )


def empty_exposure(box: Box, **attributes: Any) -> Exposure:
    """A frame of which every pixel is missing; ``attributes`` are those of `Exposure`, ``unit`` among them."""
    return Exposure.from_arrays(
        np.full(box.shape, np.nan, np.float32),
        np.full(box.shape, bitmask("NO_DATA"), np.int32),
        x0=box.x.start,
        y0=box.y.start,
        **attributes,
    )
