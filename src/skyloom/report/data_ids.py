"""Data ids as people type them, ``exposure=3^4 detector=0..3``, as an expression of the butler."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from skyloom.errors import RepositoryError
from skyloom.repo.setup import instruments

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

__all__ = ["expression_of", "query_of"]

_TERM = re.compile(r"([a-z_]+)=(.+)")
_NUMBERS = re.compile(r"\d+(\.\.\d+(:\d+)?)?")
_TEXT = re.compile(r"[^'^]+")
_CURE = "Write exposure=3, exposure=3^4 or detector=0..3."


def query_of(butler: Butler, terms: Iterable[str], where: str = "") -> str:
    """The expression of terms and of one that is given; it always names the instrument.

    Parameters
    ----------
    butler
        The repository.
    terms
        As `expression_of` takes them.
    where
        An expression of the user's own, which has to hold too.

    Raises
    ------
    RepositoryError
        If a term cannot be read or names no dimension, or several instruments are there and none is chosen.
    """
    terms = list(terms)
    parts = [expression_of(terms, known=set(butler.dimensions.dimensions.names))] if terms else []
    if where:
        parts.append(f"({where})")
    if not any("instrument" in part for part in parts):
        names = instruments(butler)
        if len(names) != 1:
            raise RepositoryError(
                f"the repository has the instruments {', '.join(names) or '(none)'}.",
                cure="Choose one with instrument=NAME.",
            )
        parts.insert(0, f"instrument = '{names[0]}'")
    return " AND ".join(parts)


def expression_of(terms: Iterable[str], known: set[str]) -> str:
    """The expression of terms ``KEY=VALUE``, all of which hold.

    Parameters
    ----------
    terms
        A value is a number, a range with both ends in it and perhaps a step (``0..8:2``), a text, or several of these
        with ``^`` between them.  Terms of one key add up.
    known
        The keys that there are.

    Raises
    ------
    RepositoryError
        If a term cannot be read, or its key is not known.
    """
    values: dict[str, list[str]] = {}
    for term in terms:
        match = _TERM.fullmatch(term)
        if match is None:
            raise RepositoryError(f"{term!r} is no part of a data id.", cure=_CURE)
        key, text = match.groups()
        if key not in known:
            raise RepositoryError(
                f"there is no {key!r} in data ids.",
                cure="Use instrument, exposure, visit, detector, day_obs, band, ...",
            )
        values.setdefault(key, []).extend(_value(one, term) for one in text.split("^"))
    return " AND ".join(f"{key} IN ({', '.join(some)})" for key, some in values.items())


def _value(text: str, term: str) -> str:
    """One value as an expression has it."""
    if _NUMBERS.fullmatch(text):
        return text
    if not _TEXT.fullmatch(text):
        raise RepositoryError(f"{term!r} is no part of a data id.", cure=_CURE)
    return f"'{text}'"
