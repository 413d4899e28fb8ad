"""``skyloom skymap export``: outlines of tracts or patches."""

from __future__ import annotations

import click

from .options import REPOSITORY


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("-t", "--tract", "tracts", type=int, multiple=True, help="Which tracts  [default: the registered ones]")
@click.option("--patches", is_flag=True, help="Their patches instead.")
@click.option(
    "--order", type=click.IntRange(0, 13), default=10, show_default=True, help="Resolution of a coverage map."
)
def command(repo: str, name: str, file: str, tracts: tuple[int, ...], patches: bool, order: int) -> None:
    """Write the outlines of the tracts of the sky map NAME of REPO to FILE.

    The ending tells what is written: .reg polygons for DS9, .json or .fits a coverage map (MOC), as Aladin reads it.
    """
    from pathlib import Path

    from lsst.daf.butler import Butler

    from skyloom.errors import RepositoryError
    from skyloom.repo.skymap_export import export_outlines
    from skyloom.repo.skymap_records import registered_tracts

    from .skymap_describe import stored

    with Butler.from_config(repo) as butler:
        sky_map = stored(butler, repo, name)
        numbers = tracts or tuple(registered_tracts(butler, name))
    if not numbers:
        raise RepositoryError(f"No tract of {name!r} is registered.", cure="Say which to write with -t.")
    click.echo(export_outlines(sky_map, numbers, Path(file), patches=patches, order=order))
