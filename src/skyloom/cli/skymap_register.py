"""``skyloom skymap register``: further tracts of a sky map of the whole sky."""

from __future__ import annotations

import click

from .options import REPOSITORY


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.argument("name")
@click.option(
    "-t", "--tract", "tracts", type=int, multiple=True, help="A tract with all of its patches; may be repeated."
)
@click.option("-i", "--instrument", help="The patches that the frames of this instrument touch.")
@click.option("--where", default="", help="A butler expression that picks visits.")
@click.option("--all", "everything", is_flag=True, help="All tracts: minutes to hours for many thousands of patches.")
def command(
    repo: str, name: str, tracts: tuple[int, ...], instrument: str | None, where: str, everything: bool
) -> None:
    """Register tracts and patches of the sky map NAME of REPO, so that queries find them.

    Those that are there already are left as they are.
    """
    from lsst.daf.butler import Butler

    from skyloom.errors import RepositoryError
    from skyloom.repo.skymap_records import outlines_in_registry, register_around, register_tracts

    from .skymap_describe import stored

    if not (tracts or instrument or everything):
        raise click.UsageError("Say what to register: -t TRACT, -i INSTRUMENT or --all.")
    with Butler.from_config(repo, writeable=True) as butler:
        sky_map = stored(butler, repo, name)
        try:
            new = register_tracts(butler, sky_map, range(len(sky_map)) if everything else tracts)
        except IndexError as error:
            raise RepositoryError(str(error)) from error
        if instrument:
            new += register_around(butler, sky_map, *outlines_in_registry(butler, instrument, where))
    click.echo(f"{new} new patch(es)")
