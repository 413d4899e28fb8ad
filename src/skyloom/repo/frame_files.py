"""Find FITS files, and read a frame's header or pixels after checking that the file is whole."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from skyloom.errors import BadFrameError, RepositoryError

__all__ = [
    "SUFFIXES",
    "check_whole",
    "find_files",
    "find_image",
    "image_shape",
    "merged_header",
    "one_line",
    "open_frame",
    "open_unpacked",
    "read_pixels",
]

SUFFIXES = tuple(f"{suffix}{packing}" for suffix in (".fits", ".fit", ".fts") for packing in ("", ".gz", ".fz", ".bz2"))
"""What names of FITS files end in, in any case."""

_PACKED: dict[str, Callable[[Path], BinaryIO]] = {".gz": gzip.GzipFile, ".bz2": bz2.BZ2File}  # type: ignore[dict-item]
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    fits.VerifyError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
"""What reading a file that is not whole has been seen to raise."""
_STRUCTURE = ("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "PCOUNT", "GCOUNT", "XTENSION", "NEXTEND")


def find_files(paths: Iterable[str | Path]) -> list[Path]:
    """Absolute paths of the files named, and of all FITS files below the folders named, sorted, each once.

    Raises
    ------
    RepositoryError
        If a path does not exist, or there is no file at all.
    """
    found: set[Path] = set()
    for path in map(Path, paths):
        if path.is_dir():
            found.update(entry.absolute() for entry in path.rglob("*") if _is_fits(entry))
        elif path.exists():
            found.add(path.absolute())
        else:
            raise RepositoryError("no such file or folder.", file=str(path), cure="Check the path.")
    if not found:
        names = " ".join(str(path) for path in paths)
        raise RepositoryError(f"no FITS file in {names}.", cure=f"Names of FITS files end in {', '.join(SUFFIXES)}.")
    return sorted(found)


def _is_fits(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES) and path.is_file() and not path.name.startswith(".")


@contextmanager
def open_frame(path: Path, told: Path | None = None) -> Iterator[fits.HDUList]:
    """Open a FITS file; whatever goes wrong while it is open becomes a `BadFrameError`.

    Parameters
    ----------
    path
        The file.
    told
        What errors call it; None for its own name.

    Raises
    ------
    BadFrameError
        If the file is empty, no FITS file, or ends too early.
    """
    if path.stat().st_size == 0:
        raise BadFrameError("the file is empty.", file=str(told or path), cure="Fetch it again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(path, memmap=False, lazy_load_hdus=True) as hdus:
                yield hdus
    except BadFrameError:
        raise
    except _BROKEN as error:
        raise _broken(told or path, error) from error


def _broken(path: Path, error: BaseException) -> BadFrameError:
    return BadFrameError(
        f"not a whole FITS file ({type(error).__name__}: {one_line(error)}).",
        file=str(path),
        cure="Fetch it again, or leave it out.",
    )


@contextmanager
def open_unpacked(path: Path) -> Iterator[fits.HDUList]:
    """As `open_frame`, for reading the pixels of many HDUs: a packed file is unpacked to the disk once.

    Going back in a packed file means to unpack it from its beginning.

    Raises
    ------
    BadFrameError
        If the file is empty, no FITS file, or ends too early.
    """
    packed = _unpacker(path)
    if packed is None:
        with open_frame(path) as hdus:
            yield hdus
        return
    with tempfile.NamedTemporaryFile(suffix=".fits") as plain:
        try:
            with packed(path) as stream:
                shutil.copyfileobj(stream, plain, 1 << 22)
            plain.flush()
        except _BROKEN as error:
            raise _broken(path, error) from error
        with open_frame(Path(plain.name), path) as hdus:
            yield hdus


def find_image(hdus: fits.HDUList, path: Path, hdu: int | str | None = None) -> Any:
    """The HDU of a number or name; for None the first that holds an image.

    Raises
    ------
    BadFrameError
        If there is none, or it holds no two-dimensional image.
    """
    if hdu is None:
        hdu = next((index for index, entry in enumerate(hdus) if entry.is_image and len(entry.shape) >= 2), None)
    elif (isinstance(hdu, int) and hdu >= len(hdus)) or (isinstance(hdu, str) and hdu not in hdus):
        raise BadFrameError(f"the file has no HDU {hdu!r}.", file=str(path), cure="Check the camera's description.")
    if hdu is None or len(image_shape(hdus[hdu])) != 2 or 0 in hdus[hdu].shape:
        where = "the file" if hdu is None else f"HDU {hdu!r}"
        raise BadFrameError(f"{where} holds no two-dimensional image.", file=str(path), cure="Leave it out.")
    return hdus[hdu]


def image_shape(image: Any) -> tuple[int, ...]:
    """Rows and columns of an HDU's image; axes of length one before them do not count."""
    shape = tuple(int(length) for length in image.shape)
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def merged_header(hdus: fits.HDUList, image: Any) -> fits.Header:
    """The header of an image with what only the primary one tells: where both have a keyword the image's counts."""
    header = image.header.copy()
    if image is not hdus[0]:
        known = set(header)
        for card in hdus[0].header.cards:
            if card.keyword not in known and card.keyword not in _STRUCTURE:
                header.append(card, end=True)
    return header


