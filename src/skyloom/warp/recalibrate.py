"""Frames on another flux scale, and with a sky put back or taken off."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from lsst.images import BackgroundMap

from skyloom.errors import BadFrameError, PhotometryError

if TYPE_CHECKING:
    from lsst.images import Box
    from lsst.images.fields import Field

    from skyloom.images import Exposure, PhotoCalib

__all__ = ["add_background", "background_field", "calibration_ratio", "recalibrate", "subtract_background"]

type Render = Callable[[Field, Box], np.ndarray]


def calibration_ratio(exposure: Exposure, calib: PhotoCalib) -> np.ndarray:
    """What the pixels of a frame are multiplied by to be on another flux scale: float32 ``[y, x]``, or a scalar.

    Parameters
    ----------
    exposure
        A frame in nJy with its calibration, or one in electrons.
    calib
        The other scale.

    Raises
    ------
    PhotometryError
        If the frame is in nJy and does not know its calibration, or is in another unit.
    """
    new = calib.scale_pixels(exposure.bbox)
    if exposure.unit == u.electron:
        return new
    if exposure.unit != u.nJy or exposure.photo_calib is None:
        raise PhotometryError(
            f"A frame in {exposure.unit} {'without' if exposure.photo_calib is None else 'with'} a calibration cannot "
            "be put on another flux scale.",
            cure="Calibrate it first.",
        )
    return np.asarray(new / exposure.photo_calib.scale_pixels(exposure.bbox), np.float32)


def recalibrate(exposure: Exposure, calib: PhotoCalib) -> None:
    """Put a frame on another flux scale, in nJy, in place.

    The image is multiplied by the ratio of the scales, pixel by pixel, the variance by its square; the error of the
    calibration, which all pixels share, is not added.  Raises what `calibration_ratio` does.
    """
    ratio = calibration_ratio(exposure, calib)
    exposure.image.array[...] *= ratio
    exposure.variance.array[...] *= ratio * ratio
    exposure.photo_calib, exposure.unit = calib, u.nJy


def add_background(exposure: Exposure, background: BackgroundMap | Field, render: Render | None = None) -> None:
    """Put a sky back into a frame, in place.

    Parameters
    ----------
    exposure
        In electrons or nJy.
    background
        The sky over the frame, in either unit (that of the frame, where it tells none): the frame's own calibration
        converts.
    render
        What evaluates a field at the pixels of a box; the field itself where not given.

    Raises
    ------
    BadFrameError
        If the background holds several skies and does not say which was subtracted, or is in another unit and the
        frame does not know its calibration.
    """
    exposure.image.array[...] += _pixels(exposure, background, render)


def subtract_background(exposure: Exposure, background: BackgroundMap | Field, render: Render | None = None) -> None:
    """Take a sky off a frame, in place; the arguments are those of `add_background`."""
    exposure.image.array[...] -= _pixels(exposure, background, render)


def background_field(background: BackgroundMap | Field) -> Field:
    """The sky of a map: the one that was subtracted, or the only one; a field is its own.

    Raises
    ------
    BadFrameError
        If there are several and none was subtracted, or none at all.
    """
    if not isinstance(background, BackgroundMap):
        return background
    if background.subtracted is not None:
        return background.subtracted.field
    if len(background) != 1:
        raise BadFrameError(
            f"A background of {len(background)} models does not say which is the sky.",
            cure="Mark one as subtracted.",
        )
    return next(iter(background.values())).field


def _pixels(exposure: Exposure, background: BackgroundMap | Field, render: Render | None) -> np.ndarray:
    """The sky at the frame's pixels, in its unit."""
    field = background_field(background)
    if render is None:
        pixels = np.asarray(field.render(exposure.bbox, dtype=np.float32).array)
    else:
        pixels = render(field, exposure.bbox)
    if field.unit is None or field.unit == exposure.unit:
        return pixels
    if exposure.photo_calib is None or {field.unit, exposure.unit} != {u.electron, u.nJy}:
        raise BadFrameError(
            f"A background in {field.unit} does not fit a frame in {exposure.unit} "
            f"{'without' if exposure.photo_calib is None else 'with'} a calibration.",
            cure="Fit it anew.",
        )
    scale = exposure.photo_calib.scale_pixels(exposure.bbox)
    return np.asarray(pixels * scale if field.unit == u.electron else pixels / scale, np.float32)
