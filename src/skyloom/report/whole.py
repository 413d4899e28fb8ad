"""The pages about all that was made of a set of frames, and an index of them."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError

from skyloom.errors import SkyloomError
from skyloom.files import write_beside

from .overview import SectionFigures
from .page import Page, PageTable, write_page
from .patch import report_patch
from .tract import report_tract
from .visit import report_visit
from .visit_focal_plane import FrameFigures

__all__ = ["IndexRequest", "write_report"]

MAX_PATCHES = 12
"""Patches up to which each has a page."""
_RECORD = ".pages.json"
"""What the pages of a folder were made of, so that those that nothing has changed for are kept."""


@dataclass(frozen=True, kw_only=True)
class IndexRequest:
    """What the index is about.

    Parameters
    ----------
    instrument
        Name of the camera.
    sky_map
        That of warps and coadds; empty where there is none.
    collections
        Runs with the products, the newest first.
    max_frames
        Frames of detectors up to which each visit gets a page; of more, those that are worst.
    facts
        What was done: names of parts and words.
    failures
        Task, what it worked on, reason.
    bands
        Of the visits; all when empty.
    """

    instrument: str
    sky_map: str
    collections: Sequence[str]
    max_frames: int
    facts: Sequence[tuple[str, str]] = ()
    failures: Sequence[tuple[str, str, str]] = ()
    bands: Sequence[str] = ()


@dataclass
class _Written:
    """A page, and its rows of the index."""

    file: str
    rows: list[list[str]]
    basis: str
    """Fingerprint of what it was made of."""


def write_report(
    butler: Butler, folder: Path, request: IndexRequest, advance: Callable[[str], object] = lambda _: None
) -> Path:
    """Write a page for each tract and patch, pages of visits, and an index of them; pages that are up to date are kept.

    Parameters
    ----------
    butler
        The repository.
    folder
        Receives ``index.html`` and the pages.
    request
        What it is about.
    advance
        Called with a line for each page that is written.

    Returns
    -------
    path
        Of the index.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages = _Pages(butler, folder, request, advance)
    visits = pages.visits()
    tables = [
        pages.patches(),
        pages.tracts(),
        *visits,
        PageTable(title="What was done", columns=["part", ""], rows=[list(fact) for fact in request.facts]),
        PageTable(title="Failures", columns=["task", "of", "reason"], rows=[list(one) for one in request.failures]),
    ]
    pages.close()
    page = Page(
        title=f"What was made of the frames of {request.instrument}",
        summary=pages.sentence,
        tables=[table for table in tables if table.rows],
    )
    path = folder / "index.html"
    write_page(page, path)
    return path


