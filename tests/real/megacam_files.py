"""FITS files under the headers of real MegaCam files, with made-up pixels: no real raw ones are to be had here."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.io.fits import Header

_STRUCTURE = ("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS", "EXTEND")
_PACKING = ("TTYPE1", "TFORM1", "CHECKSUM", "DATASUM", "ZHECKSUM", "ZDATASUM")
_BLOCK = 2880


def read_headers(data_dir: Path, name: str) -> list[Header]:
    """Headers of all HDUs of a file, the primary one first."""
    path = data_dir / "megacam_headers" / f"{name}.fits.header.gz"
    hdus: list[list[str]] = []
    for line in gzip.decompress(path.read_bytes()).decode("ascii", "replace").splitlines():
        if line.startswith(("SIMPLE  =", "XTENSION=")):
            hdus.append([])
        if hdus and not line.startswith("#"):
            hdus[-1].append(line[:80])
    return [Header.fromstring("\n".join(cards), sep="\n") for cards in hdus]


def shape_of(header: Header) -> tuple[int, int]:
    """Rows and columns of the image, packed or not."""
    prefix = "ZNAXIS" if "ZNAXIS1" in header else "NAXIS"
    return int(header[f"{prefix}2"]), int(header[f"{prefix}1"])


def write_file(
    path: Path, headers: list[Header], pixels: Mapping[int, np.ndarray | None], *, as_told: bool = True
) -> Path:
    """Write a file of some of the HDUs of a real one.

    Parameters
    ----------
    path
        Name of the file.
    headers
        Of the primary HDU and of all extensions.
    pixels
        ``[y, x]`` by number of the extension in the real file; None for zeros as they are stored, of the size that
        the header states, of which the disk holds nothing.
    as_told
        Whether pixels are stored as 16-bit integers with the header's scale; else as float32.
    """
    with path.open("wb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        primary = headers[0].copy()
        primary["NEXTEND"] = len(pixels)
        file.write(primary.tostring().encode("ascii", "replace"))
        for number, image in pixels.items():
            header = _image_header(
                headers[number], shape_of(headers[number]) if image is None else image.shape, as_told
            )
            file.write(header.tostring().encode("ascii", "replace"))
            rows, columns = header["NAXIS2"], header["NAXIS1"]
            size = rows * columns * abs(header["BITPIX"]) // 8
            if image is not None:
                file.write(_stored(image, header).tobytes())
                file.write(bytes(-size % _BLOCK))
            else:
                file.seek(size + -size % _BLOCK, 1)
        file.truncate()
    return path


def _image_header(told: Header, shape: tuple[int, ...], as_told: bool) -> Header:
    header = Header()
    header["XTENSION"] = "IMAGE"
    header["BITPIX"] = 16 if as_told else -32
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, shape[1], shape[0]
    header["PCOUNT"], header["GCOUNT"] = 0, 1
    for card in told.cards:
        packing = card.keyword in _PACKING or (card.keyword.startswith("Z") and card.keyword != "ZPROBE")
        scale = card.keyword in ("BSCALE", "BZERO") and not as_told
        if card.keyword in _STRUCTURE or packing or scale or card.value == "COMPRESSED_IMAGE":
            continue
        header.append(card)
    return header


def _stored(image: np.ndarray, header: Header) -> np.ndarray:
    if header["BITPIX"] < 0:
        return image.astype(">f4")
    counts = (image.astype(np.float64) - header.get("BZERO", 0.0)) / header.get("BSCALE", 1.0)
    return np.round(counts).astype(">i2")
