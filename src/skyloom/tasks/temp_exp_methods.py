"""Single steps of the making of warps as methods of `MakeCoaddTempExpTask`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lsst.images import Box
from lsst.pipe.base import Struct

from skyloom.background import apply_sky_correction, render_field
from skyloom.errors import AstrometryError
from skyloom.images import Exposure
from skyloom.warp import recalibrate, subtract_background

from .frame_reference import FrameReference, as_references
from .joint_results import joint_photo_calib, joint_projection
from .patch_methods import PatchMethods

if TYPE_CHECKING:
    from lsst.images import SkyProjection
    from lsst.pipe.base import TaskMetadata
    from lsst.utils.logging import LsstLogAdapter

    from skyloom.images import PhotoCalib

    from .frame_reference import DataReference
    from .make_coadd_temp_exp_config import MakeCoaddTempExpConfig

__all__ = ["TempExpMethods"]

_WITH_BACKGROUND = "LSST BACKGROUND PUT BACK"


class TempExpMethods(PatchMethods):
    """What becomes of a frame before it is warped, and the names of things.

    A reference to a frame (``dataRef``) is a `FrameReference`; where no more than the frame itself is needed, also the
    butler's deferred handle of a calibrated frame, a `skyloom.coadd.ExposureHandle`, or an `skyloom.images.Exposure`.
    """

    if TYPE_CHECKING:
        config: MakeCoaddTempExpConfig
        metadata: TaskMetadata
        log: LsstLogAdapter

    def getCalExp(self, dataRef: FrameReference | DataReference | Exposure, bgSubtracted: bool) -> Exposure:
        """Read a calibrated frame as `PatchMethods.getCalExp` does, and calibrate it by the joint fit if
        ``doApplyUberCal``, with the errors of `applyJointcalResultsExposure`.
        """
        (reference,) = as_references([dataRef])
        calexp = super().getCalExp(reference, bgSubtracted)
        if not bgSubtracted:
            calexp.metadata[_WITH_BACKGROUND] = True
        if self.config.doApplyUberCal:
            self.applyJointcalResultsExposure(reference, calexp)
        return calexp

    def applyJointcalResultsExposure(
        self, dataRef: FrameReference | DataReference | Exposure, calexp: Exposure | None = None
    ) -> Struct:
        """Give a frame the WCS and the flux scale of the joint fit; without ``doApplyJointPhotoCalib`` the WCS alone.

        Parameters
        ----------
        dataRef
            The frame, with the tables of the joint fit.
        calexp
            The frame, or a part of it, if it was read before; it is modified in place.

        Returns
        -------
        Struct
            ``exposure``: the frame, in nJy of the joint flux scale.

        Raises
        ------
        skyloom.errors.AstrometryError
            If there is no joint WCS of it.
        skyloom.errors.PhotometryError
            If there is no joint flux scale of it, or its own is not known.  In either case nothing has changed.
        """
        (reference,) = as_references([dataRef])
        projection = joint_projection(reference)
        calib = joint_photo_calib(reference) if self.config.doApplyJointPhotoCalib else None
        if calexp is None:
            calexp = reference.get()
        if calib is not None:
            recalibrate(calexp, calib)
        calexp.projection = projection
        return Struct(exposure=calexp)

    def applySkyCorr(self, dataRef: FrameReference | DataReference, calexp: Exposure) -> None:
        """Put the sky of the whole camera in the place of the frame's background, in place.

        It is made on the frame's own flux scale, to which a recalibrated frame returns for the time.  A background
        that was put back is taken off again: the correction is of frames without.

        Parameters
        ----------
        dataRef
            The frame, with its sky correction.
        calexp
            The frame, or a part of it, as `getCalExp` gives it.

        Raises
        ------
        skyloom.errors.FrameError
            If there is no sky correction of it, or one that does not fit.
        """
        (reference,) = as_references([dataRef])
        correction = reference.read("sky_correction")
        with _on_scale(calexp, _own_photo_calib(reference, calexp)):
            if calexp.metadata.pop(_WITH_BACKGROUND, False):
                subtract_background(calexp, reference.read("background"), render_field)
            apply_sky_correction(calexp, correction)

    def getWarpTypeList(self) -> list[str]:
        """The types of warps that are made: "direct", "psfMatched" or both, in this order."""
        return self.config.warp_types

    def _projection(self, reference: FrameReference) -> SkyProjection[Any]:
        """The WCS with which a frame is warped."""
        if self.config.doApplyUberCal:
            return joint_projection(reference)
        own: SkyProjection[Any] | None = reference.get(component="sky_projection")
        if own is None:
            raise AstrometryError("It has no WCS.", cure="Calibrate it first.")
        return own


def _own_photo_calib(reference: FrameReference, calexp: Exposure) -> PhotoCalib | None:
    """The calibration of a frame as it is stored, of which one pixel is read."""
    x, y = calexp.bbox.x.start, calexp.bbox.y.start
    pixel: Exposure = reference.get(parameters={"bbox": Box.factory[y : y + 1, x : x + 1]})
    return pixel.photo_calib


@contextmanager
def _on_scale(exposure: Exposure, calib: PhotoCalib | None) -> Iterator[None]:
    """Show a frame on another flux scale, and as before afterwards, but for rounding."""
    before = exposure.photo_calib
    if calib is None or before is None or before == calib:
        yield
        return
    recalibrate(exposure, calib)
    try:
        yield
    finally:
        recalibrate(exposure, before)
