"""Detectors, amplifiers and the first guess of the sky projection, made from a camera's description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import astropy.units as u
import numpy as np
from astropy.wcs import WCS
from lsst.images import Box
from lsst.images.cameras import (
    Amplifier,
    AmplifierCalibrations,
    AmplifierRawGeometry,
    CameraFrameSet,
    Detector,
    DetectorAttributes,
    DetectorType,
    Orientation,
    ReadoutCorner,
)

from skyloom.errors import BadFrameError

from .description import (
    AmplifierDescription,
    BoxDescription,
    CameraDescription,
    DetectorDescription,
    RawAmplifierDescription,
)
from .frames import DetectorPlacement, make_frame_set

__all__ = ["camera_frames", "make_detector", "pixel_offset_matrix", "pointing_wcs", "raw_shape"]


def placement_of(camera: CameraDescription, detector: DetectorDescription) -> DetectorPlacement:
    """Where a detector lies in the focal plane, in mm."""
    to_mm = 1.0 if camera.position_unit == "mm" else camera.pixel_size
    x, y = detector.position
    return DetectorPlacement(
        id=detector.id,
        size=detector.size,
        centre_mm=(x * to_mm, y * to_mm),
        rotation_deg=detector.rotation,
        pixel_mm=camera.pixel_size,
    )


def camera_frames(camera: CameraDescription) -> CameraFrameSet:
    """Coordinate systems of the whole camera."""
    radians_per_mm = float(np.radians(camera.pixel_scale / 3600)) / camera.pixel_size
    placements = [placement_of(camera, detector) for detector in camera.detectors]
    return make_frame_set(camera.name, placements, radians_per_mm, flipped=camera.flipped)


def make_detector(
    camera: CameraDescription,
    detector: DetectorDescription,
    frames: CameraFrameSet,
    *,
    visit: int | None,
    header: Mapping[str, Any] | None,
    file: str,
) -> Detector:
    """The detector with its amplifiers, whose gains and noises a header may override."""
    place = placement_of(camera, detector)
    attributes = DetectorAttributes(
        name=detector.name,
        id=detector.id,
        type=DetectorType(detector.purpose),
        serial=detector.serial,
        bbox=Box.from_shape((detector.size[1], detector.size[0])),
        orientation=Orientation(
            focal_plane_x=place.centre_mm[0],
            focal_plane_y=place.centre_mm[1],
            focal_plane_z=0.0,
            pixel_reference_x=place.centre_pixel[0],
            pixel_reference_y=place.centre_pixel[1],
            yaw=float(np.radians(detector.rotation)) * u.rad,
        ),
        pixel_size=camera.pixel_size,
        physical_type=detector.physical_type,
    )
    amplifiers = [_make_amplifier(amplifier, header, file) for amplifier in detector.amplifiers]
    return Detector(attributes, amplifiers, frames, visit=visit)


def _make_amplifier(amplifier: AmplifierDescription, header: Mapping[str, Any] | None, file: str) -> Amplifier:
    raw = amplifier.raw or RawAmplifierDescription(box=amplifier.box, data=amplifier.box)
    raw_corner = ReadoutCorner(amplifier.readout_corner)
    nowhere = _beside(raw.box)
    geometry = AmplifierRawGeometry(
        bbox=_box(raw.box),
        data_bbox=_box(raw.data),
        flip_x=amplifier.flip_x,
        flip_y=amplifier.flip_y,
        x_offset=amplifier.box.x[0] - raw.data.x[0],
        y_offset=amplifier.box.y[0] - raw.data.y[0],
        serial_overscan_bbox=_box(raw.serial_overscan) if raw.serial_overscan else nowhere,
        parallel_overscan_bbox=_box(raw.parallel_overscan) if raw.parallel_overscan else nowhere,
        prescan_bbox=_box(raw.prescan) if raw.prescan else None,
        readout_corner=raw_corner,
    )
    calibrations = AmplifierCalibrations(
        gain=_override(amplifier.gain, amplifier.gain_keyword, header, file),
        read_noise=_read_noise(amplifier, header, file),
        saturation=_override(amplifier.saturation, amplifier.saturation_keyword, header, file),
        suspect_level=amplifier.suspect_level,
        linearity_coefficients=np.zeros(4),
        linearity_type="None",
    )
    return Amplifier(
        name=amplifier.name,
        bbox=_box(amplifier.box),
        readout_corner=raw_corner.apply_flips(x=amplifier.flip_x, y=amplifier.flip_y),
        assembled_raw_geometry=geometry,
        unassembled_raw_geometry=None,
        nominal_calibrations=calibrations,
    )


def _override(nominal: float, keyword: str | None, header: Mapping[str, Any] | None, file: str) -> float:
    """The header's value where it has one, else the description's."""
    if keyword is None or header is None or keyword not in header:
        return nominal
    try:
        value = float(header[keyword])
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value) or value < 0:
        cure = "Correct the header, or take the keyword out of the camera's description."
        raise BadFrameError(f"{header[keyword]!r} is no usable number.", file=file, keyword=keyword, cure=cure)
    return value


def _read_noise(amplifier: AmplifierDescription, header: Mapping[str, Any] | None, file: str) -> float:
    told = _override(amplifier.read_noise, amplifier.read_noise_keyword, header, file)
    return amplifier.read_noise if told > amplifier.read_noise_limit else told


def _box(box: BoxDescription) -> Box:
    return Box.factory[box.y[0] : box.y[1], box.x[0] : box.x[1]]


def _beside(box: BoxDescription) -> Box:
    """One pixel outside a box: how "there is none" is said where `lsst.images` demands a box."""
    return Box.factory[box.y[1] : box.y[1] + 1, box.x[1] : box.x[1] + 1]


def raw_shape(detector: DetectorDescription) -> tuple[int, int]:
    """Rows and columns of the raw image: what its amplifiers' boxes span from (0, 0)."""
    boxes = [amplifier.raw.box if amplifier.raw else amplifier.box for amplifier in detector.amplifiers]
    return max(box.y[1] for box in boxes), max(box.x[1] for box in boxes)


def pixel_offset_matrix(camera: CameraDescription, rotation_deg: float) -> np.ndarray:
    """The 2x2 matrix from an offset (x, y) in mosaic pixels to (east, north) in degrees.

    The mosaic's +y points to the position angle, ``position_angle + rotator_sign * rotation_deg`` east of north; +x
    lies clockwise of +y as seen on the image, which is west of north unless the camera is mirrored.
    """
    angle = np.radians(camera.position_angle + camera.rotator_sign * rotation_deg)
    side = 1.0 if camera.flipped else -1.0
    along_x = [side * np.cos(angle), -side * np.sin(angle)]
    along_y = [np.sin(angle), np.cos(angle)]
    return camera.pixel_scale / 3600 * np.array([along_x, along_y]).T


def pointing_wcs(
    camera: CameraDescription, detector: DetectorDescription, ra: float, dec: float, rotation_deg: float
) -> WCS:
    """TAN projection whose tangent point is the boresight, in the detector's pixels."""
    place = placement_of(camera, detector)
    angle = np.radians(detector.rotation)
    to_mosaic = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array(place.centre_mm) / place.pixel_mm
    boresight = np.array(place.centre_pixel) - to_mosaic.T @ centre
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = boresight + 1
    wcs.wcs.cd = pixel_offset_matrix(camera, rotation_deg) @ to_mosaic
    wcs.wcs.set()
    return wcs
