"""Headers of real frames, for simulated ones to begin with."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.io import fits

from skyloom.errors import SkyloomError

if TYPE_CHECKING:
    from .mosaic import Mosaic

__all__ = ["read_templates"]

_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|EXTEND|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|TFIELDS|BZERO|BSCALE|BLANK|CHECKSUM|DATASUM|END"
    r"|Z[A-Z]+\d*|FZ[A-Z]+|(TTYPE|TFORM|TDIM|TUNIT|TNULL)\d+"
)
"""How the pixels are stored: the simulated ones are stored in their own way."""
_PROJECTION = re.compile(r"(CTYPE|CRVAL|CRPIX|CDELT|CROTA|CUNIT)\d|(CD|PC|PV)\d_\d+|WCSAXES")
"""Where the real frame pointed."""


def read_templates(path: str | Path, mosaic: Mosaic) -> dict[int, fits.Header]:
    """The headers of a real file by detector id, without what tells of its pixels and where it pointed.

    Parameters
    ----------
    path
        A FITS file, or the text of its headers, 80-character cards a line, one HDU after the other; gzip too.
    mosaic
        Says in which HDU each detector is.

    Raises
    ------
    SkyloomError
        If the file holds no headers, or none for a detector.
    """
    headers = _headers(Path(path))
    templates = {}
    for number, ccd in mosaic.ccds.items():
        index = _index(headers, 0 if ccd.hdu is None else ccd.hdu)
        if index is not None:
            templates[number] = _without_pixels(headers[index])
    if not templates:
        raise SkyloomError(
            f"holds no header of a detector of {mosaic.camera.name}", file=str(path), cure="Give another file."
        )
    return templates


def _headers(path: Path) -> list[fits.Header]:
    """The headers of all HDUs."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            first = file.read(400)
            lines = (first + file.read()).decode("ascii", "replace").splitlines() if b"\n" in first else []
        if not lines:
            with fits.open(path) as hdus:
                return [hdu.header for hdu in hdus]
    except OSError as error:
        raise SkyloomError(f"cannot be read: {error}", file=str(path), cure="Check the path.") from error
    found: list[list[str]] = []
    for line in lines:
        if line.startswith(("SIMPLE  =", "XTENSION=")):
            found.append([])
        if found and not line.startswith("#"):
            found[-1].append(line[:80])
    return [fits.Header.fromstring("\n".join(cards), sep="\n") for cards in found]


def _index(headers: list[fits.Header], hdu: int | str) -> int | None:
    if isinstance(hdu, int):
        return hdu if hdu < len(headers) else None
    return next((n for n, header in enumerate(headers) if header.get("EXTNAME") == hdu), None)


def _without_pixels(header: fits.Header) -> fits.Header:
    kept = fits.Header()
    for card in header.cards:
        if not (_STRUCTURE.fullmatch(card.keyword) or _PROJECTION.fullmatch(card.keyword)):
            kept.append(card)
    return kept
