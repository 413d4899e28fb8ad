"""The page of a tract: a section for each filter."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from skyloom.files import write_beside

from .page import PageFigure
from .png import png_of
from .tract_coverage import Coverage, coverage_of
from .tract_coverage_figures import coverage_figure, warp_figure
from .tract_distribution_figures import histogram_figure, magnitude_figure
from .tract_fit_figures import frame_figure, history_figure, zero_point_figure
from .tract_frames import FrameRecord, frame_records
from .tract_geometry import detector_outlines
from .tract_measured import measured_filter
from .tract_plane_figures import plane_figure, sky_figure, visit_planes_figure
from .tract_products import FilterProducts
from .tract_residuals import Residuals, flux_residuals, position_residuals
from .tract_tables import (
    coverage_table,
    frame_table,
    history_table,
    metric_table,
    odd_frame_table,
    repeatability_table,
    visit_table,
    warp_table,
)
from .tract_usual import TRACT_USUAL
from .visit_page import Section, VisitPage
from .visit_tables import verdict_table
from .visit_usual import judge

__all__ = [
    "CAPTIONS",
    "FilterView",
    "filter_figures",
    "filter_section",
    "view_of",
    "what_is_missing",
    "write_tract_page",
]

CAPTIONS = {
    "positions_plane": "Positions over the focal plane, all visits together: means of the brightest quarter of the "
    "measurements less their stars, in cells, before and after the fit, on one scale. Arrows that agree with their "
    "neighbours are a distortion that all visits share. Where visits are not displaced from each other by more than a "
    "cell, a star's own mean takes it away: then look at the single visits.",
    "positions_visits": "The same of single visits, those with most in common before the fit. Over each panel: what "
    "neighbours have in common, in excess of noise.",
    "positions_sky": "Distance of the bright measurements from their stars over the tract (root mean square a "
    "coordinate). Empty cells have too few.",
    "fluxes_plane": "Magnitudes over the focal plane, all visits together: means of the brightest quarter of the "
    "measurements less their stars. Grey: too few. Neighbours that agree are an error of the flat field.",
    "fluxes_visits": "The same of single visits, those with most in common before the fit: clouds, scattered light.",
    "fluxes_sky": "Difference of the bright magnitudes from their stars over the tract (root mean square).",
    "histograms": "Bright measurements less their stars, before and after the fit (what is beyond the limits stands in "
    "the last bins), and the differences of all magnitudes that were used over their errors.",
    "magnitudes": "Scatter of the measurements of a star about their own mean against magnitude, before and after the "
    "fit. What the fit gains shows at the bright end; faint stars have their noise.",
    "zero_points": "Zero points of the frames before and after the fit, their change, how much the fitted flux scale "
    "varies within a frame, and the change of each detector less that of its visit.",
    "frames": "Scatter of each frame about the stars, and how far the fit moved it. Crosses at the top: refused.",
    "history": "chi² a degree of freedom and outliers after every step of the fits. chi² steps down; the degrees of "
    "freedom of a step count the unknowns that it moves.",
    "coverage": "How many visits cover the tract: outlines of the frames by their joint WCSs (dashed: refused, not "
    "counted), and the warps that were written of each patch.",
    "warps": "Share of each patch that the warp of each visit fills. Grey: no warp; cross: it failed.",
}
"""Of the figures, in the order of the page."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FilterView:
    """What tables and figures of a filter are made from."""

    products: FilterProducts
    positions: Residuals | None
    fluxes: Residuals | None
    frames: list[FrameRecord]
    coverage: Coverage
    values: dict[str, float]
    """As `skyloom.report.tract_measured.measured_filter` gives them."""

    @property
    def remarks(self) -> list[str]:
        """What is missing, and what is out of the usual, in words."""
        verdicts = judge(self.values, TRACT_USUAL)
        return what_is_missing(self.products, self.frames) + [one.sentence for one in verdicts if one.remark]


def view_of(products: FilterProducts) -> FilterView:
    """Work out everything that the page says of a filter."""
    positions, fluxes = position_residuals(products), flux_residuals(products)
    frames, coverage = frame_records(products), coverage_of(products)
    values = measured_filter(products, positions, fluxes, frames, coverage)
    return FilterView(
        products=products, positions=positions, fluxes=fluxes, frames=frames, coverage=coverage, values=values
    )


