"""What ingest needs to know of each frame before anything is written: found in parallel, without a butler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astro_metadata_translator import ObservationInfo
from astropy.io import fits

from skyloom.errors import BadFrameError
from skyloom.images.projection import corner_polygon
from skyloom.instruments import Camera

from .frame_files import check_whole, find_image, image_shape, merged_header, open_frame

__all__ = ["Frame", "Rejection", "describe_files", "describe_frame"]


@dataclass(frozen=True, eq=False)
class Frame:
    """One detector's frame in a file."""

    path: Path
    hdu: int | str | None
    """HDU of the image; None: the first with an image."""
    exposure: int
    detector: int
    info: ObservationInfo
    corners: tuple[np.ndarray, np.ndarray] | None
    """ra [4], dec [4] in degrees of the detector's corners, by the first guess; None off the sky."""

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
    camera: Camera, paths: Iterable[Path], *, workers: int = 1, advance: Callable[[], object] = lambda: None
) -> Iterator[Frame | Rejection]:
    """The frames of all files, in the order of the files; ``advance`` is called once a file."""
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        for found in pool.map(lambda path: _describe_file(camera, path), paths):
            advance()
            yield from found


def _describe_file(camera: Camera, path: Path) -> list[Frame | Rejection]:
    try:
        with open_frame(path) as hdus:
            present = [] if camera.description.header.detector is not None else _hdus_of(camera, hdus)
            if not present:
                return [describe_frame(camera, hdus, path, None, None)]
            return [describe_frame(camera, hdus, path, hdu, detector) for detector, hdu in present]
    except BadFrameError as error:
        error.file = str(path)
        return [Rejection(path, error)]


def _hdus_of(camera: Camera, hdus: fits.HDUList) -> list[tuple[int, int | str]]:
    """Detectors whose HDU the file has."""
    found = []
    for detector in camera.description.detectors:
        hdu = detector.hdu
        if (isinstance(hdu, int) and hdu < len(hdus)) or (isinstance(hdu, str) and hdu in hdus):
            found.append((detector.id, hdu))
    return found


def describe_frame(
    camera: Camera, hdus: fits.HDUList, path: Path, hdu: int | str | None, detector: int | None
) -> Frame:
    """What the header of one frame says, its shape and its completeness checked.

    Raises
    ------
    BadFrameError
        If anything essential is missing.
    """
    image = find_image(hdus, path, hdu)
    header = merged_header(hdus, image)
    info = camera.translate(header, str(path))
    number = camera.detector_id(header, str(path)) if detector is None else detector
    if hdu is None:
        hdu = camera.description_of(number).hdu
        image = find_image(hdus, path, hdu)
    expected = camera.raw_shape(number)
    if image_shape(image) != expected:
        raise BadFrameError(
            f"the image has {image_shape(image)} pixels (rows, columns), "
            f"raw frames of detector {number} have {expected}.",
            file=str(path),
            cure="Leave it out, or correct the amplifiers in the camera's description.",
        )
    check_whole(image, path)
    box = camera.detector(number, header=header, file=str(path))
    projection = camera.guess_projection(header, str(path), box, info)
    corners = None if projection is None else corner_polygon(projection, box.bbox)
    assert info.exposure_id is not None  # camera.translate raises without one
    return Frame(path, hdu, info.exposure_id, number, info, corners)
