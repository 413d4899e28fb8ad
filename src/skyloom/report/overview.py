"""What the top of a page says of its sections: a row each, a verdict, and a sentence about all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .page import PageTable, to_look_at

if TYPE_CHECKING:
    from .visit_page import Section

__all__ = ["SectionFigures", "overview_table", "summary"]


@dataclass(frozen=True, kw_only=True)
class SectionFigures:
    """What a report keeps of a section: a band of a patch, or a filter of a tract."""

    name: str
    """The band or the filter."""
    run: str
    values: Mapping[str, float]
    """Measured figures by name."""
    failure: str = ""
    remarks: tuple[str, ...] = ()
    """What is missing or out of the usual."""
    odd: tuple[str, ...] = ()
    """The visits or frames of which anything is out of the usual."""
    part: str = "visit"
    """What `odd` names."""

    @property
    def verdict(self) -> str:
        """In a few words."""
        return "failed" if self.failure else to_look_at(figure=len(self.remarks), **{self.part: len(self.odd)})


def summary(sections: Sequence[SectionFigures], kind: str, failures: str, part: str) -> str:
    """The sentence on top: how many sections of a kind there are and from which runs, what failed in the words given,
    and how many visits or frames (``part``) are to be looked at.
    """
    runs = ", ".join(sorted({one.run for one in sections if one.run}))
    there = f"{len(sections)} {kind}{'s' if len(sections) != 1 else ''}" + (f" from {runs}" if runs else "")
    count = sum(len(one.odd) for one in sections)
    odd = f"{count} {part}{'s' if count > 1 else ''} to look at" if count else f"no {part} is out of the usual"
    return f"{there}; {failures}; {odd}."


def overview_table(
    title: str,
    kind: str,
    shown: Mapping[str, tuple[str, str]],
    figures: Sequence[SectionFigures],
    sections: Sequence[Section],
) -> PageTable:
    """A row a section, which leads to it.

    Parameters
    ----------
    title, kind
        Titles of the table and of its first column.
    shown
        By the title of a column, the name of a figure and how it is written.
    figures, sections
        In the same order.
    """
    rows = [
        [
            section.title,
            *(text.format(one.values[name]) if name in one.values else "" for name, text in shown.values()),
            one.verdict,
        ]
        for one, section in zip(figures, sections, strict=True)
    ]
    return PageTable(
        title=title,
        columns=[kind, *shown, "verdict"],
        rows=rows,
        links=[f"#{section.anchor}" for section in sections],
    )