def check_whole(image: Any, path: Path) -> None:
    """Make sure that all pixels are there, reading them only where nothing less tells.

    Raises
    ------
    BadFrameError
        If the file ends before the last pixel.
    """
    packed = _unpacker(path)
    container = getattr(image, "_bintable", None) or image
    place = container.fileinfo()
    header = container._header if container is not image else image.header
    end = place["datLoc"] + _data_bytes(header)
    size = path.stat().st_size if packed is None else _unpacked_size(packed, path)
    if size < end:
        raise BadFrameError(
            f"the file is truncated: {size} bytes, the header promises {end}.",
            file=str(path),
            cure="Fetch it again, or leave it out.",
        )


def _unpacker(path: Path) -> Callable[[Path], BinaryIO] | None:
    """What unpacks a file of this name; None for one that is not packed as a whole."""
    return next((unpack for suffix, unpack in _PACKED.items() if path.name.lower().endswith(suffix)), None)


def _unpacked_size(unpack: Callable[[Path], BinaryIO], path: Path) -> int:
    """Bytes of a packed file, read to its end, where its checksum is; read once for all images of the file."""
    state = path.stat()
    return _read_to_the_end(unpack, path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _read_to_the_end(unpack: Callable[[Path], BinaryIO], path: Path, *_: int) -> int:
    size = 0
    with unpack(path) as stream:
        while part := stream.read(1 << 22):
            size += len(part)
    return size


def _data_bytes(header: fits.Header) -> int:
    """Bytes of an HDU's data without padding."""
    count = int(np.prod([header[f"NAXIS{axis}"] for axis in range(1, header["NAXIS"] + 1)], dtype=np.int64))
    elements = int(header.get("GCOUNT", 1)) * (int(header.get("PCOUNT", 0)) + count)
    return abs(int(header["BITPIX"])) // 8 * elements


def read_pixels(path: Path, hdu: int | str | None = None) -> tuple[np.ndarray, fits.Header]:
    """Pixels ``[y, x]`` and merged header of a frame.

    Raises
    ------
    BadFrameError
        If the file is not whole, or holds no image.
    """
    with open_frame(path) as hdus:
        image = find_image(hdus, path, hdu)
        return np.asarray(image.data).reshape(image_shape(image)), merged_header(hdus, image)


def one_line(error: BaseException) -> str:
    """What an error says in its first line, without a full stop, and without astropy's advice to programmers."""
    lines = str(error).partition(" If this is really a FITS file")[0].strip().splitlines()
    return lines[0].rstrip(".") if lines else "no reason given"
