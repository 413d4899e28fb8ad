"""When a master calibration holds, as its header says."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from astropy.io import fits
from astropy.time import Time
from lsst.daf.butler import Timespan

from skyloom.errors import BadFrameError
from skyloom.instruments import Camera

__all__ = ["validity_of"]

_NO_END = 2090
"""Years from this one on stand for no end: the registry knows none after 2100."""


def validity_of(camera: Camera, header: fits.Header, path: Path) -> Timespan:
    """From the beginning of the first to the end of the last day (UTC) that the header names.

    Raises
    ------
    BadFrameError
        If the camera's description names no keywords, or the header has no days that follow each other.
    """
    masters = camera.description.masters
    if masters is None or masters.begin is None or masters.end is None:
        raise BadFrameError(
            f"the description of {camera.name} names no keywords for the dates.",
            file=str(path),
            cure="Give the dates with --begin and --end.",
        )
    begin, end = (_day(header, keyword, path) for keyword in (masters.begin, masters.end))
    if end < begin:
        raise BadFrameError(
            f"{header[masters.end]} is before {masters.begin}, {header[masters.begin]}.",
            file=str(path),
            keyword=masters.end,
            cure="Give the dates with --begin and --end.",
        )
    return Timespan(_midnight(begin), None if end.year >= _NO_END else _midnight(end + timedelta(days=1)))


def _midnight(day: date) -> Time:
    return Time(day.isoformat(), scale="utc").tai


def _day(header: fits.Header, keyword: str, path: Path) -> date:
    """A day that is written with dashes or slashes."""
    text = str(header.get(keyword, "")).strip()
    try:
        year, month, day = (int(part) for part in text.replace("/", "-").split("-"))
        return date(year, month, day)
    except ValueError as error:
        raise BadFrameError(
            f"{text!r} is no date.", file=str(path), keyword=keyword, cure="Give the dates with --begin and --end."
        ) from error
