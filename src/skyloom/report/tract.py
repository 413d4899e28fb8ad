"""One page about a tract: the pictures of its joint calibration and of its warps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .page import PageTable, to_look_at
from .tract_inputs import TractReader, tract_of
from .tract_page import filter_section, view_of, write_tract_page
from .tract_tables import frame_remarks
from .visit_inputs import instrument_of
from .visit_page import Section, VisitPage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lsst.daf.butler import Butler

    from .tract_page import FilterView

__all__ = ["FilterFigures", "TractReport", "report_tract"]

_SHOWN = {
    "visits": ("n_visits", "{:.0f}"),
    "frames": ("n_frames", "{:.0f}"),
    "refused": ("n_refused", "{:.0f}"),
    "stars": ("n_stars", "{:.0f}"),
    "positions before (mas)": ("astrometry_before_mas", "{:.1f}"),
    "after": ("astrometry_after_mas", "{:.1f}"),
    "fluxes before (mmag)": ("photometry_before_mmag", "{:.1f}"),
    "after ": ("photometry_after_mmag", "{:.1f}"),
    "warps": ("n_warps", "{:.0f}"),
}
"""Columns of the overview: a figure, and how it is written."""


@dataclass(frozen=True, kw_only=True)
class FilterFigures:
    """What a report keeps of a filter."""

    physical_filter: str
    run: str
    values: Mapping[str, float]
    """As `skyloom.report.tract_measured.measured_filter` gives them."""
    failure: str = ""
    remarks: tuple[str, ...] = ()
    """What is missing or out of the usual."""
    odd_frames: tuple[str, ...] = ()
    """Frames of which anything is out of the usual."""

    @property
    def verdict(self) -> str:
        """In a few words."""
        return "failed" if self.failure else to_look_at(figure=len(self.remarks), frame=len(self.odd_frames))


@dataclass(frozen=True, kw_only=True)
class TractReport:
    """What was written."""

    page: Path
    filters: list[FilterFigures]


def report_tract(
    butler: Butler,
    tract: int,
    folder: Path,
    *,
    sky_map: str | None = None,
    instrument: str | None = None,
    bands: Sequence[str] = (),
    collections: Sequence[str] = (),
    advance: Callable[[FilterFigures], object] = lambda _: None,
) -> TractReport:
    """Write a page about the joint calibration and the warps of a tract, a section a physical filter.

    A fit that failed, and what is missing, is said on the page, with whatever else there is.

    Parameters
    ----------
    butler
        The repository.
    tract
        Number of the tract.
    folder
        Receives ``tract_<instrument>_<sky map>_<tract>.html``.
    sky_map
        Needed where the repository has several.
    instrument
        Needed where the repository has several.
    bands
        Wanted ones; empty for all.
    collections
        Where the products are, the first first; empty: the newest of each.
    advance
        Called with the figures of each filter that is done.

    Raises
    ------
    RepositoryError
        If there is nothing to show.
    """
    name = instrument_of(butler, instrument)
    place = tract_of(butler, tract, sky_map)
    reader = TractReader(butler, name, place, collections)
    sections: list[Section] = []
    filters: list[FilterFigures] = []
    for physical_filter, (band, run) in reader.runs(bands).items():
        view = view_of(reader.read(physical_filter, band, run))
        sections.append(filter_section(view))
        filters.append(_figures(view))
        advance(filters[-1])
    page = VisitPage(
        title=f"Joint calibration of {name} on tract {tract} of {place.skymap}",
        summary=_sentence(filters),
        tables=[_overview(filters, sections)],
        sections=sections,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"tract_{name}_{place.skymap}_{tract}.html"
    return TractReport(page=write_tract_page(page, path), filters=filters)


def _figures(view: FilterView) -> FilterFigures:
    return FilterFigures(
        physical_filter=view.products.physical_filter,
        run=view.products.run,
        values=view.values,
        failure=view.products.failure,
        remarks=tuple(view.remarks),
        odd_frames=tuple(frame.name for frame in view.frames if frame_remarks(frame)),
    )


def _sentence(filters: Sequence[FilterFigures]) -> str:
    failed = sum(bool(one.failure) for one in filters)
    frames = sum(len(one.odd_frames) for one in filters)
    runs = ", ".join(sorted({one.run for one in filters if one.run}))
    parts = [f"{len(filters)} filter{'s' if len(filters) != 1 else ''}" + (f" from {runs}" if runs else "")]
    parts.append("no joint fit failed" if failed == 0 else f"{failed} joint fit{'s' if failed > 1 else ''} failed")
    parts.append(f"{frames} frame{'s' if frames > 1 else ''} to look at" if frames else "no frame is out of the usual")
    return "; ".join(parts) + "."


def _overview(filters: Sequence[FilterFigures], sections: Sequence[Section]) -> PageTable:
    """A row a filter, which leads to its section."""
    rows = [
        [
            section.title,
            *(text.format(one.values[name]) if name in one.values else "" for name, text in _SHOWN.values()),
            one.verdict,
        ]
        for one, section in zip(filters, sections, strict=True)
    ]
    return PageTable(
        title="Filters (repeatability of bright stars before and after)",
        columns=["filter", *_SHOWN, "verdict"],
        rows=rows,
        links=[f"#{section.anchor}" for section in sections],
    )
