"""``skyloom report coadd``: the pictures of the coadds of a patch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import PAGE_FOLDER, PAGE_QUIET, PAGE_SOURCES, REPOSITORY, names_of

if TYPE_CHECKING:
    from skyloom.report.overview import SectionFigures


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.argument("patch", type=int)
@click.option("--tract", type=int, help="Needed where the patch has coadds in several.")
@click.option("--band", "bands", multiple=True, help="Only this one; may be given again.")
@click.option("--skymap", help="Needed where REPO has several sky maps.")
@click.option("--coadd", default="deep_coadd", show_default=True, help="Which coadds: their dataset type.")
@PAGE_SOURCES
@PAGE_FOLDER
@PAGE_QUIET
def command(
    repo: str,
    patch: int,
    tract: int | None,
    bands: tuple[str, ...],
    skymap: str | None,
    coadd: str,
    collections: str | None,
    folder: Path,
    quiet: bool,
) -> None:
    """Write a page about the coadds of a PATCH of REPO: the patch in colours, depth, number of warps, PSF, noise, what
    was clipped and rejected, and the visits, with what is out of the usual in words.

    What failed or is missing is said on the page.  The page is one file that needs nothing else.
    """
    from lsst.daf.butler import Butler

    from skyloom.report.patch import report_patch

    with Butler.from_config(repo) as butler:
        report = report_patch(
            butler,
            patch,
            folder,
            tract=tract,
            sky_map=skymap,
            bands=bands,
            collections=names_of(collections),
            coadd=coadd,
            advance=lambda one: None if quiet else click.echo(_line(one)),
        )
    if not quiet:
        click.echo(report.page)


def _line(one: SectionFigures) -> str:
    """What is said of a band when it is done."""
    return f"band {one.name}: {f'failed: {one.failure}' if one.failure else one.verdict}"
