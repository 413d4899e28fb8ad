"""The tables of a site's overview: cells that sort by their values, lead to pages and explain themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .metrics import METRICS
from .site_metrics import FilterMetrics
from .site_pages import SitePage
from .site_run import Failure, RunSummary
from .site_visits import SiteVisit

__all__ = [
    "Cell",
    "Column",
    "SiteTable",
    "failure_table",
    "metric_table",
    "patch_table",
    "run_table",
    "task_table",
    "tract_table",
    "visit_table",
]

_TONES = {"design": "good", "minimum": "fair", "missed": "bad", "undecided": "open", "not measurable": "open"}
_WORDS = {"design": "meets design", "minimum": "meets minimum", "missed": "misses"}
_TRACT = (
    ("visits", "n_visits", "{:.0f}", "Visits with frames on the tract"),
    ("frames", "n_frames", "{:.0f}", ""),
    ("refused", "n_refused", "{:.0f}", "Frames that the joint fit does not describe"),
    ("stars", "n_stars", "{:,.0f}", "Stars of the joint fit"),
    ("positions before (mas)", "astrometry_before_mas", "{:.1f}", "Repeatability of bright stars before the joint fit"),
    ("after", "astrometry_after_mas", "{:.1f}", "The same after it"),
    ("fluxes before (mmag)", "photometry_before_mmag", "{:.1f}", "Repeatability of bright stars before the joint fit"),
    ("after", "photometry_after_mmag", "{:.1f}", "The same after it"),
    ("area (arcmin²)", "covered_arcmin2", "{:,.1f}", "Covered by one visit or more"),
    ("median depth (visits)", "median_depth", "{:.0f}", "Median number of visits of a point that is covered"),
    ("warps", "n_warps", "{:.0f}", ""),
)
_PATCH = (
    ("visits", "n_visits", "{:.0f}", "Visits in the coadd"),
    ("warps (median)", "median_n", "{:.0f}", "Median number of warps of a pixel"),
    ("filled (%)", "filled_percent", "{:.1f}", "Share of the patch with data"),
    ("depth (mag)", "depth_mag", "{:.2f}", "AB magnitude of a point source of 5 sigma, by the variance plane"),
    ("by empty sky (mag)", "depth_by_sky_mag", "{:.2f}", "The same by PSF fluxes of empty sky"),
    ("FWHM (″)", "fwhm_arcsec", "{:.3f}", "Of the Gaussian with the moments of the coadd's PSF"),
    ("ellipticity", "ellipticity", "{:.3f}", "Median, of the PSF"),
    ("sky scatter", "sky_scatter", "{:.2f}", "Sky pixels over the root of their variance"),
)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A head of a table, and what it means."""

    name: str
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table."""

    text: str
    sort: str = ""
    """What it is sorted by; its text where empty."""
    link: str = ""
    title: str = ""
    tone: str = ""
    """``good``, ``fair``, ``bad`` or ``open``."""


@dataclass(frozen=True, kw_only=True)
class SiteTable:
    """A table."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]] = field(default_factory=list)


def _number(value: float, text: str = "{:.2f}") -> Cell:
    """A figure; an empty cell where it is not known."""
    if not math.isfinite(value):
        return Cell(text="")
    shown = text.format(value)
    # No minus before what rounds to zero.
    return Cell(text=text.format(0.0) if shown == text.format(-0.0) else shown, sort=repr(float(value)))


def _verdict(text: str) -> Cell:
    return Cell(text=text, tone="bad" if text.startswith("failed") else "fair" if "to look at" in text else "")


