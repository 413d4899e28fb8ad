"""Colour terms: from the magnitudes of a reference catalogue to those of a camera's filter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from skyloom.catalog.columns import float_column
from skyloom.errors import PhotometryError

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["ColourTerm", "ColourTermError", "ColourTermLibrary"]


class ColourTermError(PhotometryError):
    """No colour term, or no single one, is known for a catalogue and a filter."""

    code: ClassVar[str] = "COLOUR-TERM"


@dataclass(frozen=True, kw_only=True)
class ColourTerm:
    """A quadratic in one colour: ``m = p + c0 + c1 (p - s) + c2 (p - s)^2`` for catalogue magnitudes p and s."""

    filter_name: str
    """Reference filter p that it corrects."""
    secondary: str
    """Reference filter s that gives the colour with it."""
    c0: float = 0.0
    c1: float = 0.0
    c2: float = 0.0

    def apply(self, reference: Table, flux: np.ndarray, flux_err: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fluxes and errors (nJy) in the camera's filter; NaN where the colour is unknown.

        The relative error is ``hypot((1 + c) e_p / p, c e_s / s)`` with the slope ``c = c1 + 2 c2 (p - s)``: to first
        order that of the magnitude m.

        Raises
        ------
        ColourTermError
            If the catalogue lacks the second filter.
        """
        column = f"flux_{self.secondary}"
        if column not in reference.colnames:
            raise ColourTermError(
                f"The colour term of {self.filter_name!r} needs the filter {self.secondary!r}, which the reference "
                "catalogue lacks.",
                cure="Import that filter too, or take the colour term out.",
                keyword=column,
            )
        other = float_column(reference, column)
        known = f"{column}_err" in reference.colnames
        other_err = float_column(reference, f"{column}_err") if known else np.zeros_like(other)
        with np.errstate(invalid="ignore", divide="ignore"):
            colour = np.where((flux > 0) & (other > 0), -2.5 * np.log10(flux / other), np.nan)
            shifted = flux * 10 ** (-0.4 * (self.c0 + self.c1 * colour + self.c2 * colour**2))
            slope = self.c1 + 2 * self.c2 * colour
            relative = np.hypot((1 + slope) * flux_err / flux, slope * other_err / other)
        return shifted, shifted * relative


@dataclass(frozen=True, kw_only=True)
class ColourTermLibrary:
    """Colour terms by reference catalogue and the camera's filter."""

    catalogues: Mapping[str, Mapping[str, ColourTerm]] = field(default_factory=dict)
    """Name of a catalogue, or a pattern of shell wildcards: the term of each physical filter."""

    @classmethod
    def from_mapping(cls, description: Mapping[str, Mapping[str, Mapping[str, str | float]]]) -> Self:
        """The library of a description, as read from YAML: catalogue, then filter, then ``primary``, ``secondary``,
        ``c0``, ``c1``, ``c2``.

        Raises
        ------
        ColourTermError
            If a term lacks one of its filters, or a number is none.
        """
        return cls(
            catalogues={
                catalogue: {name: _read_term(catalogue, name, term) for name, term in filters.items()}
                for catalogue, filters in description.items()
            }
        )

    def find(self, catalogue: str, physical_filter: str) -> ColourTerm:
        """The term of a filter for a catalogue: that of its own name, else that of the one pattern that fits it.

        Raises
        ------
        ColourTermError
            If no catalogue of the library or more than one fits, or the filter is not among its terms.
        """
        found = [catalogue] if catalogue in self.catalogues else self._patterns(catalogue)
        if len(found) != 1:
            raise ColourTermError(
                f"{len(found) or 'None'} of the catalogues with colour terms ({_listed(self.catalogues)}) "
                f"fit{'' if found else 's'} {catalogue!r}.",
                cure="Name the catalogue, or a pattern that fits it alone, in the colour terms.",
                n_fitting=len(found),
            )
        terms = self.catalogues[found[0]]
        if physical_filter not in terms:
            raise ColourTermError(
                f"There is no colour term from {found[0]!r} to the filter {physical_filter!r}, only to "
                f"{_listed(terms)}.",
                cure="Add one; with zero coefficients where the systems are one.",
                keyword=physical_filter,
            )
        return terms[physical_filter]

    def _patterns(self, catalogue: str) -> list[str]:
        """The patterns that fit a name."""
        return [pattern for pattern in self.catalogues if fnmatchcase(catalogue, pattern)]


def _read_term(catalogue: str, name: str, term: Mapping[str, str | float]) -> ColourTerm:
    """One term of a description."""
    try:
        unknown = set(term) - {"primary", "secondary", "c0", "c1", "c2"}
        if unknown:
            raise ValueError(f"{_listed(unknown)} is not known")
        return ColourTerm(
            filter_name=str(term["primary"]),
            secondary=str(term["secondary"]),
            c0=float(term.get("c0", 0.0)),
            c1=float(term.get("c1", 0.0)),
            c2=float(term.get("c2", 0.0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ColourTermError(
            f"The colour term of {catalogue!r} and {name!r} cannot be read: {error}.",
            cure="Give it primary, secondary and numbers c0, c1, c2.",
            keyword=name,
        ) from error


def _listed(names: Mapping[str, object] | set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
