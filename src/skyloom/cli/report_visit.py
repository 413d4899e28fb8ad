"""``skyloom report visit``: the pictures of the calibration of a visit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import PAGE_FOLDER, PAGE_QUIET, PAGE_SOURCES, REPOSITORY, names_of

if TYPE_CHECKING:
    from skyloom.report.visit_focal_plane import FrameFigures


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.argument("visit", type=int)
@click.option("--detector", "detectors", type=int, multiple=True, help="Only this one; may be given again.")
@click.option("--instrument", help="Needed where REPO has several.")
@PAGE_SOURCES
@PAGE_FOLDER
@PAGE_QUIET
def command(
    repo: str,
    visit: int,
    detectors: tuple[int, ...],
    instrument: str | None,
    collections: str | None,
    folder: Path,
    quiet: bool,
) -> None:
    """Write a page about the calibration of a VISIT of REPO: sky, detections, PSF, astrometry, zero point and curve of
    growth of every detector, with what is out of the usual in words.

    A frame that failed is shown as far as it came, with the reason.  The page is one file that needs nothing else.
    """
    from lsst.daf.butler import Butler

    from skyloom.report.visit import report_visit

    with Butler.from_config(repo) as butler:
        report = report_visit(
            butler,
            visit,
            folder,
            instrument=instrument,
            detectors=detectors,
            collections=names_of(collections),
            advance=lambda frame: None if quiet else click.echo(_line(frame)),
        )
    if not quiet:
        click.echo(report.page)


def _line(frame: FrameFigures) -> str:
    """What is said of a frame when it is done."""
    if frame.failure:
        return f"detector {frame.detector}: failed: {frame.failure}"
    return f"detector {frame.detector}: " + (f"{frame.remarks} figure(s) to look at" if frame.remarks else "usual")
