"""Numbers with a unit in a camera description, and the ways headers write angles, dates and observation types."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

import astropy.units as u
from astropy.coordinates import Angle
from astropy.time import Time
from pydantic import BeforeValidator, PlainSerializer

__all__ = ["OBSERVATION_TYPES", "Degrees", "Millimetres", "PixelScale", "in_base_units", "parse_angle", "parse_date"]


def _with_unit(unit: u.UnitBase, example: str) -> Any:
    """A pydantic field that takes text such as ``"30 arcsec"`` and holds a float in ``unit``."""

    def convert(value: Any) -> float:
        if not isinstance(value, str):
            raise ValueError(f"give a number with its unit, such as '{example}', not {value!r}")
        try:
            return float(u.Quantity(value).to_value(unit))
        except (TypeError, ValueError, u.UnitConversionError) as error:
            raise ValueError(f"cannot read {value!r} as a number with a unit, such as '{example}'") from error

    return [BeforeValidator(convert), PlainSerializer(lambda value: f"{value!r} {unit}", return_type=str)]


Degrees = Annotated[float, *_with_unit(u.deg, "0.5 deg")]
"""An angle, written with its unit, held in degrees."""

PixelScale = Annotated[float, *_with_unit(u.arcsec, "0.25 arcsec")]
"""The angle that a pixel spans, written with its unit, held in arcsec."""

Millimetres = Annotated[float, *_with_unit(u.mm, "15 um")]
"""A length, written with its unit, held in mm."""

OBSERVATION_TYPES = {
    "object": "science",
    "light": "science",
    "light frame": "science",
    "zero": "bias",
    "bias frame": "bias",
    "dark frame": "dark",
    "flat field": "flat",
    "flat frame": "flat",
    "dome flat": "flat",
    "sky flat": "flat",
    "twilight flat": "flat",
}
"""What cameras call their kinds of frames, and what we call them."""


def parse_angle(value: Any, unit: str | None, *, hours: bool = False) -> float:
    """Degrees of a header value.

    Parameters
    ----------
    value
        A number, text that holds a number, or sexagesimal text with colons, blanks or unit letters.
    unit
        Unit of the value; None means degrees for a number, and for sexagesimal text hours if ``hours``, degrees
        otherwise.
    hours
        Whether sexagesimal text counts hours (right ascension) where no unit is given.

    Raises
    ------
    ValueError
        If the value is no angle.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        text = str(value).strip()
        given = u.Unit(unit) if unit else (u.hourangle if hours else u.deg)
        return float(Angle(text, unit=given).to_value(u.deg))
    return float((number * u.Unit(unit or "deg")).to_value(u.deg))


def in_base_units(number: float, unit: str) -> float:
    """A number in a unit as one in SI base units: metres, seconds, kelvin, ..."""
    quantity = number * u.Unit(unit)
    if quantity.unit.physical_type == "temperature":
        return float(quantity.to_value(u.K, u.temperature()))
    return float(quantity.si.value)


def parse_date(value: Any, style: str | None, scale: str) -> Time:
    """The time of a header value, in TAI.

    Parameters
    ----------
    value
        ISO text (a trailing offset from UTC is heeded) or a number.
    style
        For numbers: ``mjd``, ``jd`` or ``unix``; None means ISO text.
    scale
        Time scale of the value: ``utc``, ``tai``, ``tt`` or ``tdb``.

    Raises
    ------
    ValueError
        If the value is no date, or a date without a time of day.
    """
    if style is not None:
        return Time(float(value), format=style, scale=scale).tai
    # Some telescopes write the hours before ten with one digit.
    text = re.sub(r"(?<=\d[T ])(?=\d:)", "0", str(value).strip())
    if len(text) <= len("YYYY-MM-DD"):
        raise ValueError(f"{text!r} has no time of day")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        return Time(moment.astimezone(UTC).replace(tzinfo=None), scale="utc").tai
    return Time(text.replace(" ", "T"), format="isot", scale=scale).tai
