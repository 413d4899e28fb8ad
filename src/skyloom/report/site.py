"""One static site about an output: an overview, the pages of visits, tracts and patches, coadds to pan and zoom."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path

from skyloom.errors import RepositoryError

from .site_choice import PageLimits, choose_pages
from .site_hips import need_reproject
from .site_metrics import site_metrics
from .site_pages import SitePage, find_pages, write_pages
from .site_plots import course_plot, coverage_plot, plot_json
from .site_run import SiteData
from .site_tables import (
    failure_table,
    metric_table,
    patch_table,
    run_table,
    task_table,
    tract_table,
    visit_table,
)
from .site_text import render, write_text
from .site_views import write_surveys, write_views
from .site_visits import SiteVisit, site_visits

__all__ = ["SiteReport", "dress", "report_site"]

_ASSETS = ("openseadragon.min.js", "openseadragon.LICENSE.txt", "sortable.auto.min.js", "sortable.LICENSE.txt")
_OWN_ASSETS = ("site.js", "site.css", "viewer.js")
_PLOTLY = "plotly.min.js"


@dataclass(frozen=True, kw_only=True)
class SiteReport:
    """What was written."""

    page: Path
    """The overview."""
    pages: Mapping[str, SitePage]


def report_site(
    data: SiteData,
    folder: Path,
    *,
    processes: int = 1,
    hips: bool = False,
    limits: PageLimits | None = None,
    advance: Callable[[str], object] = lambda _: None,
) -> SiteReport:
    """Write a site about an output.

    Parameters
    ----------
    data
        The output, and its runs.
    folder
        Receives ``index.html`` and all else.  Pages that are there and up to date are kept.
    processes
        Workers that write pages.
    hips
        Whether to write the coadds as HiPS, too.
    limits
        How many visits and patches have pages of their own; all by default.
    advance
        Called with a line about each thing that was done.

    Raises
    ------
    RepositoryError
        If there is neither a product nor a run to show, or HiPS are wanted and the package reproject is not installed.
    """
    if hips:
        need_reproject()
    jobs, visits = find_pages(data), site_visits(data)
    if not jobs and not data.runs:
        raise RepositoryError(
            f"nothing of a visit, a tract or a patch is in {data.output}.",
            cure="Say which output with -o; 'butler query-collections REPO' lists them.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    copy_assets(folder / "assets")
    chosen = jobs if limits is None else choose_pages(jobs, visits, limits)
    pages = write_pages(data, chosen, folder, dress=dress, processes=processes, advance=advance)
    views = list(write_views(data, folder, pages, advance))
    surveys = list(write_surveys(data, folder / "hips", advance)) if hips else []
    metrics = site_metrics(data)
    patches = [patch for view in views for patch in view.patches]
    plots = {"course": course_plot(visits, pages), "coverage": coverage_plot(visits, patches, pages)}
    page = render(
        "site_index.html.j2",
        root="",
        title=_title(data, visits),
        data=data,
        cards=_cards(data, visits, pages),
        tables={
            "runs": run_table(data.runs),
            "tasks": task_table(data.runs),
            "failures": failure_table(data.failures, pages),
            "metrics": metric_table(metrics),
            "visits": visit_table(visits, pages),
            "tracts": tract_table(pages),
            "patches": patch_table(pages),
        },
        plots={name: plot_json(plot) for name, plot in plots.items() if plot is not None},
        views=views,
        surveys=[path.relative_to(folder).as_posix() for path in surveys],
        version=version("skyloom"),
    )
    return SiteReport(page=write_text(page, folder / "index.html"), pages=pages)


def dress(text: str, root: str) -> str:
    """A page of `skyloom report` with the head and the assets of the site; ``root`` leads to the overview."""
    head, bar = render("site_head.html.j2", root=root), render("site_bar.html.j2", root=root)
    for mark, added in (("</head>", head + "</head>"), ("<body>", "<body>\n" + bar)):
        if mark not in text:
            raise ValueError(f"The page has no {mark}.")
        text = text.replace(mark, added, 1)
    return text


def copy_assets(folder: Path) -> None:
    """Put scripts and styles into a folder: our own, those in the package, and that of plotly."""
    folder.mkdir(parents=True, exist_ok=True)
    ours = files("skyloom.report") / "site_assets"
    places = {name: ours / name for name in (*_ASSETS, *_OWN_ASSETS)}
    places[_PLOTLY] = files("plotly") / "package_data" / _PLOTLY
    for name, place in places.items():
        with as_file(place) as source:
            shutil.copyfile(source, folder / name)


def _title(data: SiteData, visits: Sequence[SiteVisit]) -> str:
    instruments = ", ".join(sorted({visit.instrument for visit in visits}))
    return f"{instruments}: output {data.output}" if instruments else f"Output {data.output}"


def _cards(data: SiteData, visits: Sequence[SiteVisit], pages: Mapping[str, SitePage]) -> list[tuple[str, str, str]]:
    """Figures on top: number, what it counts, and where it leads."""
    tried, calibrated = (sum(getattr(one, name) for one in visits) for name in ("frames", "calibrated"))
    count = {kind: sum(name.startswith(kind + " ") for name in pages) for kind in ("tract", "coadd")}
    nights = len({one.night for one in visits})
    bands = list(dict.fromkeys(one.band for one in visits))
    wall = sum(run.wall_s for run in data.runs)
    cards = [
        (str(len(visits)), f"visits in {nights} night{'s' if nights != 1 else ''}", "#visits"),
        (f"{calibrated} of {tried}", "frames calibrated", "#visits"),
        (", ".join(bands), "bands" if len(bands) != 1 else "band", "#visits"),
        (str(count["tract"]), "tracts" if count["tract"] != 1 else "tract", "#tracts"),
        (str(count["coadd"]), "patches" if count["coadd"] != 1 else "patch", "#patches"),
        (str(len(data.failures)), "failures", "#failures"),
    ]
    if data.runs:
        cards.append((f"{wall / 60:.1f} min", "wall time of the runs", "#runs"))
    return cards
