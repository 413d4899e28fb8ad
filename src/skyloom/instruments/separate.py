"""Files that hold an image for each amplifier: put together to the raw image that the camera's description has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from astropy.io.fits import Header

from skyloom.errors import BadFrameError
from skyloom.images.raw import RawExposure

from .description import AmplifierDescription, DetectorDescription
from .expressions import is_true
from .geometry import raw_shape
from .parts import BoxDescription

__all__ = ["AmplifierImages", "join_amplifiers"]

_REGIONS = ("data", "serial_overscan", "parallel_overscan", "prescan")


@dataclass(kw_only=True, eq=False)
class AmplifierImages(RawExposure):
    """The images of a detector's amplifiers as a file holds them; ``image`` is one beside the other."""

    parts: Sequence[tuple[Header, np.ndarray]] = field(default_factory=list)
    """Header and pixels ``[y, x]`` of each."""


def join_amplifiers(detector: DetectorDescription, raw: AmplifierImages) -> RawExposure:
    """The detector's raw frame.

    Each region of an amplifier goes where the description has it in the raw image, mirrored as it says.  Overscan and
    prescan keep the order in which they were read: what was next to the data stays next to them.  Pixels of the raw
    image that belong to no region are 0.

    Raises
    ------
    BadFrameError
        If an amplifier is missing or there twice, or an image is too small for its regions.
    """
    image = np.zeros(raw_shape(detector), raw.image.dtype)
    header = raw.header.copy()
    for amplifier in detector.amplifiers:
        own, pixels = _part_of(amplifier, detector, raw)
        for name in _REGIONS:
            _copy(image, pixels, amplifier, name, raw.file)
        assert amplifier.separate is not None  # `_part_of` has looked
        for keyword, source in amplifier.separate.cards.items():
            if source in own:
                header[keyword] = own[source]
    return RawExposure(image=image, header=header, file=raw.file)


def _part_of(
    amplifier: AmplifierDescription, detector: DetectorDescription, raw: AmplifierImages
) -> tuple[Header, np.ndarray]:
    """Header and pixels of an amplifier."""
    separate = amplifier.separate
    found = [part for part in raw.parts if separate is not None and is_true(separate.recognise, part[0], raw.file)]
    if len(found) != 1:
        raise BadFrameError(
            f"of {len(raw.parts)} image(s) of single amplifiers of detector {detector.name}, {len(found) or 'none'} "
            f"is of amplifier {amplifier.name}.",
            file=raw.file,
            cure="Put the amplifiers of a detector into one file, or correct `separate` in the camera's description.",
        )
    return found[0]


def _copy(image: np.ndarray, pixels: np.ndarray, amplifier: AmplifierDescription, name: str, file: str) -> None:
    """Copy one region of an amplifier into the raw image."""
    separate, raw = amplifier.separate, amplifier.raw
    assert separate is not None
    assert raw is not None
    source, target = getattr(separate, name), getattr(raw, name)
    if source is None or target is None:
        return
    if source.y[1] > pixels.shape[0] or source.x[1] > pixels.shape[1]:
        raise BadFrameError(
            f"the image of amplifier {amplifier.name} has {pixels.shape} pixels (rows, columns), its {name} reaches to "
            f"{(source.y[1], source.x[1])}.",
            file=file,
            cure="Leave the file out, or correct `separate` in the camera's description.",
        )
    region = pixels[source.y[0] : source.y[1], source.x[0] : source.x[1]]
    flip_x = separate.flip_x ^ _changes_side(source.x, separate.data.x, target.x, raw.data.x, separate.flip_x)
    flip_y = separate.flip_y ^ _changes_side(source.y, separate.data.y, target.y, raw.data.y, separate.flip_y)
    image[_slices(target)] = region[:: -1 if flip_y else 1, :: -1 if flip_x else 1]


def _changes_side(
    source: tuple[int, int],
    source_data: tuple[int, int],
    target: tuple[int, int],
    target_data: tuple[int, int],
    flip: bool,
) -> bool:
    """Whether a region lies on the other side of the data in the raw image than flipping alone would put it."""
    before = _side(source, source_data) * (-1 if flip else 1)
    return before * _side(target, target_data) < 0


def _side(region: tuple[int, int], data: tuple[int, int]) -> int:
    """-1 before the data, 1 after them, 0 beside them."""
    return int(region[0] >= data[1]) - int(region[1] <= data[0])


def _slices(box: BoxDescription) -> tuple[slice, slice]:
    return slice(*box.y), slice(*box.x)
