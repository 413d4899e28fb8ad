"""One page about a patch: the pictures of its coadds in all bands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .overview import SectionFigures, overview_table, summary
from .patch_inputs import PatchReader, patch_of
from .patch_page import band_section, colour_page_figure, view_of_band, write_patch_page
from .visit_page import Section, VisitPage

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

    from .patch_page import BandView
    from .patch_picture import Picture

__all__ = ["PatchReport", "report_patch"]

_SHOWN = {
    "visits": ("n_visits", "{:.0f}"),
    "filled (%)": ("filled_percent", "{:.1f}"),
    "warps (median)": ("median_n", "{:.0f}"),
    "5-sigma depth (AB mag)": ("depth_mag", "{:.2f}"),
    "by fluxes of empty sky": ("depth_by_sky_mag", "{:.2f}"),
    "FWHM (arcsec)": ("fwhm_arcsec", "{:.3f}"),
    "ellipticity": ("ellipticity", "{:.3f}"),
    "sky scatter": ("sky_scatter", "{:.2f}"),
}
"""Columns of the overview: a figure, and how it is written."""


@dataclass(frozen=True, kw_only=True)
class PatchReport:
    """What was written."""

    page: Path
    bands: list[SectionFigures]


def report_patch(
    butler: Butler,
    patch: int,
    folder: Path,
    *,
    tract: int | None = None,
    sky_map: str | None = None,
    bands: Sequence[str] = (),
    collections: Sequence[str] = (),
    coadd: str = "deep_coadd",
    advance: Callable[[SectionFigures], object] = lambda _: None,
) -> PatchReport:
    """Write a page about the coadds of a patch: the patch in colours, and a section a band.

    Bands are read one at a time.  An assembly that failed, and what is missing, is said on the page.

    Parameters
    ----------
    butler
        The repository.
    patch
        Number of the patch.
    folder
        Receives ``coadd_<sky map>_<tract>_<patch>.html``; the name begins with ``coadd`` where that is another one.
    tract
        Needed where the patch has coadds in several.
    sky_map
        Needed where the repository has several.
    bands
        Wanted ones; empty for all.
    collections
        Where the products are, the first first; empty: the newest of each.
    coadd
        Dataset type of the coadds.
    advance
        Called with the figures of each band that is done.

    Raises
    ------
    RepositoryError
        If there is nothing to show.
    """
    place = patch_of(butler, patch, tract, sky_map, coadd)
    reader = PatchReader(butler, place, collections, coadd)
    sections: list[Section] = []
    done: list[SectionFigures] = []
    pictures: dict[str, Picture] = {}
    for band, run in reader.runs(bands).items():
        # All pictures show the same part of the patch.
        start = next((one.detail_origin for one in pictures.values()), None)
        view = view_of_band(reader.read(band, run), start)
        sections.append(band_section(view))
        if view.picture is not None:
            pictures[band] = view.picture
        done.append(_figures(view))
        advance(done[-1])
    colours = colour_page_figure(pictures)
    page = VisitPage(
        title=f"Coadds of patch {place.id} of tract {place.tract.id} of {place.tract.skymap}",
        summary=_sentence(done),
        tables=[overview_table("Bands", "band", _SHOWN, done, sections)],
        figures=[] if colours is None else [colours],
        sections=sections,
    )
    folder.mkdir(parents=True, exist_ok=True)
    name = "coadd" if coadd == "deep_coadd" else coadd
    path = folder / f"{name}_{place.tract.skymap}_{place.tract.id}_{place.id}.html"
    return PatchReport(page=write_patch_page(page, path), bands=done)


def _figures(view: BandView) -> SectionFigures:
    return SectionFigures(
        name=view.products.band,
        run=view.products.run,
        values=view.values,
        failure=view.products.failure,
        remarks=tuple(view.remarks),
        odd=tuple(map(str, view.odd_visits)),
    )


def _sentence(bands: Sequence[SectionFigures]) -> str:
    failed = sum(bool(one.failure) for one in bands)
    told = "no assembly failed" if failed == 0 else f"{failed} without a coadd"
    return summary(bands, "band", told, "visit")
