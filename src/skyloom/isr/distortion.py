"""Put the distortion of the optics into a first guess of the projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.images import SkyProjection, Transform

from skyloom.errors import BadFrameError

if TYPE_CHECKING:
    from lsst.images.cameras import Detector

__all__ = ["distorted_projection"]

_STEP_RAD = 1e-5
"""Two arcsec: far below where a distortion bends, far above what an inverse found by iteration leaves."""


def distorted_projection(projection: SkyProjection[Any], detector: Detector) -> SkyProjection[Any]:
    """A tangent-plane projection seen through the distortion of the camera.

    A pixel goes by its field angle to where it would lie if the scale on the axis held everywhere, and from there by
    the given projection to the sky.  On the axis nothing changes.

    Parameters
    ----------
    projection
        From the detector's pixels to the sky, free of distortion, its tangent point where the field angle is zero.  One
        that holds the distortion already would get it twice.
    detector
        With its transforms from pixels to the focal plane and to field angles.

    Raises
    ------
    BadFrameError
        If the projection is not one of the detector's pixels, or the field angles do not lead back to the focal plane.
    """
    if projection.pixel_frame != detector.frame:
        raise BadFrameError(
            f"the projection is from {projection.pixel_frame}, the detector's pixels are {detector.frame}.",
            cure="Give the frame the projection of its own detector and visit.",
        )
    to_focal_plane, to_field_angle = detector.to_focal_plane, detector.to_field_angle
    undistorted = Transform.affine(to_field_angle.out_frame, to_focal_plane.out_frame, _scale_on_axis(detector))
    to_sky = to_field_angle.then(undistorted).then(to_focal_plane.inverted()).then(projection.pixel_to_sky_transform)
    return SkyProjection(to_sky)


def _scale_on_axis(detector: Detector) -> np.ndarray:
    """The affine matrix (3 x 3) from field angle (rad) to the focal plane that is right where the angle is zero."""
    steps = _STEP_RAD * np.array([[0.0, 1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, -1.0]])
    pixels = detector.to_field_angle.apply_inverse(x=steps[0], y=steps[1])
    place = np.array(detector.to_focal_plane.apply_forward(x=pixels.x, y=pixels.y))
    matrix = np.eye(3)
    matrix[:2, 0] = (place[:, 1] - place[:, 2]) / (2 * _STEP_RAD)
    matrix[:2, 1] = (place[:, 3] - place[:, 4]) / (2 * _STEP_RAD)
    matrix[:2, 2] = place[:, 0]
    if not np.isfinite(matrix).all() or np.linalg.det(matrix) == 0:
        raise BadFrameError(
            f"the field angles of detector {detector.name} do not lead back to the focal plane.",
            cure="Correct the optics in the camera's description.",
        )
    return matrix
