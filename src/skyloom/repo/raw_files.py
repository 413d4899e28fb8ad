"""Raw frames in files: which HDUs hold one, as the fragment of a URI tells it, and its pixels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from skyloom.images.raw import RawExposure
from skyloom.instruments.given_pointing import with_pointing
from skyloom.instruments.separate import AmplifierImages

from .detector_hdus import Hdu
from .frame_files import read_pixels

__all__ = ["fragment_of", "hdu_of", "read_raw"]


def fragment_of(hdu: Hdu) -> str:
    """What is put behind the name of a file to tell its HDU; nothing for the first with an image."""
    if hdu is None:
        return ""
    return f"hdu={'+'.join(map(str, hdu)) if isinstance(hdu, tuple) else hdu}"


def hdu_of(fragment: str) -> Hdu:
    """The HDU, or those of the amplifiers, that a fragment tells."""
    _, found, name = fragment.partition("hdu=")
    if not found:
        return None
    if re.fullmatch(r"\d+(\+\d+)+", name):
        return tuple(int(part) for part in name.split("+"))
    return int(name) if name.isdecimal() else name


def read_raw(path: Path, hdu: Hdu, file: str, center: tuple[float, float] | None = None) -> RawExposure:
    """A raw frame, or the images of its amplifiers, which its camera puts together.

    Parameters
    ----------
    path
        FITS file.
    hdu
        HDU or HDUs.
    file
        Name of the file for messages.
    center
        Boresight (ra, dec), degree, of a frame whose header has none.

    Raises
    ------
    BadFrameError
        If the file is not whole, or holds no such image.
    """
    if not isinstance(hdu, tuple):
        pixels, header = read_pixels(path, hdu)
        return RawExposure(image=pixels, header=with_pointing(header, center), file=file)
    parts = [
        (with_pointing(header, center), pixels) for pixels, header in (read_pixels(path, number) for number in hdu)
    ]
    images = [pixels for _, pixels in parts]
    beside = np.hstack(images) if len({len(image) for image in images}) == 1 else images[0]
    return AmplifierImages(image=beside, header=parts[0][0], file=file, parts=parts)
