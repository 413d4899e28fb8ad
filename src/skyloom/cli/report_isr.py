"""``skyloom report isr``: frames before and after the removal of the instrument's signature."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .options import PAGE_FOLDER, REPOSITORY


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.argument("data_id", metavar="KEY=VALUE...", nargs=-1)
@click.option("-d", "--where", default="", help="Frames by an expression, such as \"visit in (1..5) and band = 'r'\".")
@click.option("-i", "--collection", help="Where the corrected frames are.  [default: the newest of each]")
@PAGE_FOLDER
@click.option("-q", "--quiet", is_flag=True, help="Print what was left out and nothing else.")
def command(repo: str, data_id: tuple[str, ...], where: str, collection: str | None, folder: Path, quiet: bool) -> None:
    """Write a page about each frame of REPO that the data id picks: overscan, pictures before and after, medians of
    rows and columns, masks, and the figures of the header.

    A data id is exposure=3 detector=2; exposure=3^4 means both, detector=0..8 all from 0 to 8. Several frames get an
    index. The exit status is 1 if any was left out.
    """
    from lsst.daf.butler import Butler

    from skyloom.report.data_ids import query_of
    from skyloom.report.isr import report_isr

    if not (data_id or where):
        raise click.UsageError("Say which frames: exposure=3 detector=2, or --where.")
    with Butler.from_config(repo) as butler:
        report = report_isr(
            butler,
            query_of(butler, data_id, where),
            folder,
            collection=collection,
            advance=lambda path: None if quiet else click.echo(path),
        )
    for failure in report.failures:
        click.echo(f"Left out: {failure}", err=True)
    if report.failures:
        sys.exit(1)
