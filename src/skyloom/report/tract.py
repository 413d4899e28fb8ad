"""One page about a tract: the pictures of its joint calibration and of its warps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .overview import SectionFigures, overview_table, summary
from .tract_inputs import TractReader, tract_of
from .tract_page import filter_section, view_of, write_tract_page
from .tract_tables import frame_remarks
from .visit_inputs import instrument_of
from .visit_page import Section, VisitPage

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

    from .tract_page import FilterView

__all__ = ["TractReport", "report_tract"]

_TITLE = "Filters (repeatability of bright stars before and after)"
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
class TractReport:
    """What was written."""

    page: Path
    filters: list[SectionFigures]


def report_tract(
    butler: Butler,
    tract: int,
    folder: Path,
    *,
    sky_map: str | None = None,
    instrument: str | None = None,
    bands: Sequence[str] = (),
    collections: Sequence[str] = (),
    advance: Callable[[SectionFigures], object] = lambda _: None,
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
    filters: list[SectionFigures] = []
    for physical_filter, (band, run) in reader.runs(bands).items():
        view = view_of(reader.read(physical_filter, band, run))
        sections.append(filter_section(view))
        filters.append(_figures(view))
        advance(filters[-1])
    page = VisitPage(
        title=f"Joint calibration of {name} on tract {tract} of {place.skymap}",
        summary=_sentence(filters),
        tables=[overview_table(_TITLE, "filter", _SHOWN, filters, sections)],
        sections=sections,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"tract_{name}_{place.skymap}_{tract}.html"
    return TractReport(page=write_tract_page(page, path), filters=filters)


def _figures(view: FilterView) -> SectionFigures:
    return SectionFigures(
        name=view.products.physical_filter,
        run=view.products.run,
        values=view.values,
        failure=view.products.failure,
        remarks=tuple(view.remarks),
        odd=tuple(frame.name for frame in view.frames if frame_remarks(frame)),
        part="frame",
    )


def _sentence(filters: Sequence[SectionFigures]) -> str:
    failed = sum(bool(one.failure) for one in filters)
    told = "no joint fit failed" if failed == 0 else f"{failed} joint fit{'s' if failed > 1 else ''} failed"
    return summary(filters, "filter", told, "frame")
