"""A pointing that the user gives for frames whose headers have none, as two cards beside the header's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from astropy.io.fits import Header

__all__ = ["given_pointing", "with_pointing"]

_RA, _DEC = "SKYLRA", "SKYLDEC"


def with_pointing(header: Header, center: tuple[float, float] | None) -> Header:
    """A copy of a header with the boresight (ra, dec) in degrees; the header itself where none is given."""
    if center is None:
        return header
    cards = header.copy()
    cards[_RA] = (center[0], "[deg] boresight, given when the frame was ingested")
    cards[_DEC] = (center[1], "[deg] boresight, given when the frame was ingested")
    return cards


def given_pointing(header: Mapping[str, Any]) -> tuple[float, float] | None:
    """The boresight (ra, dec) in degrees that was given; None without one."""
    if header.get(_RA) is None or header.get(_DEC) is None:
        return None
    return float(header[_RA]), float(header[_DEC])
