"""``skyloom report tract``: the pictures of the joint calibration and the warps of a tract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import PAGE_FOLDER, PAGE_QUIET, PAGE_SOURCES, REPOSITORY, names_of

if TYPE_CHECKING:
    from skyloom.report.overview import SectionFigures


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.argument("tract", type=int)
@click.option("--band", "bands", multiple=True, help="Only this one; may be given again.")
@click.option("--skymap", help="Needed where REPO has several sky maps.")
@click.option("--instrument", help="Needed where REPO has several.")
@PAGE_SOURCES
@PAGE_FOLDER
@PAGE_QUIET
def command(
    repo: str,
    tract: int,
    bands: tuple[str, ...],
    skymap: str | None,
    instrument: str | None,
    collections: str | None,
    folder: Path,
    quiet: bool,
) -> None:
    """Write a page about the joint calibration of a TRACT of REPO: residuals before and after the fit, zero points, the
    course of the fit, frames that it refused, coverage and warps, with what is out of the usual in words.

    What failed or is missing is said on the page.  The page is one file that needs nothing else.
    """
    from lsst.daf.butler import Butler

    from skyloom.report.tract import report_tract

    with Butler.from_config(repo) as butler:
        report = report_tract(
            butler,
            tract,
            folder,
            sky_map=skymap,
            instrument=instrument,
            bands=bands,
            collections=names_of(collections),
            advance=lambda one: None if quiet else click.echo(_line(one)),
        )
    if not quiet:
        click.echo(report.page)


def _line(one: SectionFigures) -> str:
    """What is said of a filter when it is done."""
    if one.failure:
        return f"filter {one.name}: failed: {one.failure}"
    return f"filter {one.name}: {one.verdict}"
