"""One self-contained HTML page: tables and figures, nothing loaded from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from skyloom.files import write_beside

__all__ = ["Page", "PageFigure", "PageTable", "to_look_at", "write_page"]


@dataclass(frozen=True, kw_only=True)
class PageTable:
    """A table of a page: a title, column names, and rows of ready-made text."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    links: list[str] = field(default_factory=list)
    """For each row, the page that its first cell leads to; empty for none."""


@dataclass(frozen=True, kw_only=True)
class PageFigure:
    """A figure of a page: what it shows, and a PNG in base64."""

    caption: str
    png: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page says."""

    title: str
    summary: str
    tables: list[PageTable] = field(default_factory=list)
    figures: list[PageFigure] = field(default_factory=list)


def to_look_at(**counts: int) -> str:
    """How many things of each name are to be looked at, in words; "usual" for none."""
    said = [f"{count} {what}{'s' if count > 1 else ''}" for what, count in counts.items() if count]
    return f"{' and '.join(said)} to look at" if said else "usual"


def write_page(page: Page, path: Path) -> None:
    """Render ``page`` and put it in place in one step."""
    environment = Environment(
        loader=PackageLoader("skyloom.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("page.html.j2").render(page=page)
    write_beside(path, lambda part: part.write_text(text, encoding="utf-8"))
