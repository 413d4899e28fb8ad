"""The pages of a site about single visits, tracts and patches: those of `skyloom report`, dressed for the site.

A page is written again only where the products behind it are others than when it was written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import SkyloomError
from skyloom.files import write_beside
from skyloom.interrupts import uninterrupted

from .patch import report_patch
from .site_run import SiteData
from .tract import report_tract
from .visit import report_visit

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

__all__ = ["PageJob", "PagePart", "SitePage", "digest_of", "find_pages", "write_pages"]

_MADE_OF = {
    "visit": ("calibrate_image_log", "calibrate_image_metadata", "initial_pvi"),
    "tract": ("jointcal_log", "jointcal_metadata", "joint_metrics", "visit_summary", "direct_warp"),
    "coadd": ("deep_coadd",),
}
"""By kind of page, the products that tell whether there is one, and whether it is up to date."""
_KEYS = {
    "visit": ("instrument", "visit"),
    "tract": ("instrument", "skymap", "tract"),
    "coadd": ("skymap", "tract", "patch"),
}
_FOLDERS = {"visit": "visits", "tract": "tracts", "coadd": "coadds"}
_PATCH = {"skymap", "tract", "patch", "band"}
_KNOWN = "pages.json"


@dataclass(frozen=True, kw_only=True)
class PageJob:
    """A page to be written."""

    kind: str
    """``visit``, ``tract`` or ``coadd``."""
    place: tuple[str | int, ...]
    """Values of its keys: instrument and visit; instrument, sky map and tract; sky map, tract and patch."""
    digest: str
    """Of the products that it is made of."""

    @property
    def name(self) -> str:
        """In words; the key of the page."""
        return " ".join([self.kind, *map(str, self.place)])


@dataclass(frozen=True, kw_only=True)
class PagePart:
    """What is kept of a detector, filter or band of a page."""

    name: str
    values: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ""
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class SitePage:
    """A page that was written; without a path, why it was not."""

    path: str = ""
    """From the root of the site."""
    parts: Sequence[PagePart] = ()
    failure: str = ""
    digest: str = ""


def find_pages(data: SiteData) -> list[PageJob]:
    """The pages that an output calls for, in the order of kinds and places."""
    patch_logs = [
        kind.name for kind in data.butler.registry.queryDatasetTypes("*_log") if set(kind.dimensions.names) == _PATCH
    ]
    jobs = []
    for kind, names in _MADE_OF.items():
        found: dict[tuple[str | int, ...], list[str]] = {}
        for name in (*names, *(patch_logs if kind == "coadd" else ())):
            for ref in data.refs(name):
                if set(_KEYS[kind]) <= set(ref.dataId.dimensions.names):
                    place = tuple(ref.dataId[key] for key in _KEYS[kind])
                    found.setdefault(place, []).append(ref.id.hex)
        for place, ids in sorted(found.items()):
            jobs.append(PageJob(kind=kind, place=place, digest=digest_of(ids)))
    return jobs


def digest_of(ids: Iterable[str]) -> str:
    """A short fingerprint of products, by their ids, and of the version that shows them."""
    return hashlib.sha256(" ".join([version("skyloom"), *sorted(ids)]).encode()).hexdigest()[:16]


def write_pages(
    data: SiteData,
    jobs: Sequence[PageJob],
    folder: Path,
    *,
    dress: Callable[[str, str], str],
    processes: int = 1,
    advance: Callable[[str], object] = lambda _: None,
) -> dict[str, SitePage]:
    """Write the pages that are not there or out of date.

    Parameters
    ----------
    data
        The output.
    jobs
        As `find_pages` gives them.
    folder
        The site.
    dress
        Makes of the text of a page, and the way from it to the root of the site, the text to be kept; a function that
        workers can import.
    processes
        Workers.
    advance
        Called with a line about each page that was written.

    Returns
    -------
    pages
        By the names of the jobs.
    """
    known = _read_known(folder / _KNOWN)
    pages = {job.name: known[job.name] for job in jobs if _is_current(known.get(job.name), job, folder)}
    due = [job for job in jobs if job.name not in pages]

    def done(job: PageJob, page: SitePage) -> None:
        pages[job.name] = page
        _write_known(folder / _KNOWN, pages)
        advance(f"{job.name}: {page.failure or 'done'}")

    if processes == 1 or len(due) < 2:
        for job in due:
            done(job, _write_page(data.butler, data.output, job, folder, dress))
    else:
        with _workers(min(processes, len(due))) as submit:
            waiting = {submit(_write_page, data.butler, data.output, job, folder, dress): job for job in due}
            for one in as_completed(waiting):
                done(waiting[one], one.result())
    return {job.name: pages[job.name] for job in jobs}


@contextlib.contextmanager
def _workers(count: int) -> Iterator[Callable[..., Future[SitePage]]]:
    """What hands a call to one of some workers.  Ctrl-C does not reach them; they end with what is interrupted here."""
    others = set(active_children())
    pool = ProcessPoolExecutor(count, get_context("spawn"), _be_silent)

    def submit(*call: Any) -> Future[SitePage]:
        with uninterrupted():  # workers are started here
            return pool.submit(*call)

    try:
        yield submit
    except BaseException:
        for process in set(active_children()) - others:
            process.kill()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _be_silent() -> None:
    """What libraries log in a worker does not go to the terminal, as it does not in the command itself."""
    logging.getLogger().addHandler(logging.NullHandler())


def _write_page(butler: Butler, output: str, job: PageJob, folder: Path, dress: Callable[[str, str], str]) -> SitePage:
    place = folder / _FOLDERS[job.kind]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of figures without values
            path, parts = _REPORTS[job.kind](butler, output, job.place, place)
    except SkyloomError as error:
        return SitePage(failure=str(error).splitlines()[0], digest=job.digest)
    text = dress(path.read_text(encoding="utf-8"), "../")
    write_beside(path, lambda part: part.write_text(text, encoding="utf-8"))
    return SitePage(path=path.relative_to(folder).as_posix(), parts=parts, digest=job.digest)


def _visit(butler: Butler, output: str, place: tuple[Any, ...], folder: Path) -> tuple[Path, list[PagePart]]:
    report = report_visit(butler, place[1], folder, instrument=place[0], collections=[output])
    parts = [
        PagePart(
            name=str(one.detector),
            values={"remarks": float(one.remarks)},
            verdict="failed" if one.failure else f"{one.remarks} to look at" if one.remarks else "usual",
            failure=one.failure,
        )
        for one in report.frames
    ]
    return report.page, parts


def _tract(butler: Butler, output: str, place: tuple[Any, ...], folder: Path) -> tuple[Path, list[PagePart]]:
    report = report_tract(butler, place[2], folder, sky_map=place[1], instrument=place[0], collections=[output])
    return report.page, [_part(one.name, one) for one in report.filters]


def _coadd(butler: Butler, output: str, place: tuple[Any, ...], folder: Path) -> tuple[Path, list[PagePart]]:
    report = report_patch(butler, place[2], folder, tract=place[1], sky_map=place[0], collections=[output])
    return report.page, [_part(one.name, one) for one in report.bands]


_REPORTS = {"visit": _visit, "tract": _tract, "coadd": _coadd}


def _part(name: str, figures: Any) -> PagePart:
    values = {key: float(value) for key, value in figures.values.items() if np.isfinite(value)}
    return PagePart(name=name, values=values, verdict=figures.verdict, failure=figures.failure)


def _is_current(page: SitePage | None, job: PageJob, folder: Path) -> bool:
    return page is not None and page.digest == job.digest and bool(page.path) and (folder / page.path).exists()


def _read_known(path: Path) -> dict[str, SitePage]:
    """What an earlier call kept; nothing where that cannot be read."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: SitePage(**page | {"parts": [PagePart(**part) for part in page["parts"]]})
            for name, page in kept.items()
        }
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _write_known(path: Path, pages: Mapping[str, SitePage]) -> None:
    text = json.dumps({name: asdict(page) for name, page in pages.items()}, indent=1)
    write_beside(path, lambda part: part.write_text(text, encoding="utf-8"))
