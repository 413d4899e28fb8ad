"""The coordinate systems of a camera as the AST frame set that `lsst.images` detectors want.

The one place that touches the private AST layer of `lsst.images`: the package offers no other way to make a camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from lsst.images._transforms import _ast
from lsst.images.cameras import CameraFrameSet

__all__ = ["DetectorPlacement", "make_frame_set"]


@dataclass(frozen=True)
class DetectorPlacement:
    """Where a detector's pixels lie in the focal plane."""

    id: int
    size: tuple[int, int]
    """Columns, rows."""
    centre_mm: tuple[float, float]
    rotation_deg: float
    """Counter-clockwise."""
    pixel_mm: float

    @property
    def centre_pixel(self) -> tuple[float, float]:
        """x, y of the middle of the detector."""
        return (self.size[0] - 1) / 2, (self.size[1] - 1) / 2


def make_frame_set(
    instrument: str, placements: Sequence[DetectorPlacement], radians_per_mm: float, *, flipped: bool
) -> CameraFrameSet:
    """Frames of focal plane (mm), field angle (rad) and every detector's pixels, and what maps them.

    The field angle has the handedness of the sky, +x to the west when +y is north: a mirrored camera is unmirrored
    between focal plane and field angle.  The plate scale is constant.
    """
    frames = _ast.FrameSet(_ast.Frame(2, "Ident=FOCAL_PLANE,Unit(1)=mm,Unit(2)=mm"))
    scale = np.diag([-radians_per_mm if flipped else radians_per_mm, radians_per_mm])
    frames.addFrame(1, _ast.MatrixMap(scale), _ast.Frame(2, "Ident=FIELD_ANGLE,Unit(1)=rad,Unit(2)=rad"))
    for placement in placements:
        frames.addFrame(1, _to_pixels(placement), _pixel_frame(placement))
    return CameraFrameSet(instrument, frames)


def _pixel_frame(placement: DetectorPlacement) -> _ast.Frame:
    """Frame of a detector's pixels, which knows its bounds."""
    frame = _ast.Frame(2, f"Ident=DETECTOR_{placement.id}")
    # The bridge class has no setters for the bounds, from which CameraFrameSet takes the detector's box.
    implementation = frame._impl
    implementation.Bottom_1, implementation.Top_1 = 0, placement.size[0]
    implementation.Bottom_2, implementation.Top_2 = 0, placement.size[1]
    return frame


def _to_pixels(placement: DetectorPlacement) -> _ast.Mapping:
    """Focal-plane mm to pixels: to the detector's centre, turned back, scaled, from the middle pixel."""
    angle = np.radians(placement.rotation_deg)
    turn_back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / placement.pixel_mm
    to_centre = _ast.ShiftMap([-placement.centre_mm[0], -placement.centre_mm[1]])
    from_middle = _ast.ShiftMap(list(placement.centre_pixel))
    return _ast.CmpMap(_ast.CmpMap(to_centre, _ast.MatrixMap(turn_back), True), from_middle, True)
