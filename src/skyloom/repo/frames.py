"""What ingest needs to know of each frame before anything is written: found in parallel, without a butler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astro_metadata_translator import ObservationInfo
from astropy.io import fits

from skyloom.errors import BadFrameError
from skyloom.images.projection import corner_polygon
from skyloom.instruments import Camera
from skyloom.instruments.given_pointing import with_pointing
from skyloom.instruments.header import ON_SKY
from skyloom.instruments.separate import AmplifierImages, join_amplifiers

from .detector_hdus import DetectorImage, Hdu, find_detectors, one_error_a_cause
from .frame_files import check_whole, find_image, image_shape, merged_header, open_frame

__all__ = ["Frame", "Rejection", "describe_files", "describe_frame"]


@dataclass(frozen=True, eq=False)
class Frame:
    """One detector's frame in a file."""

    path: Path
    hdu: Hdu
    """HDU of the image, or those of its amplifiers; None: the first with an image."""
    exposure: int
    detector: int
    info: ObservationInfo
    corners: tuple[np.ndarray, np.ndarray] | None
    """ra [4], dec [4] in degrees of the detector's corners, by the first guess; None off the sky."""
    corrected: bool = False
    """Whether it comes without instrument signature."""
    center: tuple[float, float] | None = None
    """Boresight (ra, dec), degree, that was given because the header has none."""

    @property
    def key(self) -> tuple[int, int]:
        """Exposure and detector."""
        return self.exposure, self.detector


@dataclass(frozen=True)
class Rejection:
    """A file that was left out, and why."""

    path: Path
    error: BadFrameError


def describe_files(
    camera: Camera,
    paths: Iterable[Path],
    *,
    workers: int = 1,
    advance: Callable[[], object] = lambda: None,
    center: tuple[float, float] | None = None,
) -> Iterator[Frame | Rejection]:
    """The frames of all files, in the order of the files; ``advance`` is called once a file.

    Frames whose headers have no pointing get ``center``, (ra, dec) in degrees.
    """
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        for found in pool.map(lambda path: _describe_file(camera, path, center), paths):
            advance()
            yield from found


def _describe_file(camera: Camera, path: Path, center: tuple[float, float] | None) -> list[Frame | Rejection]:
    """The frames of a file; an image that cannot be used does not touch the others."""
    try:
        with open_frame(path) as hdus:
            found = find_detectors(camera, hdus, path)
            frames, errors = [], list(found.errors)
            for image in found.images:
                try:
                    frames.append(describe_frame(camera, hdus, path, image, center))
                except BadFrameError as error:
                    errors.append((_first_hdu(image), error))
            missing = _missing_images(hdus, path) if len(found.images) > 1 else []
    except BadFrameError as error:
        error.file = str(path)
        return [Rejection(path, error)]
    told = one_error_a_cause(errors, len(found.images) + len(found.errors)) + missing
    for one in told:
        one.file = str(path)
    return [*frames, *(Rejection(path, one) for one in told)]


def _first_hdu(image: DetectorImage) -> int:
    hdu = image.hdu[0] if isinstance(image.hdu, tuple) else image.hdu
    return hdu if isinstance(hdu, int) else 0


def _missing_images(hdus: fits.HDUList, path: Path) -> list[BadFrameError]:
    """The error of a file that ends before the last of the extensions that its primary header promises."""
    promised = hdus[0].header.get("NEXTEND")
    if not isinstance(promised, int) or len(hdus) - 1 >= promised:
        return []
    return [
        BadFrameError(
            f"the file ends after {len(hdus) - 1} of {promised} extensions.",
            file=str(path),
            keyword="NEXTEND",
            cure="Fetch it again; the whole ones among them are used.",
        )
    ]


def describe_frame(
    camera: Camera,
    hdus: fits.HDUList,
    path: Path,
    place: DetectorImage,
    center: tuple[float, float] | None = None,
) -> Frame:
    """What the header of one frame says, its shape and its completeness checked.

    ``center`` is the boresight (ra, dec), degree, that it gets if its header has none.

    Raises
    ------
    BadFrameError
        If anything essential is missing, or it is no exposure but a master.
    """
    parts = place.hdu if isinstance(place.hdu, tuple) else (place.hdu,)
    images = [find_image(hdus, path, part) for part in parts]
    header = merged_header(hdus, images[0])
    center = center if _lacks_pointing(camera, header, path) else None
    header = with_pointing(header, center)
    info = camera.translate(header, str(path))
    _check_no_master(camera, header, path)
    corrected = camera.is_corrected(header, str(path))
    if isinstance(place.hdu, tuple):
        header = with_pointing(_join(camera, hdus, path, place, images), center)
    else:
        _check_shape(camera, place.detector, image_shape(images[0]), path, corrected=corrected)
    for image in images:
        check_whole(image, path)
    box = camera.detector(place.detector, header=header, file=str(path))
    projection = camera.guess_projection(header, str(path), box, info)
    corners = None if projection is None else corner_polygon(projection, box.bbox)
    assert info.exposure_id is not None  # camera.translate raises without one
    return Frame(path, place.hdu, info.exposure_id, place.detector, info, corners, corrected, center)


def _lacks_pointing(camera: Camera, header: fits.Header, path: Path) -> bool:
    """Whether a frame of the sky does not tell where it points."""
    reader = camera.reader(header, str(path))
    if reader.observation_type() not in ON_SKY:
        return False
    if camera.description.guess == "header":
        return "CTYPE1" not in header
    try:
        return reader.pointing() is None
    except BadFrameError:
        return True


def _check_no_master(camera: Camera, header: fits.Header, path: Path) -> None:
    if camera.is_master(header, str(path)):
        raise BadFrameError(
            "a master calibration, no exposure.",
            file=str(path),
            cure="Import it with 'skyloom calibs import'.",
        )


def _check_shape(camera: Camera, detector: int, shape: tuple[int, ...], path: Path, *, corrected: bool) -> None:
    expected = camera.raw_shape(detector)
    columns, rows = camera.description_of(detector).size
    if shape != expected and not (corrected and shape == (rows, columns)):
        raise BadFrameError(
            f"the image has {shape} pixels (rows, columns), raw frames of the detector have {expected}.",
            file=str(path),
            cure="Leave it out, or correct the amplifiers in the camera's description.",
        )


def _join(camera: Camera, hdus: fits.HDUList, path: Path, place: DetectorImage, images: list[Any]) -> fits.Header:
    """Header of the raw frame of single amplifiers; that they fit together is tried without their pixels."""
    parts = [(merged_header(hdus, image), np.broadcast_to(np.uint16(0), image_shape(image))) for image in images]
    raw = AmplifierImages(image=np.zeros((0, 0), np.uint16), header=parts[0][0], file=str(path), parts=parts)
    return join_amplifiers(camera.description_of(place.detector), raw).header
