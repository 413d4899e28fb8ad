"""``skyloom skymap show``: the tracts of a sky map."""

from __future__ import annotations

import click

from .options import REPOSITORY


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.argument("name")
@click.option("--definition", is_flag=True, help="Show the definition as YAML, as 'make --file' reads it.")
def command(repo: str, name: str, definition: bool) -> None:
    """Show the registered tracts of the sky map NAME of REPO."""
    from lsst.daf.butler import Butler

    from .skymap_describe import describe, stored

    with Butler.from_config(repo) as butler:
        sky_map = stored(butler, repo, name)
        if definition:
            click.echo(sky_map.to_yaml(), nl=False)
        else:
            describe(butler, sky_map)
