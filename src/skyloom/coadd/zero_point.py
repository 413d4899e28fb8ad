"""Coadds in counts of a fixed zero point, of warps that are not in nJy."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from skyloom.errors import PhotometryError
from skyloom.images import Exposure, PhotoCalib, ab_magnitude_to_njy

__all__ = ["ImageScaler", "counts_calib", "scaler_for"]


@dataclass(frozen=True)
class ImageScaler:
    """What the pixels of a warp are multiplied by."""

    scale: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0.0):
            raise ValueError(f"A scale must be positive and finite; got {self.scale}.")

    def scaleMaskedImage(self, maskedImage: Exposure) -> None:  # noqa: N802, N803
        """Multiply the image by the scale, and the variance by its square, in place."""
        maskedImage.image.array[...] *= np.float32(self.scale)
        maskedImage.variance.array[...] *= np.float32(self.scale**2)


def scaler_for(unit: u.UnitBase | None, calib: PhotoCalib | None, zero_point_mag: float = 27.0) -> ImageScaler:
    """The scale that makes one count of a source of a given AB magnitude.

    Parameters
    ----------
    unit
        Of the warp's pixels.
    calib
        Its calibration, which is asked where they are not in nJy.
    zero_point_mag
        AB magnitude of one count.

    Raises
    ------
    PhotometryError
        If neither tells the flux of a pixel.
    """
    wanted = float(ab_magnitude_to_njy(zero_point_mag))
    if unit == u.nJy:
        return ImageScaler(1.0 / wanted)
    if calib is None:
        raise PhotometryError(f"The warp is in {unit}, without a flux scale.", cure="Calibrate its frames.")
    return ImageScaler(calib.calibration_mean / wanted)


def counts_calib(zero_point_mag: float = 27.0) -> PhotoCalib:
    """The calibration of pixels of which one count is a given AB magnitude."""
    return PhotoCalib(float(ab_magnitude_to_njy(zero_point_mag)), 0.0)
