"""Which images of a FITS file are those of which detector."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits

from skyloom.errors import BadFrameError
from skyloom.instruments import Camera

from .frame_files import find_image, image_shape

__all__ = ["DetectorImage", "Found", "Hdu", "find_detectors", "one_error_a_cause"]

type Hdu = int | str | tuple[int, ...] | None
"""Number or name of an HDU, or numbers of those of amplifiers; None: the first that holds an image."""


@dataclass(frozen=True)
class DetectorImage:
    """Where the image of one detector is in a file."""

    detector: int
    hdu: Hdu
    """Number or name of the HDU; numbers of those of its amplifiers; None: the first that holds an image."""


@dataclass(frozen=True)
class Found:
    """The detectors of a file, and what is wrong with its other images."""

    images: list[DetectorImage]
    errors: list[tuple[int, BadFrameError]]
    """HDU, and why it is of no detector."""


def find_detectors(camera: Camera, hdus: fits.HDUList, path: Path, *, of_camera: bool = True) -> Found:
    """The detectors whose images a file holds.

    Where the camera's description looks for the detector in the header, each image whose own header tells it is one
    detector's; else the description names the HDUs, and a file without those holds one image.

    Parameters
    ----------
    camera
        The camera.
    hdus, path
        The open file.
    of_camera
        Whether images of which the header does not name the camera are refused.

    Raises
    ------
    BadFrameError
        If the file holds one image, or none, and its detector cannot be told.
    """
    if camera.description.header.detector is None:
        named = _named_hdus(camera, hdus)
        return Found(named or [_only_image(camera, hdus, path, of_camera)], [])
    telling = _telling_images(camera, hdus)
    if len(telling) < 2:
        return Found([_only_image(camera, hdus, path, of_camera, telling)], [])
    by_detector: dict[int, list[int]] = {}
    errors = []
    for number in telling:
        try:
            detector = _detector(camera, hdus, hdus[number], path, of_camera)
            by_detector.setdefault(detector, []).append(number)
        except BadFrameError as error:
            errors.append((number, error))
    images = [
        DetectorImage(detector, _joined(camera, hdus, detector, found)) for detector, found in by_detector.items()
    ]
    return Found(images, errors)


def _named_hdus(camera: Camera, hdus: fits.HDUList) -> list[DetectorImage]:
    """Detectors whose HDU, as the description has it, is in the file."""
    found = []
    for detector in camera.description.detectors:
        if isinstance(detector.hdu, str) and detector.hdu in hdus:
            found.append(DetectorImage(detector.id, int(hdus.index_of(detector.hdu))))
        elif isinstance(detector.hdu, int) and detector.hdu < len(hdus):
            found.append(DetectorImage(detector.id, detector.hdu))
    return found


def _telling_images(camera: Camera, hdus: fits.HDUList) -> list[int]:
    """HDUs with a two-dimensional image whose own header tells its detector."""
    source = camera.description.header.detector
    keywords = [] if source is None else source.keywords
    return [
        number
        for number, image in _images(hdus)
        if len(image_shape(image)) == 2
        and 0 not in image.shape
        and any(keyword in image.header for keyword in keywords)
    ]


def _images(hdus: fits.HDUList) -> Iterator[tuple[int, Any]]:
    return ((number, entry) for number, entry in enumerate(hdus) if entry.is_image and len(entry.shape) >= 2)


def _only_image(
    camera: Camera, hdus: fits.HDUList, path: Path, of_camera: bool, telling: list[int] | None = None
) -> DetectorImage:
    """The one image of a file, or the first of one with images that tell no detector."""
    image = find_image(hdus, path, telling[0] if telling else None)
    first = next(number for number, _ in _images(hdus))
    hdu = telling[0] if telling and telling[0] != first else None
    detector = _detector(camera, hdus, image, path, of_camera)
    return DetectorImage(detector, (first if hdu is None else hdu,) if _is_part(camera, detector, image) else hdu)


def _detector(camera: Camera, hdus: fits.HDUList, image: Any, path: Path, of_camera: bool) -> int:
    header = ChainMap(image.header, hdus[0].header)  # merging whole headers takes most of the time of an ingest
    if of_camera:
        camera.reader(header, str(path)).check_camera()
    return camera.detector_id(header, str(path))


def _joined(camera: Camera, hdus: fits.HDUList, detector: int, found: list[int]) -> Hdu:
    """The HDUs of a detector's single amplifiers, or the one HDU that has its whole image."""
    return tuple(found) if _is_part(camera, detector, hdus[found[0]]) else found[0]


def _is_part(camera: Camera, detector: int, image: Any) -> bool:
    """Whether an image is too small for the detector, and large enough for one of its amplifiers."""
    description = camera.description_of(detector)
    rows, columns = image_shape(image)
    parts = [amplifier.separate.data for amplifier in description.amplifiers if amplifier.separate is not None]
    too_small = columns < description.size[0] or rows < description.size[1]
    return too_small and any(columns >= part.x[1] and rows >= part.y[1] for part in parts)


def one_error_a_cause(errors: list[tuple[int, BadFrameError]], images: int) -> list[BadFrameError]:
    """Errors of the HDUs of a file, those of the same cause told once, with the HDUs if there are several images."""
    causes: dict[tuple[str | None, str], list[tuple[int, BadFrameError]]] = {}
    for number, error in errors:
        causes.setdefault((error.keyword, error.cause), []).append((number, error))
    told = []
    for entries in causes.values():
        error = entries[0][1]
        if images > 1:
            names = f"HDU {_ranges(sorted(number for number, _ in entries))}"
            error = BadFrameError(
                f"{names}: {error.cause}", file=error.file, keyword=error.keyword, cure=error.cure, **error.metadata
            )
        told.append(error)
    return told


def _ranges(numbers: list[int]) -> str:
    """Numbers in words: 1-4, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
