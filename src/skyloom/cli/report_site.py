"""``skyloom report site``: one static site about a run."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PAGE_QUIET, REPOSITORY


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.option("-o", "--output", help="Output chain, or run.  [default: that of the run that was gone on with last]")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("site"),
    show_default=True,
    help="Folder to write to.",
)
@click.option("-j", "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Workers.")
@click.option(
    "--most",
    type=click.IntRange(min=1),
    help="Of more frames than this only the worst visits have pages, and of more patches some.  [default: all]",
)
@click.option("--hips", is_flag=True, help="Write the coadds as HiPS, too; needs skyloom[hips].")
@PAGE_QUIET
def command(
    repo: str, output: str | None, folder: Path, processes: int, most: int | None, hips: bool, quiet: bool
) -> None:
    """Write a site about a run of REPO: an overview with tables that sort and plots that zoom, the pages of each visit,
    tract and patch, and the coadds to pan and zoom.

    It needs no server and no network: open index.html.  The same command again writes only what has changed.
    """
    from lsst.daf.butler import Butler

    from skyloom.report.site import report_site
    from skyloom.report.site_choice import PageLimits
    from skyloom.report.site_run import SiteData

    from .site_runs import newest_output, run_summaries

    with Butler.from_config(repo) as butler:
        name = newest_output(butler) if output is None else output
        data = SiteData(butler=butler, output=name, runs=run_summaries(butler, name))
        report = report_site(
            data,
            folder,
            processes=processes,
            hips=hips,
            limits=PageLimits(frames=most, patches=most),
            advance=lambda line: None if quiet else click.echo(line),
        )
    if not quiet:
        click.echo(report.page)