def run_table(runs: Sequence[RunSummary]) -> SiteTable:
    """The runs, the newest first."""
    names = ("run", "pipeline", "begun (UTC)", "wall time (s)", "quanta", "failed", "no work", "inputs")
    rows = []
    for run in runs:
        ended = {state: sum(counts[state] for counts in run.counts.values()) for state in ("failed", "no work")}
        rows.append(
            [
                Cell(text=run.run),
                Cell(text=run.pipeline),
                Cell(text=run.begun),
                _number(run.wall_s, "{:,.0f}"),
                _number(run.quanta, "{:,.0f}"),
                Cell(text=str(ended["failed"]), tone="bad" if ended["failed"] else ""),
                Cell(text=str(ended["no work"])),
                Cell(text=", ".join(run.inputs)),
            ]
        )
    return SiteTable(columns=[Column(name=name) for name in names], rows=rows)


def task_table(runs: Sequence[RunSummary]) -> SiteTable:
    """The tasks of the runs: how they ended, and how long workers were busy with them."""
    names = ("run", "task", "quanta", "succeeded", "no work", "failed", "busy (s)")
    rows = [
        [
            Cell(text=run.run),
            Cell(text=task),
            _number(sum(counts.values()), "{:,.0f}"),
            *(Cell(text=str(counts[state])) for state in ("succeeded", "no work", "failed")),
            _number(run.busy_s.get(task, math.nan), "{:,.1f}"),
        ]
        for run in runs
        for task, counts in run.counts.items()
    ]
    return SiteTable(columns=[Column(name=name) for name in names], rows=rows)


def failure_table(failures: Sequence[Failure], pages: Mapping[str, SitePage]) -> SiteTable:
    """What failed and why, with a link to its page where there is one."""
    rows = [
        [
            Cell(text=one.task),
            Cell(text=one.where, link=_page_of(one, pages)),
            Cell(text=one.reason),
        ]
        for one in failures
    ]
    return SiteTable(columns=[Column(name=name) for name in ("task", "where", "reason")], rows=rows)


def _page_of(failure: Failure, pages: Mapping[str, SitePage]) -> str:
    known = dict(failure.data_id)
    known.setdefault("visit", known.get("exposure"))
    keys = {
        "visit": ("instrument", "visit"),
        "coadd": ("skymap", "tract", "patch"),
        "tract": ("instrument", "skymap", "tract"),
    }
    for kind, names in keys.items():
        page = pages.get(" ".join([kind, *(str(known.get(name)) for name in names)]))
        if page is not None and page.path:
            anchor = f"#detector-{known['detector']}" if kind == "visit" and "detector" in known else ""
            return page.path + anchor
    return ""


def visit_table(visits: Sequence[SiteVisit], pages: Mapping[str, SitePage]) -> SiteTable:
    """The visits by their time."""
    columns = [
        Column(name="visit"),
        Column(name="night"),
        Column(name="begun (TAI)"),
        Column(name="band"),
        Column(name="exposure (s)"),
        Column(name="seeing (″)", title="FWHM of the PSF, median of the frames"),
        Column(name="sky (mag/″²)", title="AB magnitude of a square arcsec of the sky"),
        Column(name="zero point (mag)", title="AB magnitude of one electron"),
        Column(name="astrometry (mas)", title="Rms a coordinate of the matches about the WCS of the frame"),
        Column(name="PSF size (%)", title="Median size of PSF stars over that of the PSF, less 1"),
        Column(name="depth (mag)", title="AB magnitude of a star of signal-to-noise ratio 5"),
        Column(name="frames", title="Calibrated, of those that were tried"),
        Column(name="verdict", title="What its page says"),
    ]
    rows = []
    for one in visits:
        page = pages.get(f"visit {one.instrument} {one.visit}", SitePage())
        failed = one.frames - one.calibrated
        rows.append(
            [
                Cell(text=str(one.visit), link=page.path),
                Cell(text=str(one.night)),
                Cell(text=one.begun.replace("T", " ")),
                Cell(text=one.band),
                _number(one.exposure_time_s, "{:.1f}"),
                _number(one.seeing_arcsec),
                _number(one.sky_mag),
                _number(one.zero_point_mag, "{:.3f}"),
                _number(one.astrometry_mas, "{:.1f}"),
                _number(one.psf_size_percent, "{:+.2f}"),
                _number(one.depth_mag),
                Cell(text=f"{one.calibrated} of {one.frames}", sort=str(-failed), tone="bad" if failed else ""),
                _verdict(_of_visit(page)),
            ]
        )
    return SiteTable(columns=columns, rows=rows)


