"""The removal of the instrument signature of one raw frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from lsst.images import Image, MaskedImage

from skyloom.errors import BadFrameError
from skyloom.images import MASK_SCHEMA, Exposure
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.isr import IsrSettings, correct_raw
from skyloom.repo.frame_files import read_pixels
from skyloom.repo.frames import Rejection, describe_files
from skyloom.repo.raw_files import read_raw

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["remove_signature"]

type Master = MaskedImage | np.ndarray | str | Path


def remove_signature(
    raw: str | Path | RawExposure,
    camera: Camera | str | Path,
    *,
    bias: Master | None = None,
    dark: Master | None = None,
    flat: Master | None = None,
    defects: Table | None = None,
    detector: int | None = None,
    center: tuple[float, float] | None = None,
    settings: IsrSettings | None = None,
) -> Exposure:
    """Remove the instrument signature of a raw frame: overscan, bias, gain, dark, flat, defects.

    Parameters
    ----------
    raw
        FITS file, or a frame that its camera has completed.
    camera
        The camera, the name of one that is shipped, or the YAML file that describes it.
    bias, dark, flat
        Masters of the trimmed detector: frames, arrays ``[y, x]`` or FITS files; a bias in ADU, a dark in electrons a
        second, a flat of mean 1.  Steps whose master is not given are left out.
    defects
        Boxes ``x0``, ``y0``, ``width``, ``height`` of bad pixels.
    detector
        Which, of a file with several; the first without it.
    center
        Where the telescope pointed, (ra, dec) in degrees, of frames whose header does not tell.
    settings
        Of all corrections; without them those steps are done whose masters are there.

    Returns
    -------
    skyloom.images.Exposure
        In electrons, with a first guess of its projection where the header tells where it points.

    Raises
    ------
    skyloom.errors.BadFrameError
        If the frame cannot be read or used.
    skyloom.errors.CameraError
        If the camera cannot be understood.
    """
    camera = camera if isinstance(camera, Camera) else Camera.read(camera)
    frame = raw if isinstance(raw, RawExposure) else _read(Path(raw), camera, detector, center)
    if frame.detector is None:
        raise BadFrameError("the frame has no detector.", file=frame.file, cure="Complete it with its camera first.")
    exposure = correct_raw(
        frame,
        bias=_master(bias, u.adu),
        dark=_master(dark, u.electron / u.s),
        flat=_master(flat, u.dimensionless_unscaled),
        defects=defects,
        pedestals_adu=camera.bias_levels(frame.detector.id),
        settings=settings,
    )
    if exposure.physical_filter in camera.filters:
        exposure.band = camera.filters[exposure.physical_filter].band
    return exposure


def _read(path: Path, camera: Camera, detector: int | None, center: tuple[float, float] | None) -> RawExposure:
    """The frame of a detector in a file, completed by its camera."""
    for frame in describe_files(camera, [path], center=center):
        if isinstance(frame, Rejection):
            raise frame.error
        if detector in (None, frame.detector):
            return camera.complete(read_raw(path, frame.hdu, str(path), frame.center), detector_id=frame.detector)
    raise BadFrameError(f"it holds no frame of detector {detector}.", file=str(path), cure="Choose one that it holds.")


def _master(master: Master | None, unit: u.UnitBase) -> MaskedImage | None:
    """A master as the corrections take it."""
    if master is None or isinstance(master, MaskedImage):
        return master
    pixels = master if isinstance(master, np.ndarray) else read_pixels(Path(master))[0]
    image = Image(np.array(pixels, np.float32), unit=unit)
    return MaskedImage(image, mask_schema=MASK_SCHEMA)
