"""``skyloom skymap``: make a sky map around the fitted frames, and show one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from skyloom.skymap import DiscreteSkyMap


@click.group()
def command() -> None:
    """Make a sky map around the fitted frames; show one."""


@command.command()
@click.argument("repo", type=click.Path(exists=True, file_okay=False))
@click.argument("name")
@click.option("-c", "--collections", required=True, help="Where the visit summaries are, separated by commas.")
@click.option("-i", "--instrument", required=True, help="Whose frames to enclose.")
@click.option("--where", default="", help="A butler expression that picks visits.")
@click.option("--pixel-scale", type=float, help="Arcseconds a pixel  [default: the median of the frames]")
@click.option("--patch-size", type=int, help="Inner side of a patch in pixels  [default: 2000]")
@click.option("--border", type=int, help="Border of a patch in pixels  [default: 100]")
def make(
    repo: str,
    name: str,
    collections: str,
    instrument: str,
    where: str,
    pixel_scale: float | None,
    patch_size: int | None,
    border: int | None,
) -> None:
    """Make the sky map NAME around the calibrated frames of REPO, and give the frames their fitted regions."""
    from lsst.daf.butler import Butler

    from skyloom.repo.regions import update_regions
    from skyloom.repo.skymaps import make_sky_map

    names = collections.split(",")
    with Butler.from_config(repo, writeable=True) as butler:
        update_regions(butler, names, instrument, where=where)
        sky_map = make_sky_map(
            butler,
            name,
            names,
            instrument=instrument,
            pixel_scale_arcsec=pixel_scale,
            patch_size=patch_size,
            border=border,
            where=where,
        )
    _describe(sky_map)


@command.command()
@click.argument("repo", type=click.Path(exists=True, file_okay=False))
@click.argument("name")
def show(repo: str, name: str) -> None:
    """Show the tracts of the sky map NAME of REPO."""
    from lsst.daf.butler import Butler

    from skyloom.errors import RepositoryError
    from skyloom.repo.skymaps import read_sky_map

    with Butler.from_config(repo) as butler:
        sky_map = read_sky_map(butler, name)
    if sky_map is None:
        raise RepositoryError(f"{repo} has no sky map {name!r}.", cure="Make it with 'skyloom skymap make'.", file=repo)
    _describe(sky_map)


def _describe(sky_map: DiscreteSkyMap) -> None:
    """One line for the sky map, one a tract."""
    dx, dy = sky_map.patch_size
    click.echo(
        f'{sky_map.name}: {len(sky_map)} tract(s), {sky_map.pixel_scale}"/px, TAN, '
        f"patches of {dx} x {dy} px with a border of {sky_map.patch_border}"
    )
    for tract in sky_map.all_tracts():
        nx, ny = tract.n_patches
        click.echo(
            f"  tract {tract.id}: centre {tract.ra:.4f} {tract.dec:+.4f} deg, "
            f"{nx} x {ny} patches, {tract.bbox.x.size} x {tract.bbox.y.size} px"
        )
