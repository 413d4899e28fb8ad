"""`ScaleZeroPointTask`: warps that are not in nJy brought to counts of a fixed zero point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsst.pex.config import Config, Field
from lsst.pipe.base import Task

from skyloom.coadd import ImageScaler, counts_calib, scaler_for

if TYPE_CHECKING:
    from skyloom.images import Exposure, PhotoCalib

__all__ = ["ScaleZeroPointConfig", "ScaleZeroPointTask"]


class ScaleZeroPointConfig(Config):
    """Settings of `ScaleZeroPointTask`."""

    zeroPoint: Any = Field(dtype=float, default=27.0, doc="AB magnitude of one count of the coadd.")


class ScaleZeroPointTask(Task):
    """Find what the pixels of a warp are multiplied by."""

    ConfigClass = ScaleZeroPointConfig
    _DefaultName = "scaleZeroPoint"
    config: ScaleZeroPointConfig

    def run(self, exposure: Exposure, dataRef: Any = None) -> ImageScaler:
        """Scale a warp in place, and return its scaler."""
        scaler = self.computeImageScaler(exposure, dataRef)
        scaler.scaleMaskedImage(exposure)
        return scaler

    def computeImageScaler(self, exposure: Exposure, dataRef: Any = None) -> ImageScaler:
        """The scaler of a warp; ``dataRef`` is not used.

        Raises
        ------
        skyloom.errors.PhotometryError
            If it is not in nJy and has no calibration.
        """
        return scaler_for(exposure.unit, exposure.photo_calib, self.config.zeroPoint)

    def getPhotoCalib(self) -> PhotoCalib:
        """The calibration of the coadd."""
        return counts_calib(self.config.zeroPoint)
