"""Data ids as the classic command line writes them: ``visit=1^2 ccd=0..8:2 patch=1,2``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from skyloom.errors import SkyloomError

__all__ = ["DataIdError", "parse_data_id", "where_of"]

_TERM = re.compile(r"([A-Za-z_]\w*)=(.+)", re.DOTALL)
_RANGE = re.compile(r"(\d+)\.\.(\d+)(?::(\d+))?")
_TEXT = re.compile(r"[^'\"\\]+")
_ALIASES = {"ccd": "detector"}
_MAX_VALUES = 100_000
_CURE = "Write visit=3, visit=3^4, ccd=0..8 or ccd=0..8:2."

type DataIdValues = Mapping[str, list[int | str]]


class DataIdError(SkyloomError, ValueError):
    """A data id on the command line cannot be understood."""

    code = "DATA-ID"


def parse_data_id(terms: Iterable[str]) -> dict[str, list[int | str]]:
    """The values of each key of a data id.

    Parameters
    ----------
    terms
        Each ``KEY=VALUE``.  A value is a number, a range with both ends in it and perhaps a stride (``0..8:2``), a
        text, or several of these with ``^`` between them.  ``ccd`` stands for ``detector``.

    Returns
    -------
    dict
        Keys in the order in which they are given; values without repetition.

    Raises
    ------
    DataIdError
        If a term cannot be read, or a key comes twice.
    """
    found: dict[str, list[int | str]] = {}
    for term in terms:
        match = _TERM.fullmatch(term)
        if match is None:
            raise DataIdError(f"{term!r} is no part of a data id.", cure=_CURE)
        key = _ALIASES.get(match[1], match[1])
        if key in found:
            raise DataIdError(f"{key} comes twice.", cure="Join its values: visit=3^4; or give --id twice.")
        values = [value for text in match[2].split("^") for value in _values(text, term)]
        found[key] = list(dict.fromkeys(values))
    return found


def _values(text: str, term: str) -> list[int | str]:
    """A single value, or those of a range."""
    if match := _RANGE.fullmatch(text):
        first, last, stride = int(match[1]), int(match[2]), int(match[3] or 1)
        if last < first or stride == 0:
            raise DataIdError(f"{term!r} has a range without values.", cure="The smaller number comes first.")
        if (last - first) // stride >= _MAX_VALUES:
            raise DataIdError(f"{term!r} has more than {_MAX_VALUES} values.", cure="Leave the key out for all.")
        return list(range(first, last + 1, stride))
    if text.isdecimal() and text.isascii():
        return [int(text)]
    if not _TEXT.fullmatch(text) or ".." in text:
        raise DataIdError(f"{term!r} is no part of a data id.", cure=_CURE)
    return [text]


def where_of(values: DataIdValues) -> str:
    """The expression of the butler for the values of each key; all keys must agree, one value of each will do."""
    return " AND ".join(f"{key} IN ({', '.join(map(_literal, some))})" for key, some in values.items())


def _literal(value: int | str) -> str:
    return str(value) if isinstance(value, int) else f"'{value}'"
