"""The page of a visit: an overview, and a section a detector."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from skyloom.files import write_beside

from .page import Page, PageFigure, PageTable
from .png import png_of
from .visit_figures import FIGURES, frame_figures
from .visit_measured import measured
from .visit_products import FrameProducts
from .visit_tables import metadata_table, summary_table, verdict_table
from .visit_usual import judge

__all__ = ["Section", "VisitPage", "frame_section", "write_visit_page"]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One detector of a page."""

    title: str
    anchor: str
    failure: str = ""
    remarks: list[str] = field(default_factory=list)
    """Figures that are out of the usual, in words."""
    tables: list[PageTable] = field(default_factory=list)
    figures: list[PageFigure] = field(default_factory=list)
    details: list[PageTable] = field(default_factory=list)
    """Long tables, closed until they are wanted."""
    log: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class VisitPage(Page):
    """A page with sections."""

    sections: list[Section] = field(default_factory=list)


def frame_section(products: FrameProducts, values: Mapping[str, float] | None = None) -> Section:
    """The section of one frame, its figures drawn.

    Parameters
    ----------
    products
        Of the frame; the figures that they do not allow are left out.
    values
        What `skyloom.report.visit_measured.measured` gives, where it is known already.
    """
    verdicts = judge(measured(products) if values is None else values)
    return Section(
        title=products.name,
        anchor=anchor_of(products),
        failure=products.failure,
        remarks=[one.sentence for one in verdicts if one.remark],
        tables=[verdict_table(verdicts)] if verdicts else [],
        figures=[
            PageFigure(caption=FIGURES[name].caption, png=base64.b64encode(png_of(figure)).decode("ascii"))
            for name, figure in frame_figures(products)
        ],
        details=[table for table in (summary_table(products), metadata_table(products)) if table is not None],
        log=list(products.log),
    )


def anchor_of(products: FrameProducts) -> str:
    """What links to a frame's section lead to."""
    return f"detector-{products.detector}" if products.detector is not None else "frame"


def write_visit_page(page: VisitPage, path: Path) -> Path:
    """Render a page and put it in place in one step."""
    environment = Environment(
        loader=PackageLoader("skyloom.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("visit.html.j2").render(page=page)
    return write_beside(path, lambda part: part.write_text(text, encoding="utf-8"))
