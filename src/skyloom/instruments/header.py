"""What a header says in the terms of a camera: one value a quantity, and where it came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import astropy.units as u
from astropy.time import Time

from skyloom.errors import BadFrameError

from .description import CameraDescription, FilterDescription, Source
from .expressions import Expression, MissingKeywordError
from .given_pointing import given_pointing
from .quantities import OBSERVATION_TYPES, in_base_units, parse_angle, parse_date

__all__ = ["ON_SKY", "HeaderReader"]

ON_SKY = frozenset({"science"})
"""Observation types that need a pointing and make visits."""

_UNDESCRIBED = {
    "dark_time": "the exposure time",
    "detector": "the only one, or its HDU",
    "filter": "the only one",
    "rotator": "no rotator",
}
_NO_FILTER = frozenset({"bias", "dark"})


class HeaderReader:
    """Reads quantities of one header.

    Every method raises `BadFrameError`, naming the file, the keyword and the cure, where an essential quantity
    cannot be had.
    """

    def __init__(self, camera: CameraDescription, header: Mapping[str, Any], file: str) -> None:
        self._camera = camera
        self._header = header
        self._file = file

    def check_camera(self) -> None:
        """Refuse the frame of another camera."""
        for keyword, expected in self._camera.recognise.items():
            found = self._header.get(keyword)
            if _clean(found) != _clean(expected):
                self._fail(
                    keyword,
                    f"is {found!r}, but frames of {self._camera.name} have {expected!r}.",
                    "Ingest it with its own camera, or correct `recognise` in the camera's description.",
                )

    def exposure_id(self) -> int:
        """Positive integer of the exposure."""
        value = self._number("exposure_id")
        number = int(value)
        if number != value or not 0 <= number < self._camera.exposure_max:
            self._bad("exposure_id", value, f"no whole number from 0 to exposure_max={self._camera.exposure_max}")
        return number

    def detector(self) -> int | str | None:
        """Id or name as the header tells it; None where the camera does not look for it in the header."""
        if self._camera.header.detector is None:
            return None
        value = _clean(self._value("detector"))
        return int(value) if re.fullmatch(r"\d+", str(value)) else str(value)

    def exposure_time(self) -> float:
        """Seconds."""
        return self._seconds("exposure_time")

    def dark_time(self) -> float:
        """Seconds; the exposure time where the camera names no source, or the header lacks it."""
        if self._camera.header.dark_time is None:
            return self.exposure_time()
        value = self._optional("dark_time", lambda: self._seconds("dark_time"))
        return self.exposure_time() if value is None else value

    def begin(self) -> Time:
        """Start of the exposure, TAI."""
        source = self._camera.header.date
        value = self._value("date")
        if source.time_keyword is not None and isinstance(value, str):
            if source.time_keyword not in self._header:
                self._missing("date", source.time_keyword)
            value = f"{value.strip()[:10]}T{str(self._header[source.time_keyword]).strip()}"
        try:
            date = parse_date(value, None if source.format == "iso" else source.format, source.scale)
        except (ValueError, TypeError) as error:
            self._bad("date", value, f"no date and time ({error})")
        fraction = {"begin": 0.0, "middle": 0.5, "end": 1.0}[source.refers_to]
        return date - fraction * self.exposure_time() * u.s if fraction else date

    def end(self) -> Time:
        """End of the exposure, TAI."""
        return self.begin() + self.exposure_time() * u.s

    def night(self) -> int:
        """Date of the night, as the integer YYYYMMDD."""
        return int((self.begin() - self._camera.day_offset_hours * u.hour).strftime("%Y%m%d"))

    def observation_type(self) -> str:
        """One of ours where it is a known word, else the header's word in lower case."""
        word = str(_clean(self._value("observation_type"))).lower()
        return OBSERVATION_TYPES.get(word, word)[:16]

    def filter_name(self) -> str | None:
        """Name of the filter as the camera's description has it; None for biases and darks that name none."""
        filters = self._camera.filters
        source = self._camera.header.filter
        if source is None:
            return next(iter(filters))
        dark = self.observation_type() in _NO_FILTER
        raw = self._optional("filter", lambda: self._value("filter")) if dark else self._value("filter")
        name = None if raw is None else find_filter(filters, str(_clean(raw)))
        if name is None and not dark:
            self._bad("filter", raw, f"none of the camera's filters {', '.join(filters)}")
        return name

    def pointing(self) -> tuple[float, float] | None:
        """Boresight (ra, dec) in degrees; None off the sky, or where only the header's WCS tells it.

        Where the header has none, that which was given at ingest.
        """
        header = self._camera.header
        given = given_pointing(self._header)
        if self.observation_type() not in ON_SKY:
            return None
        if header.ra is None or header.dec is None:
            return given
        if given is not None and self._optional("ra", lambda: self._angle("ra", hours=True)) is None:
            return given
        if given is not None and self._optional("dec", lambda: self._angle("dec")) is None:
            return given
        ra, dec = self._angle("ra", hours=True), self._angle("dec")
        if not -90 <= dec <= 90:
            self._bad("dec", dec, "outside -90 to 90 degrees")
        return ra % 360.0, dec

    def rotator(self) -> float:
        """Rotator angle in degrees; 0 without a rotator, or where the header of a frame lacks pointing and rotator."""
        if self._camera.header.rotator is None:
            return 0.0
        if given_pointing(self._header) is not None:
            return self._optional("rotator", lambda: self._angle("rotator")) or 0.0
        return self._angle("rotator")

    def position_angle(self) -> float:
        """Angle of the mosaic's +y on the sky, degrees east of north, 0 to 360."""
        return (self._camera.position_angle + self._camera.rotator_sign * self.rotator()) % 360.0

    def soft_bias(self) -> float:
        """ADU that were added to the pixels."""
        return 0.0 if self._camera.header.soft_bias is None else self._number("soft_bias")

    def optional_number(self, quantity: str) -> float | None:
        """A quantity that a frame can do without, as a number."""
        return self._optional(quantity, lambda: self._number(quantity))

    def optional_text(self, quantity: str) -> str | None:
        """A quantity that a frame can do without, as text."""
        value = self._optional(quantity, lambda: self._value(quantity))
        return None if value is None else str(_clean(value))

    def mode(self) -> dict[str, str]:
        """What tells how the detector was read out, by keyword; keywords that the header lacks are left out."""
        keywords = self._camera.mode_keywords
        return {name: str(_clean(self._header[name])) for name in keywords if _is_given(self._header.get(name))}

    def simulated(self) -> bool:
        """Whether the header calls the frame simulated."""
        return str(_clean(self._value("simulated"))).lower() in ("t", "true", "1", "yes")

    def origin(self, quantity: str) -> str:
        """Where a quantity comes from, in words."""
        source = getattr(self._camera.header, quantity)
        if source is None:
            return _UNDESCRIBED.get(quantity, "not described")
        if source.value is not None:
            return "fixed value"
        if source.expression is not None:
            return f"expression {source.expression}"
        present = [keyword for keyword in source.keywords if keyword in self._header]
        if present:
            return f"keyword {present[0]}"
        return "default" if source.default is not None else f"keyword {' or '.join(source.keywords)} (absent)"

    def _source(self, quantity: str) -> Source:
        source = getattr(self._camera.header, quantity)
        assert isinstance(source, Source)
        return source

    def _value(self, quantity: str) -> Any:
        """Value of a quantity, after the camera's own words are translated."""
        source = self._source(quantity)
        if source.value is not None:
            return source.value
        if source.expression is not None:
            value = self._evaluated(quantity, source)
        else:
            present = [keyword for keyword in source.keywords if _is_given(self._header.get(keyword))]
            value = self._header[present[0]] if present else source.default
            if value is None:
                self._missing(quantity, " or ".join(source.keywords))
        return source.values.get(_clean(value), value)

    def _evaluated(self, quantity: str, source: Source) -> Any:
        assert source.expression is not None
        try:
            return Expression(source.expression).evaluate(self._header, self._file)
        except MissingKeywordError as error:
            if source.default is None:
                self._missing(quantity, error.keyword)
        except ValueError as error:
            if source.default is None:
                self._fail(
                    " ".join(source.keywords) or None,
                    f"{_words(quantity)} cannot be worked out: {error}.",
                    f"Correct header.{quantity} in the camera's description.",
                )
        return source.default

    def _number(self, quantity: str) -> float:
        value = self._value(quantity)
        try:
            number = float(value)
        except (TypeError, ValueError):
            self._bad(quantity, value, "no number")
        if number != number or abs(number) == float("inf"):
            self._bad(quantity, value, "not finite")
        unit = self._source(quantity).unit
        return number if unit is None else in_base_units(number, unit)

    def _seconds(self, quantity: str) -> float:
        value = self._number(quantity)
        if value < 0:
            self._bad(quantity, value, "negative")
        return value

    def _angle(self, quantity: str, *, hours: bool = False) -> float:
        value = self._value(quantity)
        try:
            angle = parse_angle(value, self._source(quantity).unit, hours=hours)
        except (ValueError, TypeError, u.UnitsError):
            self._bad(quantity, value, "no angle")
        if not abs(angle) < float("inf"):
            self._bad(quantity, value, "not finite")
        return angle

    def _optional[T](self, quantity: str, read: Callable[[], T]) -> T | None:
        if getattr(self._camera.header, quantity) is None:
            return None
        try:
            return read()
        except BadFrameError:
            return None

    def _missing(self, quantity: str, keyword: str) -> NoReturn:
        self._fail(
            keyword,
            f"the header lacks it, and {_words(quantity)} comes from there.",
            f"Add the keyword to the file, or give header.{quantity} another source in the camera's description.",
        )

    def _bad(self, quantity: str, value: Any, why: str) -> NoReturn:
        self._fail(
            " or ".join(self._source(quantity).keywords) or None,
            f"{_words(quantity)} {value!r} is {why}.",
            f"Correct the header, or header.{quantity} in the camera's description.",
        )

    def _fail(self, keyword: str | None, cause: str, cure: str) -> NoReturn:
        raise BadFrameError(cause, file=self._file, keyword=keyword, cure=cure)


def find_filter(filters: Mapping[str, FilterDescription], name: str) -> str | None:
    """Name of the filter that has this name or alias; None if there is none."""
    if name in filters:
        return name
    return next((key for key, entry in filters.items() if name in entry.aliases), None)


def _clean(value: Any) -> Any:
    """Header text without its padding."""
    return value.strip() if isinstance(value, str) else value


def _is_given(value: Any) -> bool:
    """Whether a card is there and holds a value (undefined cards hold none)."""
    return value is not None and type(value).__name__ != "Undefined" and _clean(value) != ""


def _words(quantity: str) -> str:
    return f"the {quantity.replace('_', ' ')}"