def _of_visit(page: SitePage) -> str:
    """What a page says of its detectors together."""
    if page.failure:
        return "no page"
    if not page.parts:
        return ""
    failed = sum(bool(part.failure) for part in page.parts)
    remarks = round(sum(part.values.get("remarks", 0.0) for part in page.parts))
    said = [f"failed: {failed}"] if failed else []
    said += [f"{remarks} to look at"] if remarks else []
    return "; ".join(said) or "usual"


def tract_table(pages: Mapping[str, SitePage]) -> SiteTable:
    """The tracts, a row a filter."""
    return _part_table(pages, "tract", "filter", _TRACT)


def patch_table(pages: Mapping[str, SitePage]) -> SiteTable:
    """The patches, a row a band."""
    return _part_table(pages, "coadd", "band", _PATCH)


def _part_table(
    pages: Mapping[str, SitePage], kind: str, part_name: str, shown: Sequence[tuple[str, str, str, str]]
) -> SiteTable:
    places = {"tract": ("sky map", "tract"), "coadd": ("sky map", "tract", "patch")}[kind]
    columns = [
        *(Column(name=name) for name in (*places, part_name)),
        *(Column(name=name, title=title) for name, _, _, title in shown),
        Column(name="verdict", title="What its page says"),
    ]
    rows = []
    for name, page in pages.items():
        if name.split(" ")[0] != kind:
            continue
        place = name.split(" ")[-len(places) :]
        for part in page.parts:
            cells = [_number(part.values.get(key, math.nan), text) for _, key, text, _ in shown]
            words = f"failed: {part.failure}" if part.failure else part.verdict
            heads = [Cell(text=one) for one in place[:-1]]
            rows.append([*heads, Cell(text=place[-1], link=page.path), Cell(text=part.name), *cells, _verdict(words)])
    return SiteTable(columns=columns, rows=rows)


def metric_table(found: Sequence[FilterMetrics]) -> SiteTable:
    """A row a metric of each filter and tract, with its definition."""
    columns = [
        Column(name="metric"),
        Column(name="band"),
        Column(name="tract"),
        Column(name="measured", title="With the joint calibration, and its error where that is known"),
        Column(name="before", title="With the calibrations of the single frames"),
        Column(name="unit"),
        Column(name="design", title="The largest value by the design requirement"),
        Column(name="minimum", title="The largest value by the minimum requirement"),
        Column(name="sample", title="Pairs, stars or measurements behind it"),
        Column(name="verdict"),
    ]
    rows = []
    for one in found:
        for name, definition in METRICS.items():
            measured, before = one.after[name], one.before.get(name)
            verdict = measured.verdict(definition, one.band)
            error = f" ± {measured.error:.2g}" if math.isfinite(measured.error) else ""
            design, minimum = definition.limits(one.band)
            value = _number(measured.value, "{:.3g}")
            rows.append(
                [
                    Cell(text=name, title=definition.text),
                    Cell(text=one.band),
                    Cell(text=f"{one.tract}"),
                    Cell(text=value.text + error, sort=value.sort) if value.text else value,
                    Cell(text="") if before is None else _number(before.value, "{:.3g}"),
                    Cell(text=definition.unit),
                    _number(design, "{:g}"),
                    _number(minimum, "{:g}"),
                    _number(measured.n, "{:,.0f}") if measured.n else Cell(text=""),
                    Cell(
                        text=_WORDS.get(verdict, verdict) + (f": {measured.why}" if measured.why else ""),
                        tone=_TONES[verdict],
                    ),
                ]
            )
    return SiteTable(columns=columns, rows=rows)
