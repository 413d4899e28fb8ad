"""``skyloom ingest``: bring frames into a repository."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .options import REPOSITORY, sky_position

if TYPE_CHECKING:
    from skyloom.repo.ingest import IngestResult

_TRANSFERS = ("direct", "copy", "symlink", "hardlink", "relsymlink", "move")


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option("--instrument", "-i", help="Camera of the frames  [default: the repository's only one]")
@click.option("--jobs", "-j", type=click.IntRange(min=1), default=1, show_default=True, help="Files read at a time.")
@click.option(
    "--transfer",
    type=click.Choice(_TRANSFERS),
    default="direct",
    show_default=True,
    help="What happens to raw files: direct leaves them where they are.",
)
@click.option(
    "--center",
    nargs=2,
    metavar="RA DEC",
    help="Pointing of frames whose headers have none: degrees, or sexagesimal hours and degrees.",
)
@click.option("--masks", type=click.Path(exists=True, file_okay=False), help="Folder with the survey's own masks.")
def command(
    repo: str,
    paths: tuple[str, ...],
    instrument: str | None,
    jobs: int,
    transfer: str,
    center: tuple[str, str] | None,
    masks: str | None,
) -> None:
    """Bring the frames in PATHS (files, or folders with all below them) into REPO, and define their visits.

    Raw frames are registered; frames that come without instrument signature are written anew, in electrons.
    Files that cannot be used are listed at the end with the reason; exit status 1 if no file could be used.
    """
    from pathlib import Path

    from lsst.daf.butler import Butler
    from rich.progress import Progress

    from skyloom.repo.frame_files import find_files
    from skyloom.repo.incoming import ingest
    from skyloom.repo.setup import read_camera

    files = find_files(paths)
    with Butler.from_config(repo, writeable=True) as butler, Progress(transient=True) as progress:
        camera = read_camera(butler, instrument)
        bar = progress.add_task("Reading headers", total=len(files))

        def advance() -> None:
            progress.advance(bar)

        if masks is not None and not camera.post_isr:
            raise click.UsageError("--masks is for frames that come without instrument signature.")
        folder = None if masks is None else Path(masks)
        result = ingest(
            butler,
            camera,
            files,
            masks=folder,
            transfer=transfer,
            workers=jobs,
            advance=advance,
            center=None if center is None else sky_position(*center),
        )
    _report(result)
    if not result.succeeded:
        sys.exit(1)


def _report(result: IngestResult) -> None:
    """Counts, and a table of what was left out."""
    from rich.console import Console
    from rich.table import Table

    new = "Nothing new" if result.ingested == 0 else f"{result.ingested} frame(s) ingested"
    click.echo(
        f"{new}, {result.known} known already, {result.visits} visit(s) defined, {len(result.rejected)} left out."
    )
    if result.rejected:
        table = Table("file", "why it was left out", "what to do", title="Left out", show_lines=False)
        for rejection in result.rejected:
            error = rejection.error
            where = f"{error.keyword}: " if error.keyword else ""
            table.add_row(rejection.path.name, f"{where}{error.cause}", error.cure)
        Console(width=None if sys.stdout.isatty() else 200).print(table)