class _Pages:
    """Writes the pages, or keeps them."""

    def __init__(self, butler: Butler, folder: Path, request: IndexRequest, advance: Callable[[str], object]) -> None:
        self._butler, self._folder, self._request, self._advance = butler, folder, request, advance
        self._before = _read_record(folder)
        self._now: dict[str, _Written] = {}
        self.sentence = ""

    def close(self) -> None:
        """Remember what the pages were made of."""
        text = json.dumps({name: asdict(one) for name, one in self._now.items()}, indent=1)
        write_beside(self._folder / _RECORD, lambda part: part.write_text(text, encoding="utf-8"))

    def _refs(self, name: str) -> list[DatasetRef]:
        """The newest datasets of a type."""
        on_sky = f"skymap = '{self._request.sky_map}'"
        with self._butler.query() as query:
            try:
                kind = self._butler.get_dataset_type(name)
                found = query.datasets(kind, list(self._request.collections), find_first=True)
                return list(found.where(on_sky) if "skymap" in kind.dimensions else found)
            except MissingDatasetTypeError:
                return []

    def _page(
        self, name: str, refs: Iterable[DatasetRef], write: Callable[[], tuple[Path, list[list[str]]]]
    ) -> _Written:
        """Write a page, or keep the one that was made of the same datasets."""
        ids = sorted(ref.id.hex for ref in refs)
        basis = hashlib.sha256(" ".join([metadata.version("skyloom"), *ids]).encode()).hexdigest()[:16]
        before = self._before.get(name)
        if before is not None and before.basis == basis and (self._folder / before.file).is_file():
            self._now[name] = before
            return before
        try:
            path, rows = write()
        except SkyloomError as error:
            return _Written("", [["", f"no page: {error}"]], basis)
        self._advance(f"page of {name}")
        self._now[name] = _Written(path.name, rows, basis)
        return self._now[name]

    def patches(self) -> PageTable:
        """A row a band of each patch that has coadds."""
        kinds = ("deep_coadd", "deep_coadd_sources", "objects")
        by_patch: dict[tuple[int, int], list[DatasetRef]] = defaultdict(list)
        for ref in self._refs(kinds[0]) if self._request.sky_map else []:
            by_patch[int(ref.dataId["tract"]), int(ref.dataId["patch"])].append(ref)
        chosen = sorted(by_patch)
        if len(chosen) > MAX_PATCHES:
            chosen = [chosen[int(one)] for one in np.linspace(0, len(chosen) - 1, MAX_PATCHES)]
        rows: list[list[str]] = []
        links: list[str] = []
        for tract, patch in chosen:
            written = self._page(
                f"tract {tract}, patch {patch}",
                by_patch[tract, patch],
                partial(self._patch, tract, patch),
            )
            rows += [[f"tract {tract}, patch {patch}", *row] for row in written.rows]
            links += [written.file] * len(written.rows)
        self.sentence += f"{len(by_patch)} patches with coadds. " if len(by_patch) != 1 else "One patch with coadds. "
        more = (
            f" ({len(chosen)} of {len(by_patch)}; 'skyloom report coadd' shows others)"
            if chosen != sorted(by_patch)
            else ""
        )
        columns = ["patch", "band", "visits", "5-sigma depth (AB mag)", "FWHM (arcsec)", "filled (%)", "verdict"]
        return PageTable(title=f"Coadds{more}", columns=columns, rows=rows, links=links)

    def _patch(self, tract: int, patch: int) -> tuple[Path, list[list[str]]]:
        request = self._request
        report = report_patch(
            self._butler,
            patch,
            self._folder,
            tract=tract,
            sky_map=request.sky_map,
            collections=request.collections,
        )
        return report.page, [_patch_row(band) for band in report.bands]

    def tracts(self) -> PageTable:
        """A row a filter of each tract that was fitted jointly."""
        by_tract: dict[int, list[DatasetRef]] = defaultdict(list)
        for name in ("joint_metrics", "jointcal_log", "direct_warp") if self._request.sky_map else ():
            for ref in self._refs(name):
                by_tract[int(ref.dataId["tract"])].append(ref)
        rows: list[list[str]] = []
        links: list[str] = []
        for tract, refs in sorted(by_tract.items()):
            written = self._page(f"tract {tract}", refs, partial(self._tract, tract))
            rows += [[f"tract {tract}", *row] for row in written.rows]
            links += [written.file] * len(written.rows)
        columns = ["tract", "filter", "frames", "refused", "positions (mas)", "fluxes (mmag)", "verdict"]
        return PageTable(title="Joint calibration and warps", columns=columns, rows=rows, links=links)

    def _tract(self, tract: int) -> tuple[Path, list[list[str]]]:
        request = self._request
        report = report_tract(
            self._butler,
            tract,
            self._folder,
            sky_map=request.sky_map,
            instrument=request.instrument,
            collections=request.collections,
        )
        return report.page, [_tract_row(one) for one in report.filters]

    def visits(self) -> list[PageTable]:
        """A row a visit: those that have a page in one table, the others in another."""
        request = self._request
        bands = f" AND band IN ({', '.join(repr(band) for band in request.bands)})" if request.bands else ""
        where = f"instrument = '{request.instrument}'{bands}"
        records = {
            int(record.id): record
            for record in self._butler.query_dimension_records("visit", where=where, explain=False, limit=None)
        }
        refs: dict[int, list[DatasetRef]] = defaultdict(list)
        n_frames: dict[int, int] = defaultdict(int)
        for name in ("calibrate_image_metadata", "initial_pvi", "visit_summary"):
            for ref in self._refs(name):
                refs[int(ref.dataId["visit"])].append(ref)
                n_frames[int(ref.dataId["visit"])] += name == "calibrate_image_metadata"
        summaries = {
            visit: self._butler.get(ref)
            for visit, mine in refs.items()
            for ref in mine
            if ref.datasetType.name == "visit_summary"
        }
        shown = {visit: _visit_row(records[visit], n_frames[visit], summaries.get(visit)) for visit in sorted(records)}
        paged = self._worst(shown, n_frames, summaries)
        links = {}
        for visit in paged:
            written = self._page(f"visit {visit}", refs[visit], partial(self._visit, visit))
            links[visit] = written.file
        lost = sum(len(summaries.get(visit, ())) < count for visit, count in n_frames.items())
        self.sentence += f"{len(shown)} visits" + (f", {lost} of them with frames that failed. " if lost else ". ")
        columns = ["visit", "filter", "night", "frames", "FWHM (px)", "astrometry (mas)", "zero point (mag)"]
        rows = list(shown.values())
        return [PageTable(title="Visits", columns=columns, rows=rows, links=[links.get(visit, "") for visit in shown])]

    def _worst(self, shown: Mapping[int, Any], n_frames: Mapping[int, int], summaries: Mapping[int, Any]) -> list[int]:
        """Visits that get a page: all, or those with failures and those of the worst seeing."""
        known = [visit for visit in shown if n_frames.get(visit)]
        if sum(n_frames.values()) <= self._request.max_frames:
            return known

        def order(visit: int) -> tuple[float, float]:
            table = summaries.get(visit, {})
            width = -float(np.median(table["psf_sigma"])) if len(table) else np.inf
            return len(table) - n_frames[visit], width

        per_visit = max(n_frames.values())
        return sorted(sorted(known, key=order)[: max(self._request.max_frames // (2 * per_visit), 1)])

    def _visit(self, visit: int) -> tuple[Path, list[list[str]]]:
        request = self._request
        report = report_visit(
            self._butler, visit, self._folder, instrument=request.instrument, collections=request.collections
        )
        return report.page, [_frame_row(frame) for frame in report.frames]


def _read_record(folder: Path) -> dict[str, _Written]:
    """What the pages that are there were made of."""
    try:
        told = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        return {name: _Written(**one) for name, one in told.items()}
    except (OSError, ValueError, TypeError):
        return {}


def _told(values: Mapping[str, float], name: str, text: str) -> str:
    return text.format(values[name]) if name in values and np.isfinite(values[name]) else ""


def _patch_row(band: SectionFigures) -> list[str]:
    shown = {"n_visits": "{:.0f}", "depth_mag": "{:.2f}", "fwhm_arcsec": "{:.2f}", "filled_percent": "{:.1f}"}
    return [band.name, *(_told(band.values, name, text) for name, text in shown.items()), band.verdict]


def _tract_row(one: SectionFigures) -> list[str]:
    shown = {
        "n_frames": "{:.0f}",
        "n_refused": "{:.0f}",
        "astrometry_after_mas": "{:.1f}",
        "photometry_after_mmag": "{:.1f}",
    }
    return [one.name, *(_told(one.values, name, text) for name, text in shown.items()), one.verdict]


def _frame_row(frame: FrameFigures) -> list[str]:
    return [f"detector {frame.detector}", frame.failure]


def _visit_row(record: Any, n_frames: int, summary: Any) -> list[str]:
    """Of a visit: how many of its frames were calibrated, and the medians of their figures."""
    n_good = 0 if summary is None else len(summary)
    row = [str(record.id), record.physical_filter, str(record.day_obs), f"{n_good} of {n_frames}"]
    if not n_good:
        return [*row, "", "", ""]
    width = float(np.median(summary["psf_sigma"])) * 2.3548
    rms = float(np.median(summary["astrometry_rms_arcsec"])) * 1e3
    zero_point = float(np.median(summary["zero_point_mag"]))
    return [*row, f"{width:.2f}", f"{rms:.1f}", f"{zero_point:.3f}"]
