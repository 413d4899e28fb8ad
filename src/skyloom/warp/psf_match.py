"""`match_psf`: a frame convolved so that its PSF becomes a model."""

from __future__ import annotations

import math

import numpy as np
from lsst.images import Box
from lsst.images.psfs import PointSpreadFunction

from skyloom.errors import PsfError
from skyloom.images import MASK_SCHEMA, Exposure, bitmask
from skyloom.kernels.varying_convolution import convolve_varying
from skyloom.psf import model_psf

from .match_kernel import MatchingKernel, fit_matching_kernel
from .match_settings import PsfMatchSettings

__all__ = ["cell_positions", "convolve_exposure", "match_psf", "matched_model"]


def match_psf(exposure: Exposure, settings: PsfMatchSettings | None = None) -> tuple[Exposure, MatchingKernel]:
    """Turn the PSF of a frame into the model.

    The flux of stars is kept.  Where pixels without a value, or beyond the frame, make up more than
    ``settings.missing_weight`` of the kernel, the result is missing (NaN, variance +inf, NO_DATA).  The variance is
    that of single pixels; neighbours are correlated.

    Parameters
    ----------
    exposure
        A frame with one PSF: that of a detector, or its warp.
    settings
        The model, and how to match.

    Returns
    -------
    Exposure
        The matched frame, on the same pixels, with the model as its PSF.  Aperture corrections are left out: those
        of the frame are not true of the model.
    MatchingKernel
        What it was convolved with.

    Raises
    ------
    PsfError
        If the frame has no PSF, or one that cannot be turned into the model; see `fit_matching_kernel`.
    """
    settings = settings or PsfMatchSettings()
    if exposure.psf is None:
        raise PsfError("the frame to match has no PSF.", cure="Calibrate it first.")
    x, y = cell_positions(exposure.bbox, settings)
    kernel = fit_matching_kernel(exposure.psf, exposure.bbox, x, y, settings)
    matched = convolve_exposure(exposure, kernel, settings)
    matched.psf = matched_model(settings, exposure.bbox, kernel.size)
    return matched, kernel


def cell_positions(box: Box, settings: PsfMatchSettings) -> tuple[np.ndarray, np.ndarray]:
    """Positions (x, y) of a grid from edge to edge of a box, no further apart than a cell."""
    sides = []
    for side in (box.x, box.y):
        number = max(settings.spatial_order + 2, math.ceil((side.size - 1) / settings.cell_size) + 1)
        sides.append(np.unique(np.rint(np.linspace(side.min, side.max, number))))
    x, y = np.meshgrid(*sides)
    return x.ravel(), y.ravel()


def convolve_exposure(exposure: Exposure, kernel: MatchingKernel, settings: PsfMatchSettings) -> Exposure:
    """Image, variance and mask of a frame convolved with a matching kernel; the rest of it without PSF."""
    ax, bx, ay, by = kernel.scaling
    box = exposure.bbox
    image, variance, bits = convolve_varying(
        (
            np.ascontiguousarray(exposure.image.array),
            np.ascontiguousarray(exposure.variance.array),
            np.ascontiguousarray(exposure.bits),
        ),
        kernel.coefficients,
        kernel.order,
        (ax + bx * box.x.start, bx, ay + by * box.y.start, by),
        kernel.block(settings.kernel_tolerance),
        _mask_limits(settings),
        (settings.missing_weight, settings.significant_weight, bitmask("NO_DATA")),
    )
    return Exposure.from_arrays(
        image,
        bits,
        variance,
        unit=exposure.unit,
        x0=box.x.start,
        y0=box.y.start,
        obs_info=exposure.obs_info,
        band=exposure.band,
        projection=exposure.projection,
        photo_calib=exposure.photo_calib,
        inputs=exposure.inputs,
        metadata=dict(exposure.metadata),
    )


def matched_model(settings: PsfMatchSettings, bounds: Box, size: int) -> PointSpreadFunction:
    """The model on stamps that are wide enough for what kernels of ``size`` pixels reach."""
    least = 2 * (math.ceil(settings.psf_size_factor * size) // 2) + 1
    return model_psf(settings.model, bounds, max(least, settings.model.stamp_size))


def _mask_limits(settings: PsfMatchSettings) -> np.ndarray:
    """Share of the kernel from which on each plane is handed on, in the order of the bits."""
    limits = np.full(len(MASK_SCHEMA.names), settings.significant_weight)
    for name in settings.far_planes:
        limits[bitmask(name).bit_length() - 1] = settings.missing_weight
    return limits