def what_is_missing(products: FilterProducts, frames: Sequence[FrameRecord]) -> list[str]:
    """Products that are not there, in sentences."""
    said = list(products.missing)
    if not products.run:
        said.append("There is no joint fit; the frames have their own calibrations.")
    elif not products.failure:
        if not products.wcs:
            said.append("Positions: there is no joint fit of them.")
        if not products.photo_calib:
            said.append("Fluxes: there is no joint fit of them.")
        fitted = {*products.wcs, *products.photo_calib}
        absent = sorted({frame.visit for frame in frames} - fitted)
        if fitted and absent:
            said.append(f"Visits that lie on the tract and are not in the fit: {_listed(absent)}.")
        if products.measurements is None or len(products.measurements) == 0:
            said.append("There are no measurements: no residuals can be shown.")
        if products.stars is not None and not np.asarray(products.stars["has_reference"], bool).any():
            said.append("No star has a reference: positions and fluxes are relative.")
    if not products.warps:
        said.append("There are no warps of this tract.")
    return said


def filter_figures(view: FilterView) -> Iterator[tuple[str, Figure]]:
    """The figures that the products allow, with the names of `CAPTIONS`, in their order."""
    drawn = dict(_residual_figures(view))
    fits = [one for one in (view.positions, view.fluxes) if one is not None]
    history = view.products.history
    drawn |= {
        "histograms": histogram_figure(fits),
        "magnitudes": magnitude_figure(fits),
        "zero_points": zero_point_figure(view.frames),
        "frames": frame_figure(view.frames),
        "history": None if history is None else history_figure(history),
        "coverage": coverage_figure(view.products, view.coverage),
        "warps": warp_figure(view.products),
    }
    for name in CAPTIONS:
        figure = drawn.get(name)
        if figure is not None:
            yield name, figure


def filter_section(view: FilterView) -> Section:
    """The section of one filter, its figures drawn."""
    products = view.products
    verdicts = judge(view.values, TRACT_USUAL)
    tables = [
        verdict_table(verdicts) if verdicts else None,
        repeatability_table(view.values),
        visit_table(view.frames) if view.frames else None,
        odd_frame_table(view.frames),
        coverage_table(view.coverage),
        warp_table(products, view.coverage),
    ]
    return Section(
        title=products.name,
        anchor=anchor_of(products),
        failure=products.failure,
        remarks=view.remarks,
        tables=[table for table in tables if table is not None],
        figures=[
            PageFigure(caption=CAPTIONS[name], png=base64.b64encode(png_of(figure)).decode("ascii"))
            for name, figure in filter_figures(view)
        ],
        details=[
            table
            for table in (
                frame_table(view.frames) if view.frames else None,
                history_table(products),
                metric_table(products),
            )
            if table is not None
        ],
        log=list(products.log),
    )


def anchor_of(products: FilterProducts) -> str:
    """What links to a filter's section lead to."""
    return "filter-" + "".join(letter if letter.isalnum() else "-" for letter in products.physical_filter)


def write_tract_page(page: VisitPage, path: Path) -> Path:
    """Render a page and put it in place in one step."""
    environment = Environment(
        loader=PackageLoader("skyloom.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("tract.html.j2").render(page=page)
    return write_beside(path, lambda part: part.write_text(text, encoding="utf-8"))


def _residual_figures(view: FilterView) -> Iterator[tuple[str, Figure | None]]:
    tract = view.products.tract
    scale = tract.grid.pixel_scale / 60.0
    size = (tract.bbox.x.size * scale, tract.bbox.y.size * scale)
    for kind, residuals in (("positions", view.positions), ("fluxes", view.fluxes)):
        if residuals is not None:
            outlines = detector_outlines(view.products.camera, {int(one) for one in np.unique(residuals.detector)})
            yield f"{kind}_plane", plane_figure(residuals, outlines)
            yield f"{kind}_visits", visit_planes_figure(residuals, outlines)
            yield f"{kind}_sky", sky_figure(residuals, size)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)
