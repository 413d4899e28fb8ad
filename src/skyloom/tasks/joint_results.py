"""What the joint fit of a tract says of a frame, or why it says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skyloom.errors import AstrometryError, PhotometryError
from skyloom.jointcal import is_refused, photo_calib_of, projection_of

if TYPE_CHECKING:
    from lsst.images import SkyProjection

    from skyloom.images import PhotoCalib

    from .frame_reference import FrameReference

__all__ = ["joint_photo_calib", "joint_projection"]

_CURE = "Run JointcalTask on the tract, or set doApplyUberCal to False."


def joint_projection(reference: FrameReference) -> SkyProjection[Any]:
    """The WCS that the joint fit gave a frame.

    Raises
    ------
    AstrometryError
        If there is none, or the frame has no WCS of its own, which tells whose pixels they are.
    """
    if reference.joint_wcs is None:
        raise AstrometryError("There is no joint fit of the WCSs of its visit.", cure=_CURE)
    own = reference.get(component="sky_projection")
    if own is None:
        raise AstrometryError("It has no WCS.", cure="Calibrate it first.")
    joint = projection_of(reference.joint_wcs, reference.detector, own.pixel_frame)
    if joint is None:
        raise AstrometryError(f"The joint fit has no WCS of it: {is_refused(reference.joint_wcs, reference.detector)}.")
    return joint


def joint_photo_calib(reference: FrameReference) -> PhotoCalib:
    """The flux scale that the joint fit gave a frame.

    Raises
    ------
    PhotometryError
        If there is none.
    """
    if reference.joint_photo_calib is None:
        raise PhotometryError("There is no joint fit of the flux scales of its visit.", cure=_CURE)
    joint = photo_calib_of(reference.joint_photo_calib, reference.detector)
    if joint is None:
        raise PhotometryError(
            f"The joint fit has no flux scale of it: {is_refused(reference.joint_photo_calib, reference.detector)}."
        )
    return joint
